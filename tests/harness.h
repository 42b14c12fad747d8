/* tests/harness.h - what every test file shares: suite registration, the random seed, assertions on
 * statuses.
 *
 * All tests/test_*.c are linked with all library objects into one runner, so internal functions can
 * be tested as well as public ones. A suite registers itself by a constructor; the runner sorts the
 * suites by name, so the order never depends on the linker. Each test runs in a forked child
 * (CK_FORK=no in the environment runs them all in one process, for a debugger); the seed is chosen
 * before the first fork and is the same in all of them. */
#ifndef HEARTH_TESTS_HARNESS_H
#define HEARTH_TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "hearth/options.h"
#include "hearth/status.h"

struct harness_suite {
    const char *name;
    Suite *(*create)(void);
    struct harness_suite *next;
};

/* Adds a suite to the runner's list. Called by HARNESS_SUITE's constructor, before main. */
void harness_register(struct harness_suite *suite);

/* Defines the function that builds the suite and registers it:
 *
 *     HARNESS_SUITE(pool)
 *     {
 *         Suite *suite = suite_create("pool");
 *         ...
 *         return suite;
 *     }
 *
 * Give suite_create the same name: the runner selects suites by the one, CK_RUN_SUITE by the
 * other. */
#define HARNESS_SUITE(suite_name)                                                                  \
    static Suite *harness_create_##suite_name(void);                                               \
    __attribute__((constructor)) static void harness_register_##suite_name(void)                   \
    {                                                                                              \
        static struct harness_suite self = {#suite_name, harness_create_##suite_name, NULL};       \
        harness_register(&self);                                                                   \
    }                                                                                              \
    static Suite *harness_create_##suite_name(void)

/* The seed of this run: SEED=n from the environment, else random. Printed by the runner. Tests
 * derive all their randomness from it, so that SEED=n repeats a run. */
uint64_t harness_seed(void);

/* For main functions: take the seed from the environment or choose it. False if SEED does not parse. */
bool harness_choose_seed(void);

/* The next number of a splitmix64 sequence (Steele, Lea, Flood, OOPSLA 2014). Any state is a good
 * start; give each thread its own, for example harness_seed() + thread number. */
uint64_t harness_random(uint64_t *state);

/* A number in [0, bound), bound > 0, without bias. */
uint64_t harness_random_below(uint64_t *state, uint64_t bound);

/* How often to repeat something: `count`, or less (never 0) in runs that are slow by nature, such as
 * ThreadSanitizer's and valgrind's, where `make` sets HARNESS_DIVIDE. */
uint64_t harness_scaled(uint64_t count);

/* `count` fake nodes on this machine: tests name numbers that suit a machine of one node; where there
 * are more, the next multiple of theirs (HT_MAX_NODES at most). */
int harness_nodes(int count);

/* hearth_options_parse, with the number after fake-nodes= by harness_nodes. */
hearth_status harness_parse(hearth_options *options, const char *text);

/* As ck_assert, for loops and threads: Check writes a record at every assertion of its own. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("Assertion '%s' failed; last error: %s", #condition,                      \
                         hearth_last_error());                                                     \
    } while (0)

/* The call must return HEARTH_OK; if not, its last error is shown. Evaluates `call` once. */
#define HARNESS_OK(call)                                                                           \
    do {                                                                                           \
        hearth_status harness_status_ = (call);                                                    \
        ck_assert_msg(harness_status_ == HEARTH_OK, "%s = %s: %s", #call,                          \
                      hearth_status_name(harness_status_), hearth_last_error());                   \
    } while (0)

/* The call must fail with this status, record it as the thread's last one, and leave a message. */
#define HARNESS_STATUS(call, expected)                                                             \
    do {                                                                                           \
        hearth_status harness_status_ = (call);                                                    \
        ck_assert_msg(harness_status_ == (expected), "%s = %s, expected %s; last error: %s",       \
                      #call, hearth_status_name(harness_status_), #expected, hearth_last_error()); \
        harness_expect_error(#call, (expected), NULL);                                             \
    } while (0)

/* The same, and the message must contain `text`: the value that was wrong. */
#define HARNESS_STATUS_NAMES(call, expected, text)                                                 \
    do {                                                                                           \
        HARNESS_STATUS(call, expected);                                                            \
        harness_expect_error(#call, (expected), (text));                                           \
    } while (0)

/* A call that returns a pointer must return NULL and leave this status and a message. */
#define HARNESS_NULL(call, expected)                                                               \
    do {                                                                                           \
        const void *harness_pointer_ = (call);                                                     \
        ck_assert_msg(harness_pointer_ == NULL, "%s = %p, expected NULL and %s", #call,            \
                      harness_pointer_, #expected);                                                \
        harness_expect_error(#call, (expected), NULL);                                             \
    } while (0)

/* Fails the test unless the calling thread's last error is `expected` with a message that contains
 * `text` (any message if NULL). `call` is shown. */
void harness_expect_error(const char *call, hearth_status expected, const char *text);

#endif
