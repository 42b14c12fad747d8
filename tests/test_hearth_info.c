/* tests/test_hearth_info.c - the program hearth-info: tables, JSON that a parser accepts,
 * complaints.
 *
 * The program's source is compiled into the test and run in a child, so it is tested with the same
 * sanitizers as the rest, and needs no path to a build. */
#define _GNU_SOURCE 1

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/wait.h>

#define main hearth_info_main
#include "topology/hearth-info.c"
#undef main

#include "tests/topology_fixture.h"

enum { OUTPUT = 1 << 17, ARGUMENTS = 6 };

/* What a run printed and returned. */
struct run {
    char out[OUTPUT];
    char error[4096];
    int status;
};

static struct run *run; /* the last one, freed with the process */

static void read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t length;

    ck_assert_ptr_nonnull(file);
    length = fread(text, 1, size, file);
    ck_assert_uint_lt(length, size);
    text[length] = '\0';
    fclose(file);
}

static void redirect(int descriptor, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (file < 0 || dup2(file, descriptor) < 0)
        _exit(126);
    close(file);
}

/* Run hearth-info with up to five arguments; standard output goes to `out` if not NULL. */
static struct run *hearth_info_to(const char *out, const char *const arguments[])
{
    char *directory = fixture_directory(), *argv[ARGUMENTS + 1] = {(char *)"hearth-info"};
    char paths[2][PATH_MAX];
    int argc = 1, status;
    pid_t child;

    for (; argc < ARGUMENTS && arguments[argc - 1] != NULL; argc++)
        argv[argc] = (char *)arguments[argc - 1];
    snprintf(paths[0], PATH_MAX, "%s/out", directory);
    snprintf(paths[1], PATH_MAX, "%s/error", directory);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        redirect(STDOUT_FILENO, out != NULL ? out : paths[0]);
        redirect(STDERR_FILENO, paths[1]);
        exit(hearth_info_main(argc, argv));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (run == NULL)
        run = calloc(1, sizeof(*run));
    run->out[0] = '\0';
    if (out == NULL)
        read_file(paths[0], run->out, sizeof(run->out));
    read_file(paths[1], run->error, sizeof(run->error));
    ck_assert_msg(WIFEXITED(status), "wait status %d: %s", status, run->error);
    run->status = WEXITSTATUS(status);
    fixture_remove(directory);
    return run;
}

#define hearth_info(...) hearth_info_to(NULL, (const char *const[]){__VA_ARGS__, NULL})

/* --- a strict JSON reader --------------------------------------------------------------------- */

/* Values stay text; a path such as "nodes[1].cpus" is looked up by walking again. */
static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_value(const char *at);

static const char *skip_string(const char *at)
{
    ck_assert_msg(*at == '"', "string expected at: %.40s", at);
    for (at++; *at != '"'; at++) {
        ck_assert_msg((unsigned char)*at >= 0x20, "control character or end in a string");
        if (*at != '\\')
            continue;
        at++;
        ck_assert_msg(*at != '\0' && strchr("\"\\/bfnrtu", *at) != NULL, "escape \\%c", *at);
        for (int digits = 0; *at == 'u' && digits < 4; digits++)
            ck_assert(isxdigit((unsigned char)at[1 + digits]));
    }
    return at + 1;
}

static const char *skip_digits(const char *at)
{
    ck_assert_msg(isdigit((unsigned char)*at), "digit expected at: %.40s", at);
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

static const char *skip_number(const char *at)
{
    at += *at == '-';
    ck_assert_msg(at[0] != '0' || !isdigit((unsigned char)at[1]), "leading zero: %.40s", at);
    at = skip_digits(at);
    if (*at == '.')
        at = skip_digits(at + 1);
    if (*at == 'e' || *at == 'E')
        at = skip_digits(at + 1 + (at[1] == '+' || at[1] == '-'));
    return at;
}

/* An object or array: members separated by single commas, nothing behind the last. */
static const char *skip_members(const char *at, char close)
{
    at = skip_space(at + 1);
    if (*at == close)
        return at + 1;
    for (;;) {
        if (close == '}') {
            at = skip_space(skip_string(skip_space(at)));
            ck_assert_msg(*at == ':', "':' expected at: %.40s", at);
            at++;
        }
        at = skip_space(skip_value(at));
        if (*at == close)
            return at + 1;
        ck_assert_msg(*at == ',', "',' or '%c' expected at: %.40s", close, at);
        at = skip_space(at + 1);
    }
}

static const char *skip_value(const char *at)
{
    static const char *const words[] = {"true", "false", "null"};

    at = skip_space(at);
    if (*at == '{')
        return skip_members(at, '}');
    if (*at == '[')
        return skip_members(at, ']');
    if (*at == '"')
        return skip_string(at);
    for (int i = 0; i < 3; i++) {
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    }
    return skip_number(at);
}

static void expect_json(const char *text)
{
    ck_assert_msg(*skip_space(skip_value(text)) == '\0', "text behind the value");
}

/* The value of a member of the object at `at`, NULL if there is none. */
static const char *member_of(const char *at, const char *name, size_t length)
{
    ck_assert_int_eq(*at, '{');
    for (at = skip_space(at + 1); *at != '}'; at = skip_space(at)) {
        const char *end = skip_string(at);
        bool found = (size_t)(end - at - 2) == length && strncmp(at + 1, name, length) == 0;

        at = skip_space(skip_space(end) + 1);
        if (found)
            return at;
        at = skip_space(skip_value(at));
        at = skip_space(at + (*at == ','));
    }
    return NULL;
}

static const char *element_of(const char *at, int index)
{
    ck_assert_int_eq(*at, '[');
    for (at = skip_space(at + 1); *at != ']'; at = skip_space(at + (*at == ','))) {
        if (index-- == 0)
            return at;
        at = skip_space(skip_value(at));
    }
    return NULL;
}

/* The text of the value at a path, strings with their quotes; "" if there is none. */
static const char *json(const char *path)
{
    static char text[512];
    const char *at = skip_space(run->out), *end;

    while (*path != '\0' && at != NULL) {
        size_t length = strcspn(path, ".[");

        if (*path == '[') {
            at = element_of(at, atoi(path + 1));
            path = strchr(path, ']') + 1;
        } else {
            at = member_of(at, path, length);
            path += length;
        }
        path += *path == '.';
    }
    if (at == NULL)
        return "";
    end = skip_value(at);
    snprintf(text, sizeof(text), "%.*s", (int)(end - at), at);
    return text;
}

static const char *jsonf(const char *format, ...)
{
    char path[128];
    va_list args;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    return json(path);
}

/* --- JSON ------------------------------------------------------------------------------------- */

START_TEST(json_tells_the_machine)
{
    fixture_recorded("cpuless");
    hearth_info("--json");
    ck_assert_int_eq(run->status, 0);
    ck_assert_str_eq(run->error, "");
    expect_json(run->out);
    ck_assert_str_eq(json("version"), "\"" HEARTH_VERSION "\"");
    ck_assert_str_eq(json("page_size"), "4096");
    ck_assert_str_eq(json("cpus.usable"), "4");
    ck_assert_str_eq(json("cpus.allowed"), "4");
    ck_assert_str_eq(json("cpus.quota"), "null");
    ck_assert_int_eq(strncmp(json("libraries.hwloc"), "\"2.", 3), 0);
    ck_assert_int_eq(strncmp(json("libraries.mimalloc"), "\"2.0.", 5), 0);
    ck_assert_int_eq(strncmp(json("libraries.libnuma"), "\"API 2", 6), 0);
    ck_assert_str_eq(json("nodes[0].cpu_list"), "\"0-1\"");
    ck_assert_str_eq(json("nodes[1].os_node"), "1");
    ck_assert_str_eq(json("nodes[1].cpuless"), "false");
    ck_assert_str_eq(json("nodes[2].cpuless"), "true");
    ck_assert_str_eq(json("nodes[2].cpus"), "0");
    ck_assert_str_eq(json("nodes[2].fake"), "false");
    ck_assert_str_eq(json("nodes[0].memory_bytes"), "493547520");
    ck_assert_str_eq(json("nodes[3]"), "");
    ck_assert_str_eq(json("distances"),
                     "[\n    [10, 21, 17],\n    [21, 10, 28],\n    [17, 28, 10]\n"
                     "  ]");
}
END_TEST

START_TEST(json_has_every_option)
{
    static const char *const kinds[] = {"\"bool\"",  "\"int\"",    "\"size\"",
                                        "\"float\"", "\"choice\"", "\"text\""};

    fixture_recorded("ring4");
    hearth_info("--json", "--options", "growth=3.25,nursery=6m,fake-nodes=8");
    ck_assert_int_eq(run->status, 0);
    expect_json(run->out);
    for (size_t i = 0; i < hearth_option_count(); i++) {
        const hearth_option_info *info = hearth_option_at(i);
        char quoted[300];

        snprintf(quoted, sizeof(quoted), "\"%s\"", info->name);
        ck_assert_str_eq(jsonf("options[%d].name", (int)i), quoted);
        ck_assert_str_eq(jsonf("options[%d].kind", (int)i), kinds[info->kind]);
        snprintf(quoted, sizeof(quoted), "\"%s\"", info->fallback);
        ck_assert_str_eq(jsonf("options[%d].default", (int)i), quoted);
        if (strcmp(info->name, "growth") == 0)
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), "\"3.25\"");
        else if (strcmp(info->name, "nursery") == 0)
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), "\"6m\"");
        else if (strcmp(info->name, "fake-nodes") == 0)
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), "\"8\"");
        else
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), quoted);
        ck_assert_int_eq(jsonf("options[%d].help", (int)i)[0], '"');
        ck_assert_int_eq(strcmp(jsonf("options[%d].choices", (int)i), "null") != 0,
                         info->kind == HEARTH_OPTION_CHOICE);
        ck_assert_str_ne(jsonf("options[%d].min", (int)i), "");
        ck_assert_str_ne(jsonf("options[%d].max", (int)i), "");
    }
    ck_assert_str_eq(jsonf("options[%d]", (int)hearth_option_count()), "");
    ck_assert_str_eq(json("nodes[7].fake"), "true");
    ck_assert_str_eq(json("nodes[7].os_node"), "3");
}
END_TEST

START_TEST(environment_has_the_last_word)
{
    fixture_recorded("ring4");
    setenv("HEARTH_OPTIONS", "workers=3", 1);
    hearth_info("--json", "--options=workers=2,prefetch=7");
    expect_json(run->out);
    for (size_t i = 0; i < hearth_option_count(); i++) {
        if (strcmp(hearth_option_at(i)->name, "workers") == 0)
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), "\"3\"");
        if (strcmp(hearth_option_at(i)->name, "prefetch") == 0)
            ck_assert_str_eq(jsonf("options[%d].value", (int)i), "\"7\"");
    }
}
END_TEST

START_TEST(json_string_escapes)
{
    char *directory = fixture_directory(), path[PATH_MAX], text[256];
    pid_t child;
    int status;

    snprintf(path, sizeof(path), "%s/out", directory);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        redirect(STDOUT_FILENO, path);
        json_string("a\"b\\c\nd\x01 \xc3\xa9");
        fflush(stdout);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    read_file(path, text, sizeof(text));
    ck_assert_str_eq(text, "\"a\\\"b\\\\c\\u000ad\\u0001 \xc3\xa9\"");
    expect_json(text);
    fixture_remove(directory);
}
END_TEST

/* --- tables and complaints -------------------------------------------------------------------- */

START_TEST(tables_show_the_same)
{
    fixture_recorded("cpuless");
    hearth_info(NULL);
    ck_assert_int_eq(run->status, 0);
    ck_assert_str_eq(run->error, "");
    ck_assert_ptr_nonnull(strstr(run->out, "hearth    " HEARTH_VERSION "\n"));
    ck_assert_ptr_nonnull(strstr(run->out, "cpus      4 usable of 4 allowed, no quota\n"));
    ck_assert_ptr_nonnull(strstr(run->out, "   1       1     2         503         503  real"
                                           "     2-3\n"));
    ck_assert_ptr_nonnull(strstr(run->out, "cpuless  -\n"));
    ck_assert_ptr_nonnull(strstr(run->out, "\n       1   21   10   28\n"));
    for (size_t i = 0; i < hearth_option_count(); i++) {
        char line[64];

        snprintf(line, sizeof(line), "\n%-17s %-9s %-9s ", hearth_option_at(i)->name,
                 hearth_option_at(i)->fallback, hearth_option_at(i)->fallback);
        ck_assert_msg(strstr(run->out, line) != NULL, "no line:%s", line);
    }
}
END_TEST

START_TEST(this_machine_works)
{
    fixture_real();
    hearth_info("--json");
    ck_assert_msg(run->status == 0, "%s", run->error);
    expect_json(run->out);
    ck_assert_int_eq(strncmp(json("distances[0]"), "[10", 3), 0);
    ck_assert_int_ge(atoi(json("cpus.usable")), 1);
}
END_TEST

START_TEST(help_and_version)
{
    fixture_real();
    hearth_info("--help");
    ck_assert_int_eq(run->status, 0);
    ck_assert_ptr_nonnull(strstr(run->out, "usage: hearth-info"));
    ck_assert_ptr_nonnull(strstr(run->out, "--json"));
    ck_assert_ptr_nonnull(strstr(run->out, "--options"));
    hearth_info("--version");
    ck_assert_str_eq(run->out, "hearth-info " HEARTH_VERSION "\n");
}
END_TEST

static const struct {
    const char *arguments[3];
    const char *complaint;
} wrong[] = {
    {{"--jsn"}, "'--jsn'"},
    {{"--json", "extra"}, "'extra'"},
    {{""}, "''"},
    {{"--options"}, "--options needs"},
    {{"--options", "colour=red"}, "\"colour\""},
    {{"--options=workers=many"}, "\"many\""},
    {{"--options", "fake-nodes=3"}, "3 is no multiple"},
};

START_TEST(wrong_arguments_exit_with_2)
{
    fixture_recorded("ring4");
    hearth_info(wrong[_i].arguments[0], wrong[_i].arguments[1], wrong[_i].arguments[2]);
    ck_assert_int_eq(run->status, 2);
    ck_assert_str_eq(run->out, "");
    ck_assert_msg(strstr(run->error, wrong[_i].complaint) != NULL, "%s", run->error);
    ck_assert_int_eq(strncmp(run->error, "hearth-info: ", 13), 0);
}
END_TEST

START_TEST(other_failures)
{
    fixture_recorded("ring4");
    setenv("HEARTH_OPTIONS", "log", 1);
    hearth_info("--json");
    ck_assert_int_eq(run->status, 2);
    ck_assert_ptr_nonnull(strstr(run->error, "HEARTH_OPTIONS"));
    fixture_synthetic("nonsense");
    hearth_info("--json");
    ck_assert_int_eq(run->status, 1);
    ck_assert_ptr_nonnull(strstr(run->error, "nonsense"));
    ck_assert_str_eq(run->out, "");
    fixture_recorded("ring4");
    hearth_info_to("/dev/full", (const char *const[]){"--json", NULL});
    ck_assert_int_eq(run->status, 1);
    ck_assert_ptr_nonnull(strstr(run->error, "standard output"));
}
END_TEST

HARNESS_SUITE(hearth_info)
{
    Suite *suite = suite_create("hearth_info");
    TCase *output = tcase_create("output");
    TCase *complaints = tcase_create("complaints");

    tcase_add_test(output, json_tells_the_machine);
    tcase_add_test(output, json_has_every_option);
    tcase_add_test(output, environment_has_the_last_word);
    tcase_add_test(output, json_string_escapes);
    tcase_add_test(output, tables_show_the_same);
    tcase_add_test(output, this_machine_works);
    tcase_add_test(output, help_and_version);
    suite_add_tcase(suite, output);
    tcase_add_loop_test(complaints, wrong_arguments_exit_with_2, 0,
                        sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(complaints, other_failures);
    suite_add_tcase(suite, complaints);
    return suite;
}
