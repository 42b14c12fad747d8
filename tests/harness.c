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

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct harness_suite *suites; /* sorted by name */

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
    printf("Repeat with SEED=%" PRIu64 "\n", harness_seed());
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
    printf("SEED=%" PRIu64 "%s%s\n", harness_seed(), options ? " HEARTH_OPTIONS=" : "",
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
    if (!harness_choose_seed()) {
        fprintf(stderr, "check_hearth: SEED='%s' is not a 64-bit number\n", getenv("SEED"));
        return 2;
    }
    harness_nodes(1);
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run_suites(argc - 1, argv + 1);
}
