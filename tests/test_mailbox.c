/* tests/test_mailbox.c - batches, queues, and the count that says when all is done. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "alloc/meta.h"
#include "gc/mailbox.h"
#include "tests/harness.h"
#include "tests/window_fixture.h"

/* No node gives memory any more: what is reserved is used up, and no more can be reserved. */
static void exhaust(struct ha_windows *windows)
{
    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    for (int n = 0; n < windows->nodes; n++)
        while (ha_meta_take(windows, n, HG_SLAB) != NULL)
            ;
}

static void mail_open(struct hg_mail *mail, int nodes)
{
    memset(mail, 0, sizeof(*mail));
    HARNESS_OK(hg_mail_init(mail, fixture_windows(nodes, 0), nodes));
    ck_assert_int_eq(mail->nodes, nodes);
    ck_assert(hg_mail_check(mail));
}

static struct hg_batch *batch_of(struct hg_mail *mail, int node, uintptr_t value)
{
    struct hg_batch *batch = hg_batch_take(mail, node);

    EXPECT(batch != NULL && batch->count == 0 && batch->node == node);
    batch->entry[batch->count++] = value;
    return batch;
}

START_TEST(a_batch_lies_on_its_node_and_is_reused)
{
    struct hg_mail mail;

    mail_open(&mail, 4);
    for (int n = 0; n < 4; n++) {
        struct hg_batch *batch = batch_of(&mail, n, 1);
        ck_assert_int_eq(ha_node_of(mail.windows, (uintptr_t)batch), n);
        ck_assert_uint_eq((uintptr_t)batch % 4096, 0);
        hg_batch_give(&mail, batch);
        ck_assert_ptr_eq(hg_batch_take(&mail, n), batch);
        ck_assert_uint_eq(batch->count, 0);
        hg_batch_give(&mail, batch);
    }
    hg_mail_destroy(&mail);
}
END_TEST

START_TEST(many_batches_are_distinct)
{
    enum { MANY = 200 };
    static struct hg_batch *batch[MANY];
    struct hg_mail mail;

    mail_open(&mail, 1);
    for (int i = 0; i < MANY; i++) {
        batch[i] = batch_of(&mail, 0, 0);
        memset(batch[i]->entry, i, sizeof(batch[i]->entry));
    }
    for (int i = 0; i < MANY; i++)
        for (size_t k = 0; k < sizeof(batch[i]->entry); k++)
            EXPECT(((unsigned char *)batch[i]->entry)[k] == (unsigned char)i);
    for (int i = 0; i < MANY; i++)
        hg_batch_give(&mail, batch[i]);
    hg_mail_destroy(&mail);
}
END_TEST

START_TEST(the_inbox_comes_before_the_shared_list)
{
    struct hg_mail mail;

    mail_open(&mail, 2);
    hg_mail_begin(&mail, 0);
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 10), false);
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 20), true);
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 30), false);
    ck_assert_uint_eq(hg_mail_pending(&mail), 3);
    ck_assert(!hg_mail_check(&mail));
    ck_assert_uint_eq(mail.queue[1]->received, 1);
    ck_assert_ptr_null(hg_mail_fetch(&mail, 0));
    uintptr_t seen[3];
    for (int i = 0; i < 3; i++) {
        struct hg_batch *batch = hg_mail_fetch(&mail, 1);
        ck_assert_ptr_nonnull(batch);
        seen[i] = batch->entry[0];
        hg_batch_give(&mail, batch);
    }
    ck_assert_uint_eq(seen[0], 20);
    ck_assert_uint_eq(seen[1] + seen[2], 40);
    ck_assert_ptr_null(hg_mail_fetch(&mail, 1));
    ck_assert(!hg_mail_done(&mail)); /* the caller is busy */
    ck_assert(hg_mail_idle(&mail, 0) == HG_REST_DONE);
    ck_assert(hg_mail_done(&mail) && hg_mail_check(&mail));
    hg_mail_destroy(&mail);
}
END_TEST

START_TEST(nobody_joins_when_all_is_done)
{
    struct hg_mail mail;

    mail_open(&mail, 1);
    ck_assert(!hg_mail_join(&mail, 0));
    hg_mail_begin(&mail, 0);
    ck_assert(hg_mail_join(&mail, 0)); /* two are busy now */
    hg_mail_post(&mail, 0, batch_of(&mail, 0, 1), false);
    ck_assert(hg_mail_idle(&mail, 0) == HG_REST_WORK); /* there is a batch: busy again */
    struct hg_batch *batch = hg_mail_fetch(&mail, 0);
    ck_assert_ptr_nonnull(batch);
    hg_batch_give(&mail, batch);
    mail.work -= (uint64_t)1 << 32; /* the other one is through */
    ck_assert(hg_mail_idle(&mail, 0) == HG_REST_DONE);
    ck_assert(!hg_mail_join(&mail, 0));
    hg_mail_destroy(&mail);
}
END_TEST

/* What is offered goes to any thief; an inbox only without workers there, or with a backlog. */
START_TEST(what_thieves_may_take)
{
    struct hg_mail mail;

    mail_open(&mail, 3);
    hg_mail_begin(&mail, 0);
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 10), true); /* nobody is there, nor was called */
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, false));
    hg_mail_expect(&mail, 1, 1); /* somebody will come: only for the impatient */
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 11), true);
    ck_assert_ptr_null(hg_mail_steal(&mail, 1, false));
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, true));
    ck_assert(hg_mail_join(&mail, 1)); /* came */
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 12), true);
    ck_assert_ptr_null(hg_mail_steal(&mail, 1, true));
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 13), false);
    struct hg_batch *batch = hg_mail_steal(&mail, 1, false);
    ck_assert_uint_eq(batch->entry[0], 13);
    hg_batch_give(&mail, batch);
    ck_assert_ptr_null(hg_mail_steal(&mail, 1, false));
    for (uintptr_t i = 1; i < HG_BACKLOG; i++)
        hg_mail_post(&mail, 1, batch_of(&mail, 0, 20 + i), true);
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, false));
    ck_assert_ptr_null(hg_mail_steal(&mail, 1, false)); /* one less than a backlog */
    ck_assert_uint_eq(hg_mail_waiting(&mail, 1), HG_BACKLOG - 1);
    while ((batch = hg_mail_fetch(&mail, 1)) != NULL)
        hg_batch_give(&mail, batch);
    ck_assert_uint_eq(hg_mail_pending(&mail), 0);
    hg_mail_again(&mail, 2);
    hg_mail_post(&mail, 1, batch_of(&mail, 1, 30), true); /* those of the phase are gone */
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, false));
    ck_assert_int_eq(hg_mail_idle(&mail, 2), HG_REST_DONE);
    hg_mail_destroy(&mail);
}
END_TEST

/* Work for those who were called is waited for, but not for ever. */
START_TEST(patience_ends)
{
    struct hg_mail mail;

    mail_open(&mail, 2);
    hg_mail_begin(&mail, 0);
    hg_mail_expect(&mail, 1, 1);
    hg_mail_post(&mail, 1, batch_of(&mail, 0, 1), true);
    uint64_t begin = ht_os_now();
    ck_assert_int_eq(hg_mail_idle(&mail, 0), HG_REST_IMPATIENT);
    ck_assert_uint_ge(ht_os_now() - begin, HG_PATIENCE_NS);
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, true));
    hg_mail_post(&mail, 1, batch_of(&mail, 0, 2), true);
    hg_mail_expect(&mail, 1, -1); /* it will not come */
    ck_assert_int_eq(hg_mail_idle(&mail, 0), HG_REST_WORK);
    hg_batch_give(&mail, hg_mail_steal(&mail, 1, false));
    ck_assert_int_eq(hg_mail_idle(&mail, 0), HG_REST_DONE);
    hg_mail_destroy(&mail);
}
END_TEST

/* A phase that ran dry does not ask again; the next one does. */
START_TEST(without_memory_there_is_no_batch)
{
    struct hg_mail mail;
    uint64_t before;

    mail_open(&mail, 2);
    hg_mail_begin(&mail, 0);
    exhaust(mail.windows);
    while (hg_batch_take(&mail, 0) != NULL)
        ;
    before = ht_fault_count(HT_FAULT_RESERVE);
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_null(hg_batch_take(&mail, 0));
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_RESERVE), before);
    ck_assert_ptr_null(hg_batch_take(&mail, 1)); /* its own queue */
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    ck_assert_ptr_null(hg_batch_take(&mail, 0));
    ck_assert(hg_mail_idle(&mail, 0) == HG_REST_DONE);
    hg_mail_begin(&mail, 0);
    struct hg_batch *batch = hg_batch_take(&mail, 0);
    ck_assert_ptr_nonnull(batch);
    hg_batch_give(&mail, batch);
    hg_mail_destroy(&mail);
}
END_TEST

START_TEST(creation_fails_without_memory)
{
    struct ha_windows *windows = fixture_windows(4, 0);
    struct hg_mail mail = {0};

    exhaust(windows);
    for (int n = 0; n < 4; n++)
        while (ha_meta_take(windows, n, sizeof(struct hg_queue)) != NULL)
            ;
    HARNESS_STATUS_NAMES(hg_mail_init(&mail, windows, 4), HEARTH_ENOMEM, "node");
    ck_assert_int_eq(mail.nodes, 0);
}
END_TEST

/* --- ending ------------------------------------------------------------------------------------ */

/* Workers that hand random numbers to each other: an entry n makes n % 3 entries below n, each for a random
 * node. All are used up exactly once, all workers end, none before the end. */
struct relay {
    struct hg_mail mail;
    uint64_t made, used; /* entries (atomic) */
    uint64_t seed;
};

struct relay_worker {
    int home;
    struct relay *relay;
    struct hg_batch *out[8];
    uint64_t random;
    pthread_t thread;
};

#ifdef HEARTH_DEBUG
static uint64_t delay_state;

static void delay_sometimes(void)
{
    uint64_t at = __atomic_add_fetch(&delay_state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    uint64_t dice = harness_random(&at) % 256;
    const struct timespec pause = {0, (long)(dice * 2000)};

    if (dice < 4)
        nanosleep(&pause, NULL);
    else if (dice < 32)
        sched_yield();
}
#endif

static void relay_send(struct relay_worker *w, uintptr_t value)
{
    struct hg_mail *mail = &w->relay->mail;
    int node = (int)harness_random_below(&w->random, (uint64_t)mail->nodes);

    __atomic_fetch_add(&w->relay->made, 1, __ATOMIC_RELAXED);
    if (w->out[node] == NULL)
        w->out[node] = hg_batch_take(mail, node);
    EXPECT(w->out[node] != NULL);
    w->out[node]->entry[w->out[node]->count++] = value;
    if (w->out[node]->count == 5) {
        hg_mail_post(mail, node, w->out[node], harness_random_below(&w->random, 2));
        w->out[node] = NULL;
    }
}

static void relay_flush(struct relay_worker *w)
{
    for (int n = 0; n < w->relay->mail.nodes; n++)
        if (w->out[n] != NULL) {
            hg_mail_post(&w->relay->mail, n, w->out[n], true);
            w->out[n] = NULL;
        }
}

static struct hg_batch *relay_take(struct relay_worker *w, bool impatient)
{
    struct hg_mail *mail = &w->relay->mail;
    struct hg_batch *batch = hg_mail_fetch(mail, w->home);

    for (int n = 0; n < mail->nodes && batch == NULL; n++)
        if (n != w->home)
            batch = hg_mail_steal(mail, n, impatient);
    return batch;
}

static void relay_work(struct relay_worker *w)
{
    struct hg_mail *mail = &w->relay->mail;
    enum hg_rest rest = HG_REST_WORK;

    do {
        struct hg_batch *batch;
        while ((batch = relay_take(w, rest == HG_REST_IMPATIENT)) != NULL) {
            for (uint32_t i = 0; i < batch->count; i++) {
                uintptr_t value = batch->entry[i];
                __atomic_fetch_add(&w->relay->used, 1, __ATOMIC_RELAXED);
                for (uintptr_t k = 0; value > 0 && k < value % 3; k++)
                    relay_send(w, harness_random_below(&w->random, value));
            }
            hg_batch_give(mail, batch);
            relay_flush(w);
        }
        rest = hg_mail_idle(mail, w->home);
    } while (rest != HG_REST_DONE);
    EXPECT(hg_mail_done(mail));
}

static void *relay_main(void *argument)
{
    struct relay_worker *w = argument;

    if (hg_mail_join(&w->relay->mail, w->home))
        relay_work(w);
    return NULL;
}

START_TEST(all_entries_are_used_and_all_workers_end)
{
    enum { WORKERS = 4 };
    static struct relay relay;
    static struct relay_worker worker[WORKERS];
    int nodes = 1 + _i * 2;

#ifdef HEARTH_DEBUG
    delay_state = harness_seed();
    hg_mail_delay = delay_sometimes;
#endif
    mail_open(&relay.mail, nodes);
    for (uint64_t round = 0; round < harness_scaled(60); round++) {
        relay.made = relay.used = 0;
        hg_mail_begin(&relay.mail, 0);
        for (int i = 0; i < WORKERS; i++) {
            worker[i].relay = &relay;
            worker[i].random = harness_seed() + round * WORKERS + (uint64_t)i;
            worker[i].home = i % nodes;
            if (i > 0 && round % 2 != 0) /* all of them come */
                hg_mail_expect(&relay.mail, worker[i].home, 1);
        }
        for (int i = 1; i < WORKERS; i++)
            ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, relay_main, &worker[i]), 0);
        for (uintptr_t i = 0; i < 30; i++)
            relay_send(&worker[0], 1000 + i);
        relay_flush(&worker[0]);
        relay_work(&worker[0]);
        for (int i = 1; i < WORKERS; i++)
            pthread_join(worker[i].thread, NULL);
        ck_assert_uint_eq(relay.made, relay.used);
        ck_assert(hg_mail_check(&relay.mail));
    }
    hg_mail_destroy(&relay.mail);
}
END_TEST

/* Idle workers sleep: four of them use next to no processor time while one is busy for 0.2 s. */
START_TEST(idle_workers_sleep)
{
    enum { WORKERS = 4 };
    static struct relay relay;
    static struct relay_worker worker[WORKERS];
    const struct timespec pause = {0, 200000000};
    struct timespec used;

    mail_open(&relay.mail, 2);
    hg_mail_begin(&relay.mail, 0);
    for (int i = 0; i < WORKERS; i++) {
        worker[i].relay = &relay;
        worker[i].home = i % 2;
        ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, relay_main, &worker[i]), 0);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    double before = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    double spent = (double)used.tv_sec + (double)used.tv_nsec / 1e9 - before;
    ck_assert_msg(spent < 0.1, "%d idle workers used %.3f s", WORKERS, spent);
    ck_assert(hg_mail_idle(&relay.mail, 0) == HG_REST_DONE);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(worker[i].thread, NULL);
    hg_mail_destroy(&relay.mail);
}
END_TEST

HARNESS_SUITE(mailbox)
{
    Suite *suite = suite_create("mailbox");
    TCase *queues = tcase_create("queues");
    TCase *ending = tcase_create("ending");

    tcase_add_test(queues, a_batch_lies_on_its_node_and_is_reused);
    tcase_add_test(queues, many_batches_are_distinct);
    tcase_add_test(queues, the_inbox_comes_before_the_shared_list);
    tcase_add_test(queues, what_thieves_may_take);
    tcase_add_test(queues, patience_ends);
    tcase_add_test(queues, nobody_joins_when_all_is_done);
    tcase_add_test(queues, without_memory_there_is_no_batch);
    tcase_add_test(queues, creation_fails_without_memory);
    suite_add_tcase(suite, queues);
    tcase_add_loop_test(ending, all_entries_are_used_and_all_workers_end, 0, 4);
    tcase_add_test(ending, idle_workers_sleep);
    suite_add_tcase(suite, ending);
    return suite;
}
