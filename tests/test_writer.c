/* tests/test_writer.c - numbers and JSON strings as text; a function that gives up. */
#include "gc/writer.h"

#include <stdio.h>

#include "tests/harness.h"
#include "tests/json.h"
#include "tests/text.h"

static void expect_string(const char *string, const char *json)
{
    static struct hg_writer writer;
    struct text text = {0};

    hg_writer_init(&writer, text_add, &text);
    hg_write_string(&writer, string);
    ck_assert(hg_writer_flush(&writer));
    ck_assert_str_eq(text.at, json);
    ck_assert(json_check(text.at));
    free(text.at);
}

START_TEST(strings_are_escaped)
{
    expect_string("", "\"\"");
    expect_string("plain name", "\"plain name\"");
    expect_string("a\"b\\c", "\"a\\u0022b\\u005cc\"");
    expect_string("\n\x01\x7f", "\"\\u000a\\u0001\\u007f\"");
    expect_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x88",
                  "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x88\"");
    expect_string("\xfc\xc3", "\"\\u00fc\\u00c3\""); /* no UTF-8 */
    expect_string("\xc0\x80", "\"\\u00c0\\u0080\""); /* overlong */
    expect_string("\xe0\x80\x80", "\"\\u00e0\\u0080\\u0080\"");
    expect_string("\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""); /* a surrogate */
    expect_string("\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\"");
}
END_TEST

START_TEST(numbers_and_many_pieces)
{
    static const uint64_t numbers[] = {0, 9, 10, 1234567890, UINT64_MAX};
    static struct hg_writer writer;
    struct text text = {0};
    char *should = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&should, &size);

    hg_writer_init(&writer, text_add, &text);
    for (int i = 0; i < 20000; i++) {
        hg_write_number(&writer, numbers[i % 5]);
        hg_write_text(&writer, i % 2 ? "," : ", and ");
        fprintf(out, "%llu%s", (unsigned long long)numbers[i % 5], i % 2 ? "," : ", and ");
    }
    fclose(out);
    ck_assert(hg_writer_flush(&writer));
    ck_assert_uint_eq(text.length, size);
    ck_assert(memcmp(text.at, should, size) == 0);
    free(text.at);
    free(should);
}
END_TEST

START_TEST(nothing_more_is_given_to_a_function_that_gave_up)
{
    static struct hg_writer writer;
    struct text text = {.most = 2};

    hg_writer_init(&writer, text_add, &text);
    for (int i = 0; i < 100000; i++)
        hg_write_text(&writer, "word ");
    ck_assert(!hg_writer_flush(&writer));
    ck_assert_uint_eq(text.calls, 2);
    ck_assert_uint_eq(text.length, sizeof(writer.buffer));
    free(text.at);
}
END_TEST

HARNESS_SUITE(writer)
{
    Suite *suite = suite_create("writer");
    TCase *tcase = tcase_create("writer");

    tcase_add_test(tcase, strings_are_escaped);
    tcase_add_test(tcase, numbers_and_many_pieces);
    tcase_add_test(tcase, nothing_more_is_given_to_a_function_that_gave_up);
    suite_add_tcase(suite, tcase);
    return suite;
}
