/* alloc/room.c - has a memory node room left? See room.h.
 *
 * What counts is free memory and the files cached there, less what the kernel keeps free before it looks
 * for pages elsewhere; that is at least a 64th of the node, and 4 MiB. Invariant: credit is at most
 * HA_ROOM_STEP.
 * Lock order: none taken. */
#include "alloc/room.h"

#include <errno.h>

#include "topology/os.h"

enum { HA_ROOM_STEP = 32 << 20, HA_ROOM_LEAST = 4 << 20, HA_ROOM_WAIT_MS = 10 };

void ha_room_init(struct ha_room *room, int os_node)
{
    *room = (struct ha_room){.os_node = os_node, .directory = "/sys/devices/system/node"};
    if (os_node >= 0)
        room->watermark = ht_os_watermark("/proc/sys/vm");
}

/* More credit, if the node has it. A system that does not tell is not asked again. */
static bool ha_room_ask(struct ha_room *room, size_t bytes)
{
    size_t total, available;
    if (!ht_os_node_memory(room->directory, room->os_node, &total, &available)) {
        room->os_node = -1;
        return true;
    }
    size_t reserve = total / 64 > HA_ROOM_LEAST ? total / 64 : HA_ROOM_LEAST;
    size_t kept = (total >> 16) * room->watermark;
    if (reserve < kept)
        reserve = kept;
    size_t usable = available > reserve ? available - reserve : 0;
    if (usable < bytes)
        return false;
    size_t step = usable / 4 < HA_ROOM_STEP ? usable / 4 : HA_ROOM_STEP;
    room->credit = step > bytes ? step - bytes : 0;
    return true;
}

bool ha_room_take(struct ha_room *room, size_t bytes, uint32_t now_ms)
{
    if (room->os_node < 0)
        return true;
    if (room->credit >= bytes) {
        room->credit -= bytes;
        return true;
    }
    if (room->refused_ms != 0 && now_ms - room->refused_ms < HA_ROOM_WAIT_MS)
        return false;
    bool has = ha_room_ask(room, bytes);
    room->refused_ms = has ? 0 : (now_ms != 0 ? now_ms : 1);
    return has;
}
