/* gc/guard.c - writing and reading the guards behind objects. See guard.h. */
#include "gc/guard.h"

#include <stdio.h>
#include <string.h>

#include "gc/slots.h"
#include "topology/error.h"

void hg_guard_set(void *object, size_t size)
{
    char *guard = (char *)object + size;
    size_t bytes = ha_object_capacity((uintptr_t)object) - size;
    memset(guard, HG_GUARD_BYTE, bytes);
    if (ha_checker_running() != HA_CHECKER_NONE)
        ha_guard_hide(guard, bytes);
}

/* The first byte that is not the guard's, and its value; NULL: all are. It reads what AddressSanitizer was
 * told to hide. */
__attribute__((no_sanitize("address"), noinline)) static const volatile unsigned char *
hg_guard_broken(const volatile unsigned char *at, const volatile unsigned char *end,
                unsigned char *value)
{
    while (at < end && *at == HG_GUARD_BYTE)
        at++;
    if (at == end)
        return NULL;
    *value = *at;
    return at;
}

size_t hg_guarded_payload(const hearth_heap *heap, uintptr_t object)
{
    uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
    size_t size = hg_object_size(object, header, &heap->types.row[hg_header_type(header)]);
    return size != 0 ? size : 1; /* an array without elements, see hg_type_size */
}

hearth_status hg_guard_check(hearth_heap *heap, uintptr_t object)
{
    if (!heap->space.guarded || ha_checker_running() == HA_CHECKER_VALGRIND)
        return HEARTH_OK; /* valgrind has told already */
    uint64_t header = *hearth_header_of((void *)object);
    const struct hg_type *type = &heap->types.row[hg_header_type(header)];
    size_t size = hg_guarded_payload(heap, object), capacity = ha_object_capacity(object);
    if (header >> 32 == UINT32_MAX || size > capacity)
        return HEARTH_OK; /* no guard; a damaged header, which the verifier tells */
    unsigned char value = 0;
    const volatile unsigned char *end = (const volatile unsigned char *)object + capacity;
    const volatile unsigned char *other = hg_guard_broken(end - (capacity - size), end, &value);
    if (other == NULL)
        return HEARTH_OK;
    return ht_fail(HEARTH_ECORRUPT,
                   "object %p (%s, %zu bytes) was overrun: the byte at offset %zu is 0x%02x",
                   (void *)object, type->name != NULL ? type->name : "(no type)", size,
                   (size_t)((uintptr_t)other - object), value);
}

static void hg_guard_visit(void *data, uintptr_t object, uint8_t mark)
{
    hearth_heap *heap = data;
    (void)mark;
    if (heap->corrupt == HEARTH_OK && hg_guard_check(heap, object) != HEARTH_OK) {
        heap->corrupt = HEARTH_ECORRUPT;
        snprintf(heap->corrupt_why, sizeof heap->corrupt_why, "collection %llu: %s",
                 (unsigned long long)heap->collections, hearth_last_error());
    }
}

void hg_guard_check_all(hearth_heap *heap)
{
    if (heap->space.guarded)
        hg_walk_allocated(heap, hg_guard_visit, heap);
}
