/* gc/mailbox.c - queues of batches and the end of tracing. See mailbox.h. */
#include <assert.h>

#include "gc/mailbox.h"

#include "alloc/meta.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_SPINS = 50 }; /* looks at the own queue before sleeping: about a microsecond */

#define HG_BUSY ((uint64_t)1 << 32)

#ifdef HEARTH_DEBUG
void (*hg_mail_delay)(void); /* set before the collection, read by all workers */
#define HG_DELAY()                                                                                 \
    do {                                                                                           \
        if (hg_mail_delay != NULL)                                                                 \
            hg_mail_delay();                                                                       \
    } while (0)
#else
#define HG_DELAY() ((void)0)
#endif

hearth_status hg_mail_init(struct hg_mail *mail, struct ha_windows *windows, int nodes)
{
    mail->windows = windows;
    mail->nodes = 0;
    mail->work = 0;
    mail->sleepers = 0;
    mail->topology = NULL;
    for (int n = 0; n < nodes; n++) {
        struct hg_queue *queue = ha_meta_near(windows, n, sizeof *queue);
        if (queue == NULL) {
            hg_mail_destroy(mail);
            return ht_fail(HEARTH_ENOMEM, "node %d has no memory for its inbox", n);
        }
        pthread_mutex_init(&queue->lock, NULL);
        mail->queue[n] = queue;
        mail->nodes = n + 1;
    }
    return HEARTH_OK;
}

void hg_mail_destroy(struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++) {
        struct hg_queue *queue = mail->queue[n];
        while (queue->slabs != NULL) {
            struct hg_slab *next = queue->slabs->next;
            ha_meta_back(mail->windows, queue->slabs, HG_SLAB);
            queue->slabs = next;
        }
        pthread_mutex_destroy(&queue->lock);
        ha_meta_back(mail->windows, queue, sizeof *queue);
    }
    mail->nodes = 0;
}

/* Cut a slab into batches; the link lies before the first. Lock held. */
static bool hg_slab_add(struct hg_mail *mail, int node)
{
    struct hg_queue *queue = mail->queue[node];
    char *memory = queue->dry ? NULL : ha_meta_near(mail->windows, node, HG_SLAB);
    if (memory == NULL) {
        queue->dry = true; /* asking the system for every reference would take for ever */
        return false;
    }
    struct hg_slab *slab = (struct hg_slab *)(void *)memory;
    slab->next = queue->slabs;
    queue->slabs = slab;
    const uintptr_t size = sizeof(struct hg_batch), end = (uintptr_t)memory + HG_SLAB;
    for (uintptr_t at = ((uintptr_t)(slab + 1) + size - 1) & ~(size - 1); at + size <= end;
         at += size) {
        struct hg_batch *batch = (struct hg_batch *)at;
        batch->node = node;
        batch->next = queue->free;
        queue->free = batch;
    }
    return true;
}

void hg_mail_again(struct hg_mail *mail, int home)
{
    for (int n = 0; n < mail->nodes; n++) {
        mail->queue[n]->expected = 0;
        mail->queue[n]->workers = n == home;
    }
    mail->work = HG_BUSY;
}

void hg_mail_begin(struct hg_mail *mail, int home)
{
    for (int n = 0; n < mail->nodes; n++) {
        mail->queue[n]->received = 0;
        mail->queue[n]->dry = false;
    }
    hg_mail_again(mail, home);
}

struct hg_batch *hg_batch_take(struct hg_mail *mail, int node)
{
    struct hg_queue *queue = mail->queue[node];
    struct hg_batch *batch = NULL;
    pthread_mutex_lock(&queue->lock);
    if (queue->free != NULL || hg_slab_add(mail, node)) {
        batch = queue->free;
        assert(batch != NULL);
        queue->free = batch->next;
        batch->count = 0;
    }
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

void hg_batch_give(struct hg_mail *mail, struct hg_batch *batch)
{
    struct hg_queue *queue = mail->queue[batch->node];
    pthread_mutex_lock(&queue->lock);
    batch->next = queue->free;
    queue->free = batch;
    pthread_mutex_unlock(&queue->lock);
}

/* --- who may take what -------------------------------------------------------------------------------- */

static uint32_t hg_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* May thieves take from the inbox? */
static bool hg_inbox_open(const struct hg_queue *queue, bool impatient)
{
    uint32_t inboxed = hg_load(&queue->inboxed), workers = hg_load(&queue->workers);
    if (inboxed == 0)
        return false;
    if (workers == 0)
        return impatient || hg_load(&queue->expected) == 0;
    return inboxed >= HG_BACKLOG * workers;
}

static bool hg_stealable(const struct hg_queue *queue, bool impatient)
{
    return hg_load(&queue->offered) != 0 || hg_inbox_open(queue, impatient);
}

/* Is there anything for a worker of node `home`? */
static bool hg_mail_takeable(const struct hg_mail *mail, int home, bool impatient)
{
    if (hg_mail_waiting(mail, home) != 0)
        return true;
    for (int n = 0; n < mail->nodes; n++)
        if (n != home && hg_stealable(mail->queue[n], impatient))
            return true;
    return false;
}

/* --- waking and posting -------------------------------------------------------------------------------- */

/* Wake a sleeping worker of the node; false: none sleeps. */
static bool hg_mail_wake(struct hg_mail *mail, int node, int sleepers)
{
    struct hg_queue *queue = mail->queue[node];
    if (hg_load(&queue->sleepers) == 0)
        return false;
    __atomic_fetch_add(&queue->tick, 1, __ATOMIC_SEQ_CST);
    ht_os_wake(&queue->tick, sleepers);
    return true;
}

static void hg_mail_wake_all(struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++)
        hg_mail_wake(mail, n, INT32_MAX);
}

/* Somebody for what was posted to `node`: one of its own workers, else the nearest thief. */
static void hg_mail_call(struct hg_mail *mail, int node)
{
    if (hg_mail_wake(mail, node, 1) || hg_load(&mail->sleepers) == 0 ||
        !hg_stealable(mail->queue[node], false))
        return;
    for (int i = 1; i < mail->nodes; i++) {
        int thief =
            mail->topology != NULL ? mail->topology->node[node].order[i] : (node + i) % mail->nodes;
        if (hg_mail_wake(mail, thief, 1))
            return;
    }
}

void hg_mail_post(struct hg_mail *mail, int node, struct hg_batch *batch, bool inbox)
{
    struct hg_queue *queue = mail->queue[node];
    uint32_t *count = inbox ? &queue->inboxed : &queue->offered;
    struct hg_batch **list = inbox ? &queue->inbox : &queue->shared;
    HG_DELAY();
    pthread_mutex_lock(&queue->lock);
    __atomic_store_n(count, *count + 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&mail->work, 1, __ATOMIC_SEQ_CST);
    HG_DELAY();
    batch->next = *list;
    *list = batch;
    if (inbox)
        queue->received += batch->count;
    pthread_mutex_unlock(&queue->lock);
    HG_DELAY();
    hg_mail_call(mail, node);
}

/* Lock held. */
static struct hg_batch *hg_queue_pop(struct hg_mail *mail, struct hg_batch **list, uint32_t *count)
{
    struct hg_batch *batch = *list;
    if (batch != NULL) {
        *list = batch->next;
        HG_DELAY();
        __atomic_fetch_sub(&mail->work, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(count, *count - 1, __ATOMIC_SEQ_CST);
    }
    return batch;
}

struct hg_batch *hg_mail_fetch(struct hg_mail *mail, int home)
{
    struct hg_queue *queue = mail->queue[home];
    if (hg_mail_waiting(mail, home) == 0)
        return NULL;
    pthread_mutex_lock(&queue->lock);
    struct hg_batch *batch = hg_queue_pop(mail, &queue->inbox, &queue->inboxed);
    if (batch == NULL)
        batch = hg_queue_pop(mail, &queue->shared, &queue->offered);
    pthread_mutex_unlock(&queue->lock);
    HG_DELAY();
    return batch;
}

struct hg_batch *hg_mail_steal(struct hg_mail *mail, int node, bool impatient)
{
    struct hg_queue *queue = mail->queue[node];
    if (!hg_stealable(queue, impatient))
        return NULL;
    pthread_mutex_lock(&queue->lock);
    struct hg_batch *batch = hg_queue_pop(mail, &queue->shared, &queue->offered);
    if (batch == NULL && hg_inbox_open(queue, impatient))
        batch = hg_queue_pop(mail, &queue->inbox, &queue->inboxed);
    pthread_mutex_unlock(&queue->lock);
    HG_DELAY();
    return batch;
}

/* --- joining, sleeping, ending -------------------------------------------------------------------------- */

static bool hg_mail_busy(struct hg_mail *mail)
{
    uint64_t work = __atomic_load_n(&mail->work, __ATOMIC_SEQ_CST);
    while (work != 0)
        if (__atomic_compare_exchange_n(&mail->work, &work, work + HG_BUSY, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
    return false;
}

/* With fewer workers to wait for, thieves may take more. */
void hg_mail_expect(struct hg_mail *mail, int node, int change)
{
    __atomic_fetch_add(&mail->queue[node]->expected, (uint32_t)change, __ATOMIC_SEQ_CST);
    if (change < 0)
        hg_mail_wake_all(mail);
}

bool hg_mail_join(struct hg_mail *mail, int home)
{
    if (!hg_mail_busy(mail))
        return false;
    __atomic_fetch_add(&mail->queue[home]->workers, 1, __ATOMIC_SEQ_CST);
    return true;
}

/* Does work wait for workers that were called and have not come? */
static bool hg_mail_owed(const struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++)
        if (hg_load(&mail->queue[n]->workers) == 0 && hg_load(&mail->queue[n]->inboxed) != 0)
            return true;
    return false;
}

/* Asleep until woken, or at most for the time that late workers are waited for; true: that is over. */
static bool hg_mail_sleep(struct hg_mail *mail, int home, uint32_t tick)
{
    struct hg_queue *queue = mail->queue[home];
    bool late = false;
    __atomic_fetch_add(&queue->sleepers, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&mail->sleepers, 1, __ATOMIC_SEQ_CST);
    HG_DELAY();
    if (!hg_mail_takeable(mail, home, false) && !hg_mail_done(mail)) {
        bool owed = hg_mail_owed(mail);
        uint64_t begin = owed ? ht_os_now() : 0;
        ht_os_sleep(&queue->tick, tick, owed ? HG_PATIENCE_NS : 0);
        late = owed && ht_os_now() - begin >= HG_PATIENCE_NS;
    }
    __atomic_fetch_sub(&mail->sleepers, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&queue->sleepers, 1, __ATOMIC_SEQ_CST);
    return late;
}

enum hg_rest hg_mail_idle(struct hg_mail *mail, int home)
{
    bool impatient = false;
    if (__atomic_sub_fetch(&mail->work, HG_BUSY, __ATOMIC_SEQ_CST) == 0) {
        HG_DELAY();
        hg_mail_wake_all(mail);
        return HG_REST_DONE;
    }
    HG_DELAY();
    for (int spins = 0; spins < HG_SPINS && hg_mail_waiting(mail, home) == 0; spins++)
        __builtin_ia32_pause();
    for (;;) {
        uint32_t tick = hg_load(&mail->queue[home]->tick);
        if (hg_mail_takeable(mail, home, impatient) && hg_mail_busy(mail))
            return impatient ? HG_REST_IMPATIENT : HG_REST_WORK;
        if (hg_mail_done(mail))
            return HG_REST_DONE;
        impatient = hg_mail_sleep(mail, home, tick);
    }
}

bool hg_mail_check(const struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++)
        if (mail->queue[n]->inbox != NULL || mail->queue[n]->shared != NULL ||
            mail->queue[n]->inboxed != 0 || mail->queue[n]->offered != 0 ||
            mail->queue[n]->sleepers != 0)
            return false;
    return mail->work == 0 && mail->sleepers == 0;
}
