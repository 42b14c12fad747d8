/* tests/fuzz/main.c - the fuzz target without a fuzzer: files first, then random strings.
 *
 *     fuzz_hearth [--operations N] [--seconds N] [--seed N] [--save FILE] [FILE|DIRECTORY]...
 *
 * Runs every file, then strings made of random bytes or of pieces of the files, until that many operations
 * were done or seconds have passed, whichever is first (neither: files only). Exit status 0: no difference;
 * 1: one was found, and the string that found it is in FILE; 2: wrong arguments.
 *
 * A child does the work. Invariant: the string it runs now and the counters lie in memory shared with the
 * parent, which therefore can save the string however the child ended. The child is killed when it has been
 * at one string for two minutes. No locks: the parent reads the string only after the child's end. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { STRING_MAX = 1 << 16, RANDOM_MAX = 1 << 16, FILES_MAX = 4096, HANG_SECONDS = 120 };

struct shared {
    struct fuzz_counts counts;
    size_t size; /* of the string that runs now */
    uint8_t string[STRING_MAX];
};

struct arguments {
    uint64_t operations, seconds, seed;
    const char *save;
    char *file[FILES_MAX];
    size_t files;
};

struct corpus {
    uint8_t *string[FILES_MAX];
    size_t size[FILES_MAX];
    size_t count;
};

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static _Noreturn void give_up(const char *what, const char *value)
{
    fprintf(stderr, "fuzz_hearth: %s '%s'%s%s\n", what, value, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(2);
}

/* --- arguments ----------------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
    char *end;

    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
        give_up("not a number:", text);
    return value;
}

static void add_file(struct arguments *arguments, char *path)
{
    if (arguments->files == FILES_MAX)
        give_up("too many files:", path);
    arguments->file[arguments->files++] = path;
}

/* A file, or the files of a directory in the order of their names. */
static void add_path(struct arguments *arguments, char *path)
{
    struct dirent **entry;
    struct stat about;

    if (stat(path, &about) != 0)
        give_up("cannot read", path);
    if (!S_ISDIR(about.st_mode)) {
        add_file(arguments, strdup(path));
        return;
    }
    int count = scandir(path, &entry, NULL, alphasort);
    if (count < 0)
        give_up("cannot read", path);
    for (int i = 0; i < count; i++) {
        char *name;
        if (entry[i]->d_name[0] != '.' && asprintf(&name, "%s/%s", path, entry[i]->d_name) > 0)
            add_file(arguments, name);
        free(entry[i]);
    }
    free(entry);
}

static void parse(struct arguments *arguments, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (name[0] != '-') {
            add_path(arguments, argv[i]);
            continue;
        }
        i++;
        if (strcmp(name, "--operations") == 0)
            arguments->operations = number(value);
        else if (strcmp(name, "--seconds") == 0)
            arguments->seconds = number(value);
        else if (strcmp(name, "--seed") == 0)
            arguments->seed = number(value);
        else if (strcmp(name, "--save") == 0)
            arguments->save = value;
        else
            give_up("unknown argument", name);
    }
}

static void corpus_read(struct corpus *corpus, const struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->files; i++) {
        FILE *file = fopen(arguments->file[i], "rb");
        if (file == NULL)
            give_up("cannot read", arguments->file[i]);
        uint8_t *string = malloc(STRING_MAX);
        corpus->string[i] = string;
        corpus->size[i] = fread(string, 1, STRING_MAX, file);
        fclose(file);
    }
    corpus->count = arguments->files;
}

/* --- the child ----------------------------------------------------------------------------------- */

static void run(struct shared *shared, size_t size)
{
    __atomic_store_n(&shared->size, size, __ATOMIC_RELEASE);
    fuzz_string(shared->string, size);
}

/* Random bytes; their number has as many digits as any other. */
static size_t make_random(uint64_t *random, uint8_t *string)
{
    size_t size = harness_random_below(random, RANDOM_MAX >> harness_random_below(random, 3)) + 1;

    for (size_t i = 0; i < size; i++)
        string[i] = (uint8_t)harness_random(random);
    return size;
}

/* The beginning of one file, the end of another, and a few bytes changed. */
static size_t make_pieces(uint64_t *random, const struct corpus *corpus, uint8_t *string)
{
    size_t one = harness_random_below(random, corpus->count), size = 0;
    size_t two = harness_random_below(random, corpus->count);
    size_t head = harness_random_below(random, corpus->size[one] + 1);
    size_t tail = harness_random_below(random, corpus->size[two] + 1);

    if (tail > STRING_MAX - head)
        tail = STRING_MAX - head;
    memcpy(string, corpus->string[one], head);
    memcpy(string + head, corpus->string[two] + corpus->size[two] - tail, tail);
    size = head + tail;
    for (uint64_t n = harness_random_below(random, 8); n > 0 && size > 0; n--)
        string[harness_random_below(random, size)] = (uint8_t)harness_random(random);
    return size;
}

static void child(struct shared *shared, const struct arguments *arguments, double end)
{
    static struct corpus corpus;
    uint64_t random = arguments->seed;
    bool limited = arguments->operations != 0 || arguments->seconds != 0;

    corpus_read(&corpus, arguments);
    for (size_t i = 0; i < corpus.count; i++) {
        memcpy(shared->string, corpus.string[i], corpus.size[i]);
        run(shared, corpus.size[i]);
    }
    while (limited && now() < end &&
           (arguments->operations == 0 || shared->counts.operations < arguments->operations)) {
        bool pieces = corpus.count > 0 && harness_random_below(&random, 4) == 0;
        run(shared, pieces ? make_pieces(&random, &corpus, shared->string)
                           : make_random(&random, shared->string));
    }
    for (size_t i = 0; i < corpus.count; i++)
        free(corpus.string[i]);
}

/* --- the parent ---------------------------------------------------------------------------------- */

/* Wait for the child; kill it if it stays at one string. Its status as waitpid gives it. */
static int watch(pid_t pid, const struct shared *shared)
{
    const struct timespec pause = {0, 20000000};
    uint64_t strings = 0;
    double since = now();
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        uint64_t done = __atomic_load_n(&shared->counts.strings, __ATOMIC_RELAXED);
        if (done != strings) {
            strings = done;
            since = now();
        } else if (now() - since > HANG_SECONDS) {
            fprintf(stderr, "fuzz_hearth: a string takes more than %d s\n", HANG_SECONDS);
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        nanosleep(&pause, NULL);
    }
    return status;
}

static void save(const struct shared *shared, const struct arguments *arguments)
{
    FILE *file = fopen(arguments->save, "wb");

    fprintf(stderr,
            "fuzz_hearth: FAILED in string %" PRIu64 " (%zu bytes) of seed %" PRIu64
            "; to repeat it: fuzz_hearth %s\n",
            shared->counts.strings + 1, shared->size, arguments->seed, arguments->save);
    if (file == NULL || fwrite(shared->string, 1, shared->size, file) != shared->size)
        fprintf(stderr, "fuzz_hearth: cannot write %s\n", arguments->save);
    if (file != NULL)
        fclose(file);
}

int main(int argc, char **argv)
{
    static struct arguments arguments = {.save = "fuzz-failure"};
    double begin = now();

    if (!harness_choose_seed())
        give_up("not a number: SEED =", getenv("SEED"));
    arguments.seed = harness_seed();
    parse(&arguments, argc, argv);
    harness_nodes(1);
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        give_up("no memory:", "mmap");
    fuzz_counts = &shared->counts;
    printf("fuzz: %zu files, SEED=%" PRIu64 "\n", arguments.files, arguments.seed);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        give_up("cannot start", "a child");
    if (pid == 0) {
        child(shared, &arguments,
              arguments.seconds != 0 ? begin + (double)arguments.seconds : 1e300);
        for (size_t i = 0; i < arguments.files; i++)
            free(arguments.file[i]);
        return 0;
    }
    int status = watch(pid, shared);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        save(shared, &arguments);
        return 1;
    }
    fuzz_print_counts(now() - begin);
    return 0;
}
