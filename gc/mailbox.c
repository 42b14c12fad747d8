/* gc/mailbox.c - queues of batches and the end of tracing. See mailbox.h. */
#include "gc/mailbox.h"

#include "alloc/meta.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_SPINS = 100 }; /* looks at the counter before sleeping: below a microsecond */

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
    mail->tick = mail->sleepers = 0;
    for (int n = 0; n < nodes; n++) {
        struct hg_queue *queue = ha_meta_take(windows, n, sizeof *queue);
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
            ha_meta_give(mail->windows, n, queue->slabs, HG_SLAB);
            queue->slabs = next;
        }
        pthread_mutex_destroy(&queue->lock);
        ha_meta_give(mail->windows, n, queue, sizeof *queue);
    }
    mail->nodes = 0;
}

/* Cut a slab into batches; its first page holds the link. Lock held. */
static bool hg_slab_add(struct hg_mail *mail, int node)
{
    struct hg_queue *queue = mail->queue[node];
    char *memory = queue->dry ? NULL : ha_meta_take(mail->windows, node, HG_SLAB);
    if (memory == NULL) {
        queue->dry = true; /* asking the system for every reference would take for ever */
        return false;
    }
    struct hg_slab *slab = (struct hg_slab *)(void *)memory;
    slab->next = queue->slabs;
    queue->slabs = slab;
    for (size_t at = sizeof(struct hg_batch); at < HG_SLAB; at += sizeof(struct hg_batch)) {
        struct hg_batch *batch = (struct hg_batch *)(void *)(memory + at);
        batch->node = node;
        batch->next = queue->free;
        queue->free = batch;
    }
    return true;
}

void hg_mail_begin(struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++) {
        mail->queue[n]->received = 0;
        mail->queue[n]->dry = false;
    }
    mail->work = HG_BUSY;
}

struct hg_batch *hg_batch_take(struct hg_mail *mail, int node)
{
    struct hg_queue *queue = mail->queue[node];
    struct hg_batch *batch = NULL;
    pthread_mutex_lock(&queue->lock);
    if (queue->free != NULL || hg_slab_add(mail, node)) {
        batch = queue->free;
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

static void hg_mail_wake(struct hg_mail *mail, int sleepers)
{
    __atomic_fetch_add(&mail->tick, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&mail->sleepers, __ATOMIC_SEQ_CST) != 0)
        ht_os_wake(&mail->tick, sleepers);
}

void hg_mail_post(struct hg_mail *mail, int node, struct hg_batch *batch, bool inbox)
{
    struct hg_queue *queue = mail->queue[node];
    HG_DELAY();
    pthread_mutex_lock(&queue->lock);
    __atomic_store_n(&queue->waiting, queue->waiting + 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&mail->work, 1, __ATOMIC_SEQ_CST);
    HG_DELAY();
    struct hg_batch **list = inbox ? &queue->inbox : &queue->shared;
    batch->next = *list;
    *list = batch;
    if (inbox)
        queue->received += batch->count;
    pthread_mutex_unlock(&queue->lock);
    HG_DELAY();
    hg_mail_wake(mail, 1);
}

struct hg_batch *hg_mail_fetch(struct hg_mail *mail, int node)
{
    struct hg_queue *queue = mail->queue[node];
    if (__atomic_load_n(&queue->waiting, __ATOMIC_RELAXED) == 0)
        return NULL;
    pthread_mutex_lock(&queue->lock);
    struct hg_batch **list = queue->inbox != NULL ? &queue->inbox : &queue->shared;
    struct hg_batch *batch = *list;
    if (batch != NULL) {
        *list = batch->next;
        HG_DELAY();
        __atomic_fetch_sub(&mail->work, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&queue->waiting, queue->waiting - 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&queue->lock);
    HG_DELAY();
    return batch;
}

bool hg_mail_join(struct hg_mail *mail)
{
    uint64_t work = __atomic_load_n(&mail->work, __ATOMIC_SEQ_CST);
    while (work != 0)
        if (__atomic_compare_exchange_n(&mail->work, &work, work + HG_BUSY, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
    return false;
}

bool hg_mail_idle(struct hg_mail *mail)
{
    if (__atomic_sub_fetch(&mail->work, HG_BUSY, __ATOMIC_SEQ_CST) == 0) {
        HG_DELAY();
        hg_mail_wake(mail, INT32_MAX);
        return false;
    }
    HG_DELAY();
    for (int spins = 0;; spins++) {
        uint32_t tick = __atomic_load_n(&mail->tick, __ATOMIC_SEQ_CST);
        if (hg_mail_pending(mail) != 0)
            return hg_mail_join(mail);
        if (hg_mail_done(mail))
            return false;
        if (spins < HG_SPINS) {
            __builtin_ia32_pause();
            continue;
        }
        __atomic_fetch_add(&mail->sleepers, 1, __ATOMIC_SEQ_CST);
        HG_DELAY();
        ht_os_sleep(&mail->tick, tick, 0);
        __atomic_fetch_sub(&mail->sleepers, 1, __ATOMIC_SEQ_CST);
    }
}

bool hg_mail_check(const struct hg_mail *mail)
{
    for (int n = 0; n < mail->nodes; n++)
        if (mail->queue[n]->inbox != NULL || mail->queue[n]->shared != NULL ||
            mail->queue[n]->waiting != 0)
            return false;
    return mail->work == 0;
}
