/* gc/type.h - registered types, as the tracer reads them.
 *
 * The table has room for every possible index and is zero where nothing is registered (a type without
 * references), so that a damaged header can not send the tracer outside. Rows are written under
 * types->lock, once, and published by `count`; they never change afterwards. Node: first touch. */
#ifndef HEARTH_GC_TYPE_H
#define HEARTH_GC_TYPE_H

#include <pthread.h>

#include "hearth/layout.h"

enum { HG_TYPES_MAX = 32768, HG_NAME_MAX = 64 };

enum hg_tier {
    HG_TIER_NONE,
    HG_TIER_BITMAP,
    HG_TIER_OFFSETS,
    HG_TIER_CALLBACK,
    HG_TIER_MODEL,
    HG_TIER_EPHEMERON /* of the library: see gc/ephemeron.c */
};

struct hg_type {
    uint64_t bitmap;               /* references in the fixed part                             */
    uint64_t element_bitmap;       /* references in each element                               */
    uint32_t fixed;                /* bytes of the fixed part                                  */
    uint32_t element;              /* bytes of an element; 0: fixed length                     */
    uint8_t tier;                  /* enum hg_tier                                             */
    uint8_t leaf;                  /* no references                                            */
    uint8_t cards;                 /* remembers by card whatever its size                      */
    uint8_t cell;                  /* enum hg_cell_kind of the library's own types             */
    uint8_t registered;            /* objects get an entry when allocated: a finalizer, or legacy */
    uint32_t offset_count;         /* OFFSETS: how many                                        */
    uint32_t *offsets;             /* OFFSETS: byte offsets of references                      */
    hearth_trace_fn *trace;        /* CALLBACK                                                 */
    hearth_finalizer_fn *finalize; /* NULL: none; registered then means legacy              */
    void *finalize_data;
    int finalize_priority;
    char *name;         /* owned                                                    */
    hearth_type handle; /* 0: not registered                                        */
};

struct hg_types {
    pthread_mutex_t lock;
    struct hg_type *row;       /* HG_TYPES_MAX                                          */
    hearth_shape *shapes;      /* the same for the inline allocator                     */
    uint32_t count;            /* rows in use; row 0 is never used (atomic)             */
    hearth_object_model model; /* of HG_TIER_MODEL                                      */
    hearth_type model_type;    /* 0: not set                                            */
};

hearth_status hg_types_init(struct hg_types *types);
void hg_types_destroy(struct hg_types *types);

static inline uint32_t hg_type_index(hearth_type type)
{
    return (type & 0xffffu) >> 1;
}

static inline uint32_t hg_header_type(uint64_t header)
{
    return (uint32_t)(header >> 17) & 0x7fffu;
}

/* The row of a handle, NULL if it was not registered here (any bits may be wrong). */
const struct hg_type *hg_type_find(const struct hg_types *types, hearth_type type);

/* Bytes of an object of `count` elements; 0 on overflow. */
size_t hg_type_size(const struct hg_type *type, size_t count);

/* Register a type of the library: `cell` is its enum hg_cell_kind; ephemerons get their tier. */
hearth_status hg_type_builtin(struct hg_types *types, const hearth_type_info *info, uint8_t cell,
                              bool ephemeron, hearth_type *out);

bool hg_types_check(const struct hg_types *types);

#endif
