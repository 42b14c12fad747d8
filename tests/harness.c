/* tests/harness.c - the test runner: one process that runs every registered suite.
 *
 *     check_hearth [--list] [SUITE...]
 *
 * Runs the suites named (all of them without arguments) through one SRunner in the order of their
 * names, prints Check's report, and ends with Check's totals. Exit status 0 only if at least one
 * check ran and none failed; 2 for bad arguments. Environment: SEED=n repeats a run's random
 * numbers; HARNESS_DIVIDE=n makes tests that ask harness_scaled do an n-th; CK_RUN_SUITE,
 * CK_RUN_CASE, CK_FORK, CK_VERBOSITY, CK_DEFAULT_TIMEOUT, CK_TIMEOUT_MULTIPLIER are Check's.
 *
 * Invariant: the list is sorted by name, without duplicates. Single-threaded: no locks. */
#include "tests/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "topology/options.h"
#include "topology/topology.h"

static struct harness_suite *suites; /* sorted by name */
static uint64_t seed;                /* of this run    */

void harness_register(struct harness_suite *suite)
{
    struct harness_suite **link = &suites;
    while (*link != NULL && strcmp((*link)->name, suite->name) < 0)
        link = &(*link)->next;
    if (*link != NULL && strcmp((*link)->name, suite->name) == 0) {
        fprintf(stderr, "check_hearth: two suites are named '%s'\n", suite->name);
        abort();
    }
    suite->next = *link;
    *link = suite;
}

uint64_t harness_seed(void)
{
    return seed;
}

uint64_t harness_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t harness_random_below(uint64_t *state, uint64_t bound)
{
    uint64_t biased = -bound % bound; /* 2^64 mod bound numbers too many */
    uint64_t number;
    do
        number = harness_random(state);
    while (number < biased);
    return number % bound;
}

uint64_t harness_scaled(uint64_t count)
{
    const char *divide = getenv("HARNESS_DIVIDE");
    uint64_t by = divide != NULL ? strtoull(divide, NULL, 10) : 1;
    uint64_t scaled = by > 1 ? count / by : count;
    return scaled > 0 ? scaled : 1;
}

/* Nodes of the machine itself, whatever a test pretends later. Asked for before the first test, so
 * that its children know it. */
static int machine_nodes(void)
{
    static int nodes;
    struct hearth_options options;
    struct hearth_topology *topology = NULL;

    if (nodes > 0)
        return nodes;
    if (ht_options_defaults(&options, false) != HEARTH_OK ||
        ht_topology_create(&topology, &options) != HEARTH_OK)
        return 1;
    nodes = topology->nodes;
    ht_topology_destroy(topology);
    return nodes;
}

int harness_nodes(int count)
{
    int nodes = machine_nodes();
    int wanted = (count + nodes - 1) / nodes * nodes;
    return wanted <= HT_MAX_NODES ? wanted : HT_MAX_NODES / nodes * nodes;
}

hearth_status harness_parse(hearth_options *options, const char *text)
{
    hearth_status status = hearth_options_parse(options, text);
    if (status == HEARTH_OK && strstr(text, "fake-nodes=") != NULL && options->fake_nodes > 0)
        options->fake_nodes = harness_nodes((int)options->fake_nodes);
    return status;
}

void harness_expect_error(const char *call, hearth_status expected, const char *text)
{
    const char *message = hearth_last_error();
    ck_assert_msg(hearth_last_status() == expected, "%s: last status %s, expected %s", call,
                  hearth_status_name(hearth_last_status()), hearth_status_name(expected));
    ck_assert_msg(message != NULL && message[0] != '\0', "%s: no error message", call);
    ck_assert_msg(text == NULL || strstr(message, text) != NULL,
                  "%s: the message \"%s\" does not contain \"%s\"", call, message, text);
}

/* SEED from the environment, else a random one, short enough to be typed. False if it does not
 * parse. */
static bool choose_seed(void)
{
    const char *text = getenv("SEED");
    if (text == NULL || text[0] == '\0') {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            random = (uint32_t)time(NULL) ^ ((uint32_t)getpid() << 16);
        seed = random;
        return true;
    }
    char *end;
    errno = 0;
    seed = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && text[0] != '-';
}

static struct harness_suite *find_suite(const char *name)
{
    struct harness_suite *suite = suites;
    while (suite != NULL && strcmp(suite->name, name) != 0)
        suite = suite->next;
    return suite;
}

static bool is_selected(const struct harness_suite *suite, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strcmp(suite->name, names[i]) == 0)
            return true;
    return count == 0;
}

/* All selected suites in one runner, in the order of the list. NULL if there is none. */
static SRunner *create_runner(int count, char **names)
{
    SRunner *runner = NULL;
    for (struct harness_suite *suite = suites; suite != NULL; suite = suite->next) {
        if (!is_selected(suite, count, names))
            continue;
        if (runner == NULL)
            runner = srunner_create(suite->create());
        else
            srunner_add_suite(runner, suite->create());
    }
    return runner;
}

/* Check prints the failures after its totals: say how to repeat them and put the totals last. */
static void print_failures(SRunner *runner, int run, int failed)
{
    TestResult **results = srunner_failures(runner);
    int errors = 0;
    for (int i = 0; i < failed; i++)
        errors += tr_rtype(results[i]) == CK_ERROR;
    free(results);
    printf("Repeat with SEED=%" PRIu64 "\n", seed);
    printf("%d%%: Checks: %d, Failures: %d, Errors: %d\n", (run - failed) * 100 / run, run,
           failed - errors, errors);
}

static int run_suites(int count, char **names)
{
    SRunner *runner = create_runner(count, names);
    if (runner == NULL) {
        fprintf(stderr, "check_hearth: no suites\n");
        return 1;
    }
    const char *options = getenv("HEARTH_OPTIONS");
    printf("SEED=%" PRIu64 "%s%s\n", seed, options ? " HEARTH_OPTIONS=" : "",
           options ? options : "");
    fflush(stdout);
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    if (failed > 0)
        print_failures(runner, run, failed);
    if (run == 0)
        fprintf(stderr, "check_hearth: nothing was selected to run\n");
    srunner_free(runner);
    return run == 0 || failed > 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct harness_suite *suite = suites; suite != NULL; suite = suite->next)
            puts(suite->name);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (find_suite(argv[i]) == NULL) {
            fprintf(stderr, "check_hearth: no suite '%s'; --list shows them\n", argv[i]);
            return 2;
        }
    }
    if (!choose_seed()) {
        fprintf(stderr, "check_hearth: SEED='%s' is not a 64-bit number\n", getenv("SEED"));
        return 2;
    }
    machine_nodes();
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run_suites(argc - 1, argv + 1);
}
