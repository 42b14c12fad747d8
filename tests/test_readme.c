/* tests/test_readme.c - what the documents say is true of the code: the README's listing is the example,
 * its command builds it and it prints what is shown; a page of docs/ with C blocks is one program that runs;
 * docs/options.md has the table of options; options and files that are named exist.
 *
 * Programs are compiled by the system's `cc` and linked with libhearth.a of the directory
 * HEARTH_BUILD_DIR (`make check` sets it). Without that variable build/ is taken, and if no library is
 * there the tests say so and pass, because `make check-runner` does not build it.
 *
 * Invariant: everything written lies in a fresh directory, removed at the end. Runs from the root of the
 * repository. */
#define _GNU_SOURCE 1

#include "tests/harness.h"

#include <dirent.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hearth/options.h"

static char scratch[256];

/* The whole file as a string; the caller frees it. */
static char *slurp(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t size = 0, length;

    ck_assert_msg(file != NULL, "%s cannot be read (the tests run from the repository's root)",
                  path);
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    char buffer[4096];
    while ((length = fread(buffer, 1, sizeof buffer, file)) > 0)
        ck_assert_uint_eq(fwrite(buffer, 1, length, out), length);
    fclose(out);
    fclose(file);
    return text;
}

static void spill(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_msg(file != NULL, "%s cannot be written", path);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* A copy of the text between the line "```kind" and the next "```"; *at goes behind it. NULL: no more. */
static char *block(const char **at, const char *kind)
{
    char fence[32];
    snprintf(fence, sizeof fence, "\n```%s\n", kind);
    const char *begin = strstr(*at, fence);
    if (begin == NULL)
        return NULL;
    begin += strlen(fence);
    const char *end = strstr(begin - 1, "\n```");
    ck_assert_msg(end != NULL, "a block of %s does not end", kind);
    *at = end + 1;
    return strndup(begin, (size_t)(end + 1 - begin));
}

/* A copy of `text` with `from`, which must occur, replaced everywhere. Frees `text`. */
static char *replaced(char *text, const char *from, const char *to)
{
    char *result = NULL;
    size_t size = 0;
    ck_assert_msg(strstr(text, from) != NULL, "\"%s\" does not occur in: %s", from, text);
    FILE *out = open_memstream(&result, &size);
    ck_assert_ptr_nonnull(out);
    for (const char *at = text; *at != '\0';) {
        bool hit = strncmp(at, from, strlen(from)) == 0;
        if (hit)
            fputs(to, out);
        else
            fputc(*at, out);
        at += hit ? strlen(from) : 1;
    }
    fclose(out);
    free(text);
    return result;
}

static void scratch_make(void)
{
    const char *top = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/hearth-readme-XXXXXX",
             top != NULL && top[0] != '\0' ? top : "/tmp");
    ck_assert_msg(mkdtemp(scratch) != NULL, "no directory %s", scratch);
}

static void scratch_remove(void)
{
    DIR *stream = opendir(scratch);
    struct dirent *entry;
    char path[600];
    ck_assert_ptr_nonnull(stream);
    while ((entry = readdir(stream)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", scratch, entry->d_name);
        if (entry->d_name[0] != '.')
            ck_assert_int_eq(unlink(path), 0);
    }
    closedir(stream);
    ck_assert_int_eq(rmdir(scratch), 0);
}

/* The archive, NULL if there is none and none was promised. */
static const char *archive(void)
{
    static char path[512];
    const char *directory = getenv("HEARTH_BUILD_DIR");
    bool promised = directory != NULL && directory[0] != '\0';
    snprintf(path, sizeof path, "%s/libhearth.a", promised ? directory : "build");
    if (access(path, R_OK) == 0)
        return path;
    ck_assert_msg(!promised, "there is no %s", path);
    fprintf(stderr, "readme: %s does not exist: no program is compiled\n", path);
    return NULL;
}

/* Runs a script in a clean environment, which must succeed, and removes the scratch directory. Returns
 * the script's output and errors. */
static char *run(const char *script)
{
    char file[512], command[1024];
    char *text = NULL;
    size_t size = 0;
    snprintf(file, sizeof file, "%s/script", scratch);
    spill(file, script);
    snprintf(command, sizeof command, "env -u HEARTH_OPTIONS -u LD_PRELOAD sh -eu %s 2>&1", file);
    FILE *pipe = popen(command, "r"), *out = open_memstream(&text, &size);
    ck_assert_msg(pipe != NULL && out != NULL, "%s cannot be run", command);
    for (int c; (c = fgetc(pipe)) != EOF;)
        fputc(c, out);
    fclose(out);
    int status = pclose(pipe);
    scratch_remove();
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d of: %s\n%s", status,
                  script, text);
    return text;
}

START_TEST(test_readme_listing)
{
    char *readme = slurp("README.md"), *file = slurp("examples/sixty_seconds.c");
    const char *at = readme;
    char *listing = block(&at, "c");
    ck_assert_msg(listing != NULL, "README.md has no listing");
    ck_assert_msg(strcmp(listing, file) == 0,
                  "README.md's listing is not examples/sixty_seconds.c:\n%s", listing);
    free(listing);
    free(file);
    free(readme);
}
END_TEST

/* The shell block as it stands, with other paths for the library and the program. */
START_TEST(test_readme_command)
{
    const char *library = archive();
    if (library == NULL)
        return;
    char *readme = slurp("README.md"), program[512];
    const char *at = readme;
    char *script = block(&at, "sh"), *shown = block(&at, "text");
    ck_assert_msg(script != NULL && shown != NULL, "README.md shows no command or no output");
    scratch_make();
    snprintf(program, sizeof program, "%s/sixty_seconds", scratch);
    script = replaced(script, "build/libhearth.a", library);
    script = replaced(script, "build/sixty_seconds", program);
    char *printed = run(script);
    ck_assert_str_eq(printed, shown);
    free(printed);
    free(shown);
    free(script);
    free(readme);
}
END_TEST

/* README.md, then the pages of docs/ in the order of their names. */
static char **documents;
static int document_count;

static void documents_find(void)
{
    static glob_t found;
    static char readme[] = "README.md";
    documents = calloc(1, sizeof *documents);
    if (glob("docs/*.md", 0, NULL, &found) == 0) {
        free(documents);
        documents = calloc(found.gl_pathc + 1, sizeof *documents);
    }
    documents[document_count++] = readme;
    for (size_t i = 0; i < found.gl_pathc; i++)
        documents[document_count++] = found.gl_pathv[i];
}

/* All C blocks of a page, in their order, as one file; NULL: it has none. `*shown` gets its text block, the
 * empty string if it has none. */
static char *page_program(const char *path, char **shown)
{
    char *guide = slurp(path), *program = NULL, *part;
    const char *at = guide;
    size_t size = 0;
    *shown = block(&at, "text");
    if (*shown == NULL)
        *shown = strdup("");
    at = guide;
    FILE *out = open_memstream(&program, &size);
    ck_assert_ptr_nonnull(out);
    while ((part = block(&at, "c")) != NULL) {
        fputs(part, out);
        free(part);
    }
    fclose(out);
    free(guide);
    if (size == 0) {
        free(program);
        free(*shown);
        return NULL;
    }
    ck_assert_msg(strstr(program, "int main(void)") != NULL, "%s has no main", path);
    return program;
}

static const char *const guide_flags[] = {"-O2", "-O0 -DHEARTH_CHECKED"};
enum { GUIDE_FLAGS = sizeof guide_flags / sizeof guide_flags[0] };

/* Three runs: as users build it, with every call checked, and collected as often as possible. README.md's
 * listing has a test of its own. */
START_TEST(test_readme_guide)
{
    const char *library = archive();
    const char *page = documents[1 + _i / GUIDE_FLAGS];
    char *shown, *program = library != NULL ? page_program(page, &shown) : NULL;
    char *script, path[512];
    if (program == NULL)
        return;
    scratch_make();
    snprintf(path, sizeof path, "%s/guide.c", scratch);
    spill(path, program);
    ck_assert_int_gt(asprintf(&script,
                              "cc -std=c11 %s -Wall -Wextra -Werror -pthread -Iinclude %s %s "
                              "$(pkg-config --libs hwloc numa) -lc -lmimalloc -lm -o %s/guide\n"
                              "%s/guide\n"
                              "HEARTH_OPTIONS=verify=on,stress=1,poison=on %s/guide >%s/again\n",
                              guide_flags[_i % GUIDE_FLAGS], path, library, scratch, scratch,
                              scratch, scratch),
                     0);
    char *printed = run(script);
    ck_assert_msg(strcmp(printed, shown) == 0, "%s: printed is\n%s\nshown is\n%s", page, printed,
                  shown);
    free(printed);
    free(shown);
    free(script);
    free(program);
}
END_TEST

/* What values an option takes: its words, or its kind and bounds; round terabytes get a suffix. */
static void option_values(const hearth_option_info *option, char *values, size_t size)
{
    const double tera = 1024.0 * 1024 * 1024 * 1024;
    size_t length = 0;
    if (option->choices != NULL) {
        for (const char *c = option->choices; *c != '\0' && length + 3 < size; c++)
            length += (size_t)sprintf(values + length, *c == '|' ? ", " : "%c", *c);
    } else if (option->kind == HEARTH_OPTION_BOOL) {
        snprintf(values, size, "on, off");
    } else if (option->kind == HEARTH_OPTION_SIZE) {
        snprintf(values, size, "bytes, %.15g to %.15gt", option->min, option->max / tera);
    } else if (option->kind == HEARTH_OPTION_TEXT) {
        snprintf(values, size, "a file's name");
    } else {
        snprintf(values, size, "%.15g to %.15g", option->min, option->max);
    }
}

/* The row of the table, as `docs/options.md` must have it. */
static void option_row(const hearth_option_info *option, char *row, size_t size)
{
    char values[128];
    option_values(option, values, sizeof values);
    snprintf(row, size, "| `%s` | %s | `%s` | %s |\n", option->name, values, option->fallback,
             option->help);
}

START_TEST(test_readme_options_table)
{
    char *text = slurp("docs/options.md"), row[512];
    size_t rows = 0;
    for (size_t i = 0; i < hearth_option_count(); i++) {
        option_row(hearth_option_at(i), row, sizeof row);
        ck_assert_msg(strstr(text, row) != NULL, "docs/options.md does not have the row:\n%s", row);
    }
    for (const char *at = text; (at = strstr(at, "\n| `")) != NULL; at++)
        rows++;
    ck_assert_uint_eq(rows, hearth_option_count());
    free(text);
}
END_TEST

/* Every `name=value` in backquotes, of lower-case letters, digits, '-' and '.', is an option that can be
 * set so; several may be joined by commas. */
START_TEST(test_readme_options_named)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-.,=";
    char *text = slurp(documents[_i]), word[128];
    hearth_options *options;
    int named = 0;
    HARNESS_OK(hearth_options_create(&options));
    for (const char *at = text; (at = strchr(at, '`')) != NULL; at++) {
        size_t length = strspn(at + 1, alphabet);
        if (at[1] == '-' || at[length + 1] != '`' || length >= sizeof word ||
            memchr(at + 1, '=', length) == NULL)
            continue;
        memcpy(word, at + 1, length);
        word[length] = '\0';
        HARNESS_OK(hearth_options_parse(options, word));
        named++;
    }
    hearth_options_destroy(options);
    ck_assert_msg(named > 0 || _i != 0, "%s names no option", documents[_i]);
    free(text);
}
END_TEST

/* A block that begins with "```c PATH" is a part of that file, which others compile and run. */
START_TEST(test_readme_quotes)
{
    char *text = slurp(documents[_i]), path[256];
    for (const char *at = text; (at = strstr(at, "\n```c ")) != NULL;) {
        at += strlen("\n```c ");
        size_t length = strcspn(at, "\n");
        snprintf(path, sizeof path, "%.*s", (int)length, at);
        char *file = slurp(path);
        const char *begin = at + length + 1, *end = strstr(begin, "```");
        ck_assert_msg(end != NULL, "%s: a block of %s does not end", documents[_i], path);
        char *quote = strndup(begin, (size_t)(end - begin));
        ck_assert_msg(strstr(file, quote) != NULL, "%s quotes what %s does not have:\n%s",
                      documents[_i], path, quote);
        free(quote);
        free(file);
        at = end;
    }
    free(text);
}
END_TEST

/* Relative links lead to files. */
START_TEST(test_readme_links)
{
    char *text = slurp(documents[_i]), path[512];
    const char *slash = strrchr(documents[_i], '/');
    int folder = slash != NULL ? (int)(slash + 1 - documents[_i]) : 0;
    for (const char *at = text; (at = strstr(at, "](")) != NULL; at += 2) {
        int length = (int)strcspn(at + 2, ")#");
        if (strncmp(at + 2, "http", 4) == 0 || length == 0)
            continue;
        snprintf(path, sizeof path, "%.*s%.*s", folder, documents[_i], length, at + 2);
        ck_assert_msg(access(path, R_OK) == 0, "%s links to %s, which is not there", documents[_i],
                      path);
    }
    free(text);
}
END_TEST

/* make bench pastes its table between two marks, once each, in this order. */
START_TEST(test_readme_marks)
{
    char *text = slurp("README.md");
    const char *begin = strstr(text, "<!-- bench:begin -->\n");
    const char *end = strstr(text, "<!-- bench:end -->\n");
    ck_assert_ptr_nonnull(begin);
    ck_assert_ptr_nonnull(end);
    ck_assert(begin < end);
    ck_assert_ptr_null(strstr(begin + 1, "<!-- bench:begin -->"));
    ck_assert_ptr_null(strstr(end + 1, "<!-- bench:end -->"));
    free(text);
}
END_TEST

HARNESS_SUITE(readme)
{
    Suite *suite = suite_create("readme");
    TCase *programs = tcase_create("programs"), *words = tcase_create("words");
    documents_find();
    tcase_set_timeout(programs, 60);
    tcase_add_test(programs, test_readme_listing);
    tcase_add_test(programs, test_readme_command);
    tcase_add_loop_test(programs, test_readme_guide, 0, (document_count - 1) * GUIDE_FLAGS);
    tcase_add_test(words, test_readme_options_table);
    tcase_add_loop_test(words, test_readme_options_named, 0, document_count);
    tcase_add_loop_test(words, test_readme_quotes, 0, document_count);
    tcase_add_loop_test(words, test_readme_links, 0, document_count);
    tcase_add_test(words, test_readme_marks);
    suite_add_tcase(suite, programs);
    suite_add_tcase(suite, words);
    return suite;
}
