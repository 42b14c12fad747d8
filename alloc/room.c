/* alloc/room.c - has a memory node room left? See room.h.
 *
 * What counts is unused memory, less what the kernel keeps free before it looks for pages elsewhere; that is at
 * least a 64th of the node, and 4 MiB. Cached files count only where the kernel drops them rather than looks
 * elsewhere: if it may not look elsewhere (policy strict), or is told so (vm.zone_reclaim_mode). Otherwise it
 * takes pages of the next node long before it drops a file of this one. Invariant: credit is at most `step`.
 * Lock order: none taken. */
#include "alloc/room.h"

#include <errno.h>

#include "topology/os.h"

enum { HA_ROOM_LEAST = 4 << 20, HA_ROOM_WAIT_MS = 10 };

void ha_room_init(struct ha_room *room, int os_node, bool alone, size_t step)
{
    *room = (struct ha_room){
        .os_node = os_node, .directory = "/sys/devices/system/node", .step = step, .files = alone};
    if (os_node < 0)
        return;
    room->watermark = ht_os_watermark("/proc/sys/vm");
    room->files |= ht_os_reclaims("/proc/sys/vm");
}

/* More credit, if the node has it. A system that does not tell is not asked again. */
static bool ha_room_ask(struct ha_room *room, size_t bytes)
{
    struct ht_node_memory memory;
    if (!ht_os_node_memory(room->directory, room->os_node, &memory)) {
        room->os_node = -1;
        return true;
    }
    size_t available = memory.unused + (room->files ? memory.files : 0);
    size_t reserve = memory.total / 64 > HA_ROOM_LEAST ? memory.total / 64 : HA_ROOM_LEAST;
    size_t kept = (memory.total >> 16) * room->watermark;
    if (reserve < kept)
        reserve = kept;
    size_t usable = available > reserve ? available - reserve : 0;
    if (usable < bytes)
        return false;
    size_t step = usable / 4 < room->step ? usable / 4 : room->step;
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
