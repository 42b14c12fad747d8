/* examples/respd/loop.c - event loops: threads, native sections, handing over connections, the end.
 *
 * A loop is a thread with a mutator, bound to a memory node. It is in a native section from the prepare hook of libuv,
 * which runs before epoll, until the first callback that touches the heap (worker_enter): libuv calls the
 * callbacks of sockets inside the phase that polls, before the check hook, so that hook would be too late. An idle
 * loop stays in the section and no collection waits for it.
 *
 * The first loop accepts for all and hands sockets over round robin, so that loops get as many, on TCP and on unix
 * sockets alike. Lock order: queue_lock is a leaf. Each loop's memory lies on its node; struct worker with
 * its counters is written by its own thread, but for the queue. */
#define _GNU_SOURCE
#include "respd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEND_MS = 100, ACCEPT_AT_ONCE = 128 };

void worker_enter(struct worker *w)
{
    if (!w->native)
        return;
    hearth_native_end(w->me);
    w->native = false;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    connections_answer(w); /* to clients that have read what was queued for them */
    if (w->native)
        return;
    hearth_native_begin(w->me);
    w->native = true;
}

/* libuv has called everybody who was ready. */
static void on_check(uv_check_t *check)
{
    connections_answer(check->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    struct timespec now;
    worker_enter(w);
    clock_gettime(CLOCK_REALTIME, &now);
    w->now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    store_tend(w);
}

/* --- connections ---------------------------------------------------------------------------------- */

static void hand_over(struct worker *w, int fd, bool is_unix)
{
    bool queued = true;
    pthread_mutex_lock(&w->queue_lock);
    if (w->queued == w->queue_room) {
        size_t room = w->queue_room == 0 ? 64 : w->queue_room * 2;
        int *queue = realloc(w->queue, room * sizeof *queue);
        queued = queue != NULL;
        if (queued) {
            w->queue = queue;
            w->queue_room = room;
        }
    }
    if (queued)
        w->queue[w->queued++] = is_unix ? ~fd : fd;
    pthread_mutex_unlock(&w->queue_lock);
    if (queued) {
        uv_async_send(&w->wake);
    } else {
        close(fd);
        __atomic_fetch_sub(&w->server->clients, 1, __ATOMIC_RELAXED);
    }
}

static void close_handle(uv_handle_t *handle, void *data)
{
    struct worker *w = data;
    if (uv_is_closing(handle))
        return;
    bool is_connection = handle->type == UV_TCP || handle->type == UV_NAMED_PIPE;
    if (is_connection)
        connection_close(handle->data);
    else
        uv_close(handle, NULL);
    (void)w;
}

static void on_wake(uv_async_t *wake)
{
    struct worker *w = wake->data;
    int *queue;
    size_t queued;
    worker_enter(w);
    pthread_mutex_lock(&w->queue_lock);
    queue = w->queue;
    queued = w->queued;
    w->queue = NULL;
    w->queued = w->queue_room = 0;
    pthread_mutex_unlock(&w->queue_lock);
    for (size_t i = 0; i < queued; i++)
        connection_open(w, queue[i] < 0 ? ~queue[i] : queue[i], queue[i] < 0);
    free(queue);
    if (__atomic_load_n(&w->server->stopping, __ATOMIC_ACQUIRE))
        uv_walk(&w->loop, close_handle, w);
}

static void refuse(struct server *server, int fd)
{
    static const char answer[] = "-ERR max number of clients reached\r\n";
    ssize_t written = write(fd, answer, sizeof answer - 1);
    (void)written; /* a courtesy */
    close(fd);
    __atomic_fetch_add(&server->rejected, 1, __ATOMIC_RELAXED);
}

/* Without a free descriptor the connection would be announced for ever: the spare one takes it and is closed. */
static void refuse_unheard(struct server *server, int listening)
{
    close(server->spare);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        refuse(server, fd);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    bool is_unix = poll == &server->unix_poll;
    int listening = is_unix ? server->unix_socket : server->tcp;
    (void)events;
    worker_enter(&server->worker[0]);
    for (int i = 0; i < ACCEPT_AT_ONCE && status == 0; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                refuse_unheard(server, listening);
            return;
        }
        uint64_t number = __atomic_fetch_add(&server->accepted, 1, __ATOMIC_RELAXED);
        struct worker *w = &server->worker[number % (uint64_t)server->workers];
        if (__atomic_add_fetch(&server->clients, 1, __ATOMIC_RELAXED) >
            server->settings.maxclients) {
            __atomic_fetch_sub(&server->clients, 1, __ATOMIC_RELAXED);
            refuse(server, fd);
        } else if (w == &server->worker[0]) {
            connection_open(w, fd, is_unix);
        } else {
            hand_over(w, fd, is_unix);
        }
    }
}

/* --- beginning and end ---------------------------------------------------------------------------- */

static int init_loop(struct worker *w)
{
    int failed = uv_loop_init(&w->loop);
    if (failed != 0)
        return failed;
    w->check.data = w->prepare.data = w->timer.data = w->wake.data = w;
    uv_prepare_init(&w->loop, &w->prepare);
    uv_prepare_start(&w->prepare, on_prepare);
    uv_check_init(&w->loop, &w->check);
    uv_check_start(&w->check, on_check);
    uv_timer_init(&w->loop, &w->timer);
    uv_timer_start(&w->timer, on_timer, TEND_MS, TEND_MS);
    pthread_mutex_init(&w->queue_lock, NULL);
    return uv_async_init(&w->loop, &w->wake, on_wake);
}

/* Attach to the heap on the loop's node. */
hearth_status worker_attach(struct worker *w)
{
    hearth_attach_options options = {.struct_size = sizeof options, .node = w->node};
    const hearth_topology *topology = hearth_heap_topology(w->server->heap);
    if (hearth_topology_nodes(topology) > 1)
        hearth_topology_bind_thread(topology,
                                    w->node); /* if that is refused, memory is still the node's */
    return hearth_attach(w->server->heap, &options, &w->me);
}

static void run_loop(struct worker *w)
{
    uv_run(&w->loop, UV_RUN_DEFAULT);
    worker_enter(w);
}

static void *worker_main(void *data)
{
    struct worker *w = data;
    w->status = worker_attach(w);
    if (w->status != HEARTH_OK) {
        server_stop(w->server);
        return NULL;
    }
    run_loop(w);
    w->status = hearth_detach(w->me);
    return NULL;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    server_stop(handle->data);
}

/* Any thread. */
void server_stop(struct server *server)
{
    __atomic_store_n(&server->stopping, true, __ATOMIC_RELEASE);
    for (int i = 0; i < server->workers; i++)
        uv_async_send(&server->worker[i].wake);
}

static int watch(struct server *server)
{
    uv_loop_t *loop = &server->worker[0].loop;
    uv_signal_t *const signals[] = {&server->interrupt, &server->terminate};
    static const int numbers[] = {SIGINT, SIGTERM};
    int failed = 0;
    for (int i = 0; i < 2 && failed == 0; i++) {
        failed = uv_signal_init(loop, signals[i]);
        signals[i]->data = server;
        if (failed == 0)
            failed = uv_signal_start(signals[i], on_signal, numbers[i]);
    }
    server->tcp_poll.data = server->unix_poll.data = server;
    if (failed == 0 && server->tcp >= 0 &&
        (failed = uv_poll_init(loop, &server->tcp_poll, server->tcp)) == 0)
        failed = uv_poll_start(&server->tcp_poll, UV_READABLE, on_accept);
    if (failed == 0 && server->unix_socket >= 0 &&
        (failed = uv_poll_init(loop, &server->unix_poll, server->unix_socket)) == 0)
        failed = uv_poll_start(&server->unix_poll, UV_READABLE, on_accept);
    return failed;
}

static void free_worker(struct worker *w)
{
    for (size_t i = 0; i < w->queued; i++)
        close(w->queue[i] < 0 ? ~w->queue[i] : w->queue[i]);
    uv_loop_close(&w->loop);
    pthread_mutex_destroy(&w->queue_lock);
    free(w->queue);
    free(w->reply);
    free(w->answer);
    free(w->argument);
    free(w->kept);
    free(w->input);
}

/* The calling thread, which is attached as the first worker, becomes the first loop. Returns when the server was
 * stopped. False: `error` says why. */
bool server_run(struct server *server, char *error, size_t size)
{
    int failed = 0, started = 1;
    bool good = true;
    for (int i = 0; i < server->workers && failed == 0; i++)
        failed = init_loop(&server->worker[i]);
    if (failed == 0)
        failed = watch(server);
    for (; started < server->workers && failed == 0; started++)
        failed = pthread_create(&server->worker[started].thread, NULL, worker_main,
                                &server->worker[started]);
    if (failed != 0) {
        snprintf(error, size, "a loop cannot be started: %s",
                 uv_strerror(failed < 0 ? failed : -failed));
        server_stop(server);
        good = false;
    }
    run_loop(&server->worker[0]);
    hearth_native_begin(server->worker[0].me);
    for (int i = 1; i < started - (failed != 0); i++)
        pthread_join(server->worker[i].thread, NULL);
    hearth_native_end(server->worker[0].me);
    for (int i = 0; i < server->workers; i++) {
        if (server->worker[i].status != HEARTH_OK && good) {
            snprintf(error, size, "loop %d: %s", i, hearth_strerror(server->worker[i].status));
            good = false;
        }
        free_worker(&server->worker[i]);
    }
    return good;
}
