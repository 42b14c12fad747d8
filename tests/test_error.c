/* tests/test_error.c - status names and the thread's last error. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/harness.h"
#include "topology/error.h"

START_TEST(every_status_has_a_name_and_a_text)
{
#define HEARTH_X(name, value, text)                                                                \
    ck_assert_int_eq(HEARTH_##name, value);                                                        \
    ck_assert_str_eq(hearth_status_name(HEARTH_##name), "HEARTH_" #name);                          \
    ck_assert_str_eq(hearth_strerror(HEARTH_##name), text);
    HEARTH_STATUS_MAP(HEARTH_X)
#undef HEARTH_X
}
END_TEST

START_TEST(numbers_that_are_no_status_are_answered)
{
    static const int numbers[] = {-1, HEARTH_STATUS_COUNT, 1000000, -2147483647 - 1, 2147483647};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        hearth_status status = (hearth_status)numbers[i];

        ck_assert_str_eq(hearth_strerror(status), "not a hearth status");
        ck_assert_str_eq(hearth_status_name(status), "HEARTH_?");
    }
}
END_TEST

START_TEST(first_state_is_ok_and_empty)
{
    ck_assert_int_eq(hearth_last_status(), HEARTH_OK);
    ck_assert_str_eq(hearth_last_error(), "");
}
END_TEST

START_TEST(failure_is_recorded_and_returned)
{
    errno = ENOTTY;
    ck_assert_int_eq(ht_fail(HEARTH_ENODE, "node %d of %s", 7, "three"), HEARTH_ENODE);
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_int_eq(hearth_last_status(), HEARTH_ENODE);
    ck_assert_str_eq(hearth_last_error(), "node 7 of three");
}
END_TEST

START_TEST(message_may_quote_the_one_before)
{
    ht_fail(HEARTH_EOPTION, "unknown option \"x\"");
    ht_fail(HEARTH_EINVAL, "heap: %s!", hearth_last_error());
    ck_assert_str_eq(hearth_last_error(), "heap: unknown option \"x\"!");
}
END_TEST

START_TEST(long_message_is_cut_and_terminated)
{
    char text[2000];

    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ht_fail(HEARTH_ESYSTEM, "%s", text);
    ck_assert_uint_lt(strlen(hearth_last_error()), sizeof(text) - 1);
    ck_assert_uint_gt(strlen(hearth_last_error()), 200);
    ck_assert_mem_eq(hearth_last_error(), text, strlen(hearth_last_error()));
}
END_TEST

static void *fail_elsewhere(void *data)
{
    (void)data;
    if (hearth_last_status() != HEARTH_OK || strcmp(hearth_last_error(), "") != 0)
        return "a new thread starts with an error";
    ht_fail(HEARTH_ENOMEM, "elsewhere");
    return strcmp(hearth_last_error(), "elsewhere") == 0 ? NULL : "the thread's own error is lost";
}

START_TEST(errors_belong_to_their_thread)
{
    pthread_t thread;
    void *complaint;

    ht_fail(HEARTH_ESIZE, "here");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, &complaint), 0);
    ck_assert_msg(complaint == NULL, "%s", (const char *)complaint);
    ck_assert_int_eq(hearth_last_status(), HEARTH_ESIZE);
    ck_assert_str_eq(hearth_last_error(), "here");
}
END_TEST

START_TEST(version_is_that_of_the_header)
{
    char text[32];

    snprintf(text, sizeof(text), "%d.%d.%d", HEARTH_VERSION_MAJOR, HEARTH_VERSION_MINOR,
             HEARTH_VERSION_PATCH);
    ck_assert_str_eq(hearth_version(), text);
    ck_assert_str_eq(hearth_version(), HEARTH_VERSION);
}
END_TEST

HARNESS_SUITE(error)
{
    Suite *suite = suite_create("error");
    TCase *tcase = tcase_create("error");

    tcase_add_test(tcase, every_status_has_a_name_and_a_text);
    tcase_add_test(tcase, numbers_that_are_no_status_are_answered);
    tcase_add_test(tcase, first_state_is_ok_and_empty);
    tcase_add_test(tcase, failure_is_recorded_and_returned);
    tcase_add_test(tcase, message_may_quote_the_one_before);
    tcase_add_test(tcase, long_message_is_cut_and_terminated);
    tcase_add_test(tcase, errors_belong_to_their_thread);
    tcase_add_test(tcase, version_is_that_of_the_header);
    suite_add_tcase(suite, tcase);
    return suite;
}
