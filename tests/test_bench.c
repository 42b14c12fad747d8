/* tests/test_bench.c - the benchmark programs: all systems do the same work, the result line is
 * complete, bad arguments are refused.
 *
 * Runs every built program <workload>-<system> of the directory HEARTH_BENCH_DIR (default
 * build/bench) with very little work. If the directory does not exist the tests say so and pass:
 * the programs are a target of their own.
 *
 * Invariant: the programs run as separate processes with their output in pipes, one at a time. */
#define _GNU_SOURCE 1

#include "tests/harness.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRAMS = 256, OUTPUT = 16384, ARGUMENTS = 16 };

/* How little work is enough to see that it is done. */
static const struct workload {
    const char *name;
    const char *const *variants; /* ends in NULL; NULL: none                                */
    double size;                 /* --size; 1: it has only one                              */
    double least_live_mb;        /* of one thread, at that size                             */
    double least_allocations;    /* of two threads at --scale 0.001                         */
    bool steady;                 /* another --scale, but the same checksum                  */
    bool nominal;                /* its live size is not used up                            */
} workloads[] = {
    {"gcbench", NULL, 1, 10, 100000, false, false},
    {"gcbench-holes", NULL, 1, 10, 100000, false, false},
    {"binary-trees", NULL, 1, 10, 100000, false, false},
    {"old-young", (const char *const[]){"array", "hash", NULL}, 0.02, 0.7, 40000, false, false},
    {"lru", NULL, 0.05, 1.5, 100000, false, false},
    {"cache", NULL, 0.02, 3.5, 10000, false, false},
    {"quads", NULL, 0.1, 1, 40000, false, false},
    {"splay", NULL, 0.05, 2, 50000, false, false},
    {"strings", NULL, 0.02, 1, 20000, false, false},
    {"mark", (const char *const[]){"random", "list", "tree", "shuffled", "array", NULL}, 0.002, 1,
     40000, true, false},
    {"alloc",
     (const char *const[]){"16", "24", "32", "64", "128", "256", "512", "1024", "2048", "4096",
                           NULL},
     1, 10, 1900, false, true},
    {"barrier", (const char *const[]){"young", "old", "array", "random", "range", NULL}, 1, 10, 1,
     true, true},
    {"pause", NULL, 1, 10, 1, false, true},
};
enum { WORKLOADS = sizeof workloads / sizeof workloads[0] };

static const char *const numbers[] = {"threads",
                                      "heap_x",
                                      "allocations",
                                      "cpu_s",
                                      "wall_s",
                                      "peak_rss_mb",
                                      "collections",
                                      "pause_p50_ms",
                                      "pause_p99_ms",
                                      "pause_max_ms",
                                      "live_mb",
                                      "heap_mb",
                                      "size",
                                      "ops",
                                      "work_cpu_s",
                                      "work_wall_s",
                                      "latency_p50_us",
                                      "latency_p99_us",
                                      "latency_p999_us",
                                      "latency_max_us"};
static const char *const texts[] = {"workload", "system", "checksum", "variant"};

/* One built program. */
struct program {
    char path[512];
    char system[64];
    const char *workload;
    bool foreign; /* a script that runs another language's program                      */
    bool alone;   /* of one thread only                                                 */
};

/* What a run of one gave. */
struct outcome {
    int status;         /* exit status, or 128 + signal      */
    char out[OUTPUT];   /* standard output, terminated       */
    char error[OUTPUT]; /* standard error, terminated        */
};

static struct program programs[PROGRAMS];
static struct outcome outcome;

static const char *bench_directory(void)
{
    const char *directory = getenv("HEARTH_BENCH_DIR");
    return directory != NULL && directory[0] != '\0' ? directory : "build/bench";
}

/* The workload with the longest name that the file name begins with, before a '-'. */
static const char *workload_of(const char *file)
{
    const char *best = NULL;
    for (size_t i = 0; i < WORKLOADS; i++) {
        const char *name = workloads[i].name;
        size_t length = strlen(name);
        if (strncmp(file, name, length) == 0 && file[length] == '-' && file[length + 1] != '\0' &&
            (best == NULL || length > strlen(best)))
            best = name;
    }
    return best;
}

/* Fills `programs`. -1 if the directory does not exist; one of the tests says so. */
static int find_programs(bool say)
{
    const char *directory = bench_directory();
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        if (say)
            fprintf(stderr, "bench: %s does not exist: no benchmark program is tested\n",
                    directory);
        return -1;
    }
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        struct program *program = &programs[count];
        program->workload = workload_of(entry->d_name);
        if (program->workload == NULL || strchr(entry->d_name, '.') != NULL)
            continue;
        snprintf(program->path, sizeof program->path, "%s/%s", directory, entry->d_name);
        snprintf(program->system, sizeof program->system, "%s",
                 entry->d_name + strlen(program->workload) + 1);
        ck_assert_msg(access(program->path, X_OK) == 0, "%s cannot be run", program->path);
        program->alone =
            strcmp(program->system, "ocaml") == 0 || strcmp(program->system, "pypy") == 0;
        program->foreign = program->alone || strcmp(program->system, "go") == 0 ||
                           strncmp(program->system, "java-", 5) == 0;
        ck_assert_int_lt(++count, PROGRAMS);
    }
    closedir(stream);
    ck_assert_msg(count > 0, "no benchmark program in %s", directory);
    return count;
}

static void read_all(FILE *file, char *text)
{
    rewind(file);
    size_t length = fread(text, 1, OUTPUT - 1, file);
    text[length] = '\0';
    fclose(file);
}

/* Runs a program with blank-separated arguments, and waits for it. */
static void run(const char *path, const char *arguments)
{
    char words[256];
    char *argv[ARGUMENTS] = {(char *)path};
    int argc = 1;
    snprintf(words, sizeof words, "%s", arguments);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        ck_assert_int_lt(argc, ARGUMENTS - 1);
        argv[argc++] = word;
    }
    FILE *out = tmpfile(), *error = tmpfile();
    ck_assert_msg(out != NULL && error != NULL, "no temporary file");
    pid_t child = fork();
    ck_assert_int_ne(child, -1);
    if (child == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(error), STDERR_FILENO);
        unsetenv("LD_PRELOAD"); /* a sanitizer's or a tool's is not the program's */
        execv(path, argv);
        _exit(127);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_all(out, outcome.out);
    read_all(error, outcome.error);
}

/* The text after "key": in the result line; the test fails if the key is not there once. */
static const char *field(const struct program *program, const char *key)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *at = strstr(outcome.out, pattern);
    ck_assert_msg(at != NULL, "%s: no %s in: %s", program->path, key, outcome.out);
    at += strlen(pattern);
    ck_assert_msg(strstr(at, pattern) == NULL, "%s: %s twice", program->path, key);
    return at;
}

static double number(const struct program *program, const char *key)
{
    const char *at = field(program, key);
    char *end;
    double value = strtod(at, &end);
    ck_assert_msg(end > at && (*end == ',' || *end == '}'), "%s: %s is no number in: %s",
                  program->path, key, outcome.out);
    return value;
}

static void text(const struct program *program, const char *key, char *value, size_t size)
{
    const char *at = field(program, key);
    const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
    ck_assert_msg(end != NULL, "%s: %s is no string in: %s", program->path, key, outcome.out);
    ck_assert_uint_lt((size_t)(end - at - 1), size);
    memcpy(value, at + 1, (size_t)(end - at - 1));
    value[end - at - 1] = '\0';
}

static void run_well(const struct program *program, const char *arguments)
{
    run(program->path, arguments);
    ck_assert_msg(outcome.status == 0, "%s %s: status %d: %s", program->path, arguments,
                  outcome.status, outcome.error);
}

/* The result line has every key, with a value that can be. */
static void check_result(const struct program *program, double threads, double heap_x)
{
    char value[64];
    ck_assert_msg(outcome.out[0] == '{' && strchr(outcome.out, '\n') != NULL &&
                      strchr(outcome.out, '\n')[1] == '\0',
                  "%s: not one line: %s", program->path, outcome.out);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert_msg(number(program, numbers[i]) >= 0, "%s: %s is negative", program->path,
                      numbers[i]);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text(program, texts[i], value, sizeof value);
    text(program, "workload", value, sizeof value);
    ck_assert_str_eq(value, program->workload);
    text(program, "system", value, sizeof value);
    ck_assert_str_eq(value, program->system);
    ck_assert_double_eq(number(program, "threads"), threads);
    ck_assert_double_eq(number(program, "heap_x"), heap_x);
    ck_assert_double_gt(number(program, "cpu_s"), 0);
    ck_assert_double_gt(number(program, "wall_s"), 0);
    ck_assert_double_gt(number(program, "peak_rss_mb"), 0.5);
    ck_assert_double_gt(number(program, "ops"), 0);
    ck_assert_double_le(number(program, "work_cpu_s"), number(program, "cpu_s") + 0.001);
    double heap = number(program, "heap_mb"), limit = heap_x * number(program, "live_mb");
    ck_assert_msg(heap == 0 || (heap > limit * 0.999 && heap < limit * 1.001),
                  "%s: the heap has %g MB, not %g", program->path, heap, limit);
    ck_assert_double_le(number(program, "pause_p50_ms"), number(program, "pause_p99_ms"));
    ck_assert_double_le(number(program, "pause_p99_ms"), 1.07 * number(program, "pause_max_ms"));
}

/* --size and --variant of a workload's small run, after `first`. */
static const char *small_run(const struct workload *workload, const char *variant,
                             const char *first)
{
    static char arguments[256];
    int length = snprintf(arguments, sizeof arguments, "%s --size %g", first, workload->size);
    if (variant != NULL)
        snprintf(arguments + length, sizeof arguments - (size_t)length, " --variant %s", variant);
    return arguments;
}

/* All systems of a workload do the same work: those with threads with two, or, if `alone`, hearth and
 * those that have only one. */
static void systems_agree(const struct workload *workload, const char *variant, bool alone)
{
    char first[64] = "", mine[64];
    double allocations = 0;
    int count = find_programs(false), threads = alone ? 1 : 2;
    for (int i = 0; i < count; i++) {
        const struct program *program = &programs[i];
        if (strcmp(program->workload, workload->name) != 0 ||
            (alone ? !program->alone && strcmp(program->system, "hearth") != 0 : program->alone))
            continue;
        run_well(program, small_run(workload, variant,
                                    alone ? "--json --threads 1 --heap-x 2.5 --scale 0.001"
                                          : "--json --threads 2 --heap-x 2.5 --scale 0.001"));
        check_result(program, threads, 2.5);
        ck_assert_double_gt(number(program, "live_mb"), threads * workload->least_live_mb);
        text(program, "variant", mine, sizeof mine);
        ck_assert_str_eq(mine, variant != NULL ? variant : "");
        text(program, "checksum", mine, sizeof mine);
        ck_assert_msg(first[0] == '\0' || strcmp(first, mine) == 0,
                      "%s: checksum %s, others have %s", program->path, mine, first);
        ck_assert_msg(first[0] == '\0' || allocations == number(program, "allocations"),
                      "%s: %g allocations, others have %g", program->path,
                      number(program, "allocations"), allocations);
        strcpy(first, mine);
        allocations = number(program, "allocations");
        ck_assert_double_ge(allocations, workload->least_allocations * threads / 2);
    }
}

START_TEST(test_bench_systems_agree)
{
    const struct workload *workload = &workloads[_i];
    for (int alone = 0; alone < 2; alone++) {
        if (workload->variants == NULL)
            systems_agree(workload, NULL, alone);
        for (int v = 0; workload->variants != NULL && workload->variants[v] != NULL; v++)
            systems_agree(workload, workload->variants[v], alone);
    }
}
END_TEST

/* More threads and more scale are more work, and the checksum shows it. */
START_TEST(test_bench_work_follows_arguments)
{
    const struct workload *workload = &workloads[_i];
    int count = find_programs(false);
    for (int i = 0; i < count; i++) {
        const struct program *program = &programs[i];
        char one[64], other[64];
        if (program->foreign || strcmp(program->workload, workload->name) != 0)
            continue;
        run_well(program, small_run(workload, NULL, "--json --scale 0.001"));
        check_result(program, 1, 2);
        double allocations = number(program, "allocations"), ops = number(program, "ops");
        text(program, "checksum", one, sizeof one);
        run_well(program, small_run(workload, NULL, "--json --scale=0.02 --threads=1 --heap-x=3"));
        check_result(program, 1, 3);
        text(program, "checksum", other, sizeof other);
        ck_assert_msg(workload->steady || strcmp(one, other) != 0, "%s: the same checksum",
                      program->path);
        ck_assert_double_ge(number(program, "allocations"), allocations);
        ck_assert_msg(strcmp(workload->name, "mark") == 0 || number(program, "ops") > 1.2 * ops,
                      "%s: no more operations", program->path);
        break; /* the code is common to all systems */
    }
}
END_TEST

/* Strings that grow, in a heap of twice what lives: if all blocks were full of holes before the larger sizes come, these
 * would have no room. */
START_TEST(test_bench_room_for_new_sizes)
{
    int count = find_programs(false);
    for (int i = 0; i < count; i++)
        if (strcmp(programs[i].workload, "strings") == 0 &&
            strcmp(programs[i].system, "hearth") == 0)
            run_well(&programs[i], "--json --heap-x 2 --size 0.05 --scale 0.05");
}
END_TEST

/* A tenth of the size has a tenth of what is live, and --live says so. */
START_TEST(test_bench_size)
{
    const struct workload *workload = &workloads[_i];
    int count = find_programs(false);
    for (int i = 0; i < count; i++) {
        if (strcmp(programs[i].workload, workload->name) != 0)
            continue;
        run_well(&programs[i], "--live");
        double all = strtod(outcome.out, NULL);
        run(programs[i].path, "--live --size 0.125");
        double tenth = strtod(outcome.out, NULL);
        if (workload->size == 1)
            ck_assert_msg(outcome.status == 2 && strstr(outcome.error, "'0.125'") != NULL,
                          "%s: status %d", programs[i].path, outcome.status);
        else
            ck_assert_msg(tenth > all * 0.124 && tenth < all * 0.126, "%s: %g of %g live",
                          programs[i].path, tenth, all);
        break;
    }
}
END_TEST

START_TEST(test_bench_bad_arguments)
{
    static const struct {
        const char *arguments;
        const char *named;
    } bad[] = {
        {"--threads 0", "'0'"},         {"--threads -1", "'-1'"},   {"--threads 2x", "'2x'"},
        {"--threads 99999", "'99999'"}, {"--threads", "--threads"}, {"--heap-x 0", "'0'"},
        {"--heap-x nan", "'nan'"},      {"--heap-x 1e9", "'1e9'"},  {"--heap-x=", "--heap-x"},
        {"--scale -2", "'-2'"},         {"--scale 1,5", "'1,5'"},   {"--scale", "--scale"},
        {"--jsonx", "'--jsonx'"},       {"gcbench", "'gcbench'"},   {"--json 7", "'7'"},
        {"--variant none", "'none'"},   {"--size 0", "'0'"},
    };
    int count = find_programs(true);
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; !programs[i].foreign && j < sizeof bad / sizeof bad[0]; j++) {
            run(programs[i].path, bad[j].arguments);
            ck_assert_msg(outcome.status == 2, "%s %s: status %d", programs[i].path,
                          bad[j].arguments, outcome.status);
            ck_assert_msg(strstr(outcome.error, bad[j].named) != NULL,
                          "%s %s: the message does not name %s: %s", programs[i].path,
                          bad[j].arguments, bad[j].named, outcome.error);
            ck_assert_msg(outcome.out[0] == '\0', "%s %s: prints a result", programs[i].path,
                          bad[j].arguments);
        }
    }
}
END_TEST

/* A heap too small for what is live: status 1 and a reason, no result, no crash. */
START_TEST(test_bench_heap_too_small)
{
    const struct workload *workload = &workloads[_i];
    int count = workload->nominal ? 0 : find_programs(false);
    for (int i = 0; i < count; i++) {
        const struct program *program = &programs[i];
        if (strcmp(program->workload, workload->name) != 0 ||
            (strcmp(program->system, "hearth") != 0 && strcmp(program->system, "bdwgc") != 0))
            continue;
        run(program->path, small_run(workload, NULL, "--json --heap-x 0.5 --scale 0.001"));
        ck_assert_msg(outcome.status == 1, "%s: status %d, %s", program->path, outcome.status,
                      outcome.error);
        ck_assert_msg(strstr(outcome.error, "no memory: ") != NULL &&
                          strstr(outcome.error, "no memory: \n") == NULL,
                      "%s: no reason: %s", program->path, outcome.error);
        ck_assert_str_eq(outcome.out, "");
    }
}
END_TEST

/* A result that cannot be written is a failed run. */
START_TEST(test_bench_full_device)
{
    int count = find_programs(false);
    for (int i = 0; i < count; i++) {
        char *command;
        if (programs[i].foreign)
            continue;
        ck_assert_int_gt(
            asprintf(&command, "%s --json --scale 0.001 >/dev/full 2>&1", programs[i].path), 0);
        int status = system(command);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %d", command,
                      status);
        free(command);
        break; /* the code is common to all systems */
    }
}
END_TEST

HARNESS_SUITE(bench)
{
    Suite *suite = suite_create("bench");
    TCase *tests = tcase_create("programs");
    tcase_set_timeout(tests, 240); /* a start of Java takes half a second or more */
    tcase_add_loop_test(tests, test_bench_systems_agree, 0, WORKLOADS);
    tcase_add_loop_test(tests, test_bench_work_follows_arguments, 0, WORKLOADS);
    tcase_add_test(tests, test_bench_room_for_new_sizes);
    tcase_add_loop_test(tests, test_bench_size, 0, WORKLOADS);
    tcase_add_loop_test(tests, test_bench_heap_too_small, 0, WORKLOADS);
    tcase_add_test(tests, test_bench_bad_arguments);
    tcase_add_test(tests, test_bench_full_device);
    suite_add_tcase(suite, tests);
    return suite;
}
