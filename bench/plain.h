/* bench/plain.h - what adapters of systems without precise roots, barriers, types or nodes share:
 * frames that are plain local variables, stores that are plain stores.
 *
 * Invariant: a frame's references are on the C stack or in registers, where a conservative
 * collector finds them; a compiler may drop a frame that nobody reads. */
#ifndef HEARTH_BENCH_PLAIN_H
#define HEARTH_BENCH_PLAIN_H

#include <string.h>

#define SYS_FRAME(m, name, n)                                                                      \
    struct {                                                                                       \
        void *ref[n];                                                                              \
    } name = {{NULL}}
#define SYS_FRAME_END(m, name) ((void)(m), (void)&(name))

#define SYS_PLAIN_STORES                                                                           \
    BENCH_INLINE void sys_store(sys_thread m, void *object, void **slot, void *value)              \
    {                                                                                              \
        (void)m, (void)object;                                                                     \
        *slot = value;                                                                             \
    }                                                                                              \
    BENCH_INLINE void sys_store_init(void **slot, void *value)                                     \
    {                                                                                              \
        *slot = value;                                                                             \
    }                                                                                              \
    BENCH_INLINE void sys_store_range(sys_thread m, void *object, void **slot, void **values,      \
                                      size_t count)                                                \
    {                                                                                              \
        (void)m, (void)object;                                                                     \
        memcpy(slot, values, count * sizeof *slot);                                                \
    }

/* Threads that may block anywhere: allocators, and collectors that interrupt them. */
#define SYS_NO_SAFEPOINTS                                                                          \
    BENCH_INLINE void sys_safepoint(sys_thread m)                                                  \
    {                                                                                              \
        (void)m;                                                                                   \
    }                                                                                              \
    BENCH_INLINE void sys_wait_begin(sys_thread m)                                                 \
    {                                                                                              \
        (void)m;                                                                                   \
    }                                                                                              \
    BENCH_INLINE void sys_wait_end(sys_thread m)                                                   \
    {                                                                                              \
        (void)m;                                                                                   \
    }

#define SYS_NO_REGIONS                                                                             \
    typedef int sys_region;                                                                        \
    BENCH_INLINE sys_region sys_region_begin(sys_thread m)                                         \
    {                                                                                              \
        (void)m;                                                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    BENCH_INLINE void sys_region_end(sys_thread m, sys_region region)                              \
    {                                                                                              \
        (void)m, (void)region;                                                                     \
    }

#define SYS_NO_NODES                                                                               \
    static inline unsigned sys_cpus(void)                                                          \
    {                                                                                              \
        return measure_cpus();                                                                     \
    }                                                                                              \
    static inline void sys_print_nodes(FILE *out)                                                  \
    {                                                                                              \
        (void)out;                                                                                 \
    }

/* Threads need not be registered: allocators, and collectors that see to it in pthread_create(). */
#define SYS_PLAIN_THREADS                                                                          \
    typedef int sys_thread;                                                                        \
    static inline bool sys_attach(sys_thread *m)                                                   \
    {                                                                                              \
        *m = 0;                                                                                    \
        return true;                                                                               \
    }                                                                                              \
    static inline void sys_detach(sys_thread m)                                                    \
    {                                                                                              \
        (void)m;                                                                                   \
    }

/* Systems that are told no types. */
#define SYS_NO_TYPES                                                                               \
    typedef int sys_type;                                                                          \
    static inline bool sys_type_object(const char *name, size_t size, uint64_t refs,               \
                                       sys_type *type)                                             \
    {                                                                                              \
        (void)name, (void)size, (void)refs;                                                        \
        *type = 0;                                                                                 \
        return true;                                                                               \
    }                                                                                              \
    static inline bool sys_type_buffer(const char *name, sys_type *type)                           \
    {                                                                                              \
        (void)name;                                                                                \
        *type = 0;                                                                                 \
        return true;                                                                               \
    }                                                                                              \
    static inline bool sys_type_refs(const char *name, sys_type *type)                             \
    {                                                                                              \
        (void)name;                                                                                \
        *type = 0;                                                                                 \
        return true;                                                                               \
    }

#endif
