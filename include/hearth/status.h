/* hearth/status.h - result codes, messages, version and linkage.
 *
 * Every fallible call returns a `hearth_status`. On failure the calling thread's last error is set
 * to a sentence that names the wrong value; on success it is left as it was (the convention of
 * errno). The library never prints, exits or installs signal handlers. */
#ifndef HEARTH_STATUS_H
#define HEARTH_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEARTH_VERSION_MAJOR 0
#define HEARTH_VERSION_MINOR 1
#define HEARTH_VERSION_PATCH 0
#define HEARTH_VERSION       "0.1.0"

#if defined(__GNUC__)
#define HEARTH_API         __attribute__((visibility("default")))
#define HEARTH_INLINE      static inline __attribute__((always_inline, unused))
#define HEARTH_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HEARTH_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HEARTH_NODISCARD   __attribute__((warn_unused_result))
#define HEARTH_COLD        __attribute__((cold, noinline))
#else
#error "hearth needs GCC or clang (GNU atomics and attributes)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, description): the one list behind the enum, hearth_strerror and the tests
 * (the error scheme of libuv). Values are ABI: append only. */
#define HEARTH_STATUS_MAP(X)                                                                       \
    X(OK, 0, "success")                                                                            \
    X(EINVAL, 1, "invalid argument")                                                               \
    X(ENOMEM, 2, "the operating system or a node has no memory left")                              \
    X(ELIMIT, 3, "the heap limit is reached and nothing more can be reclaimed")                    \
    X(EOPTION, 4, "unknown option, or its value does not parse")                                   \
    X(ETYPE, 5, "unknown or unsuitable object type")                                               \
    X(ESIZE, 6, "object size is zero, wrong for its type, or too large")                           \
    X(ETHREAD, 7, "the calling thread does not own this mutator")                                  \
    X(ESTATE, 8, "not allowed in the present state")                                               \
    X(ESYSTEM, 9, "a system or library call failed")                                               \
    X(ENODE, 10, "no such memory node, or it may not be used")                                     \
    X(ESLOT, 11, "the slot does not lie inside the object")                                        \
    X(EOBJECT, 12, "not an object of this heap")                                                   \
    X(ECORRUPT, 13, "the heap verifier found a broken invariant")

typedef enum hearth_status {
#define HEARTH_X(name, value, text) HEARTH_##name = value,
    HEARTH_STATUS_MAP(HEARTH_X)
#undef HEARTH_X
        HEARTH_STATUS_COUNT = 14
} hearth_status;

/* What a status means, in English; never NULL, also for a number that is no status. Static
 * storage, any thread, no safepoint. */
HEARTH_API const char *hearth_strerror(hearth_status status);

/* The name of a status as written in C, for example "HEARTH_ELIMIT". Static storage. */
HEARTH_API const char *hearth_status_name(hearth_status status);

/* The status and the sentence of the last failure on the calling thread; HEARTH_OK and "" before
 * the first. The string belongs to the thread and is overwritten by its next failure. */
HEARTH_API hearth_status hearth_last_status(void);
HEARTH_API const char *hearth_last_error(void);

/* The version the library was built as, "major.minor.patch". Compare with HEARTH_VERSION. */
HEARTH_API const char *hearth_version(void);

#ifdef __cplusplus
}
#endif
#endif
