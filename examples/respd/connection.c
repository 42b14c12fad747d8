/* examples/respd/connection.c - one client: reading commands, executing them in order, writing the answers.
 *
 * What one read brings is executed as a whole. The answers are written when all clients that were ready have been
 * served, one system call for each, so that these find more at a time to read; what a socket does not take is queued in
 * libuv. While much is queued the connection is neither read nor executed: a client
 * that does not read its answers stops itself, not the server.
 *
 * Invariant: a connection belongs to one loop and is touched by its thread only. It is freed in the callback of
 * uv_close, after which libuv calls nothing of it. It holds no references into the heap. */
#include "respd.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUT = 64 << 10,   /* bytes read at a time                                     */
    GATHER = 256 << 10, /* answers are written when there is so much                */
    QUEUED = 1 << 20,   /* a client that has left so much unread is not read        */
    RESUME = 256 << 10, /* until so much is left                                    */
    PART = 1 << 30,     /* of answers that one system call is given                 */
    KEPT = 1 << 20      /* a larger buffer of answers is given back                 */
};

struct unsent {
    uv_write_t write;
    struct connection *connection;
    char bytes[];
};

static void serve(struct connection *c);

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    if (c->reader != NULL)
        redisReaderFree(c->reader);
    free(c->text);
    free(c->end);
    __atomic_fetch_sub(&c->w->connections, 1, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&c->w->server->clients, 1, __ATOMIC_RELAXED);
    free(c);
}

void connection_close(struct connection *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close(&c->uv.handle, on_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *c = handle->data;
    (void)suggested;
    if (c->w->input == NULL)
        c->w->input = malloc(INPUT);
    *buffer = uv_buf_init(c->w->input, c->w->input == NULL ? 0 : INPUT);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct connection *c = stream->data;
    if (got == 0)
        return;
    worker_enter(c->w);
    if (got < 0) {
        /* What is still to be written is: EOF may be half of the connection's end. */
        connections_answer(c->w);
        c->close_after = true;
        uv_read_stop(stream);
        if (got != UV_EOF || stream->write_queue_size == 0)
            connection_close(c);
        return;
    }
    if (redisReaderFeed(c->reader, buffer->base, (size_t)got) != REDIS_OK) {
        connection_close(c);
        return;
    }
    serve(c);
}

static void on_written(uv_write_t *write, int status)
{
    struct unsent *unsent = (struct unsent *)write;
    struct connection *c = unsent->connection;
    free(unsent);
    if (c->closing)
        return;
    worker_enter(c->w);
    size_t left = c->uv.stream.write_queue_size;
    if (status < 0 || (c->close_after && left == 0)) {
        connection_close(c);
    } else if (c->paused && left <= RESUME) {
        c->paused = false;
        uv_read_start(&c->uv.stream, on_allocate, on_read);
        serve(c);
    }
}

/* What the socket did not take. */
static bool queue_rest(struct connection *c, const char *bytes, size_t length)
{
    struct unsent *unsent = malloc(sizeof *unsent + length);
    if (unsent == NULL)
        return false;
    unsent->connection = c;
    memcpy(unsent->bytes, bytes, length);
    uv_buf_t buffer = uv_buf_init(unsent->bytes, (unsigned)length);
    if (uv_write(&unsent->write, &c->uv.stream, &buffer, 1, on_written) != 0) {
        free(unsent);
        return false;
    }
    if (c->uv.stream.write_queue_size > QUEUED && !c->paused) {
        c->paused = true;
        uv_read_stop(&c->uv.stream);
    }
    return true;
}

static void send_part(struct connection *c, size_t sent, size_t to)
{
    while (sent < to && !c->closing) {
        size_t part = to - sent < PART ? to - sent : PART;
        uv_buf_t buffer = uv_buf_init(c->w->reply + sent, (unsigned)part);
        int got = uv_try_write(&c->uv.stream, &buffer, 1);
        if (got < 0 && got != UV_EAGAIN) {
            connection_close(c);
            return;
        }
        sent += got > 0 ? (size_t)got : 0;
        if (got >= 0 && (size_t)got == part)
            continue;
        part = to - sent < part ? to - sent : part;
        if (!queue_rest(c, c->w->reply + sent, part))
            connection_close(c);
        sent += part;
    }
}

static void send_parts(struct worker *w)
{
    for (size_t i = 0; i < w->answers; i++)
        send_part(w->answer[i].connection, w->answer[i].from, w->answer[i].to);
    w->answers = 0;
}

void connections_answer(struct worker *w)
{
    send_parts(w);
    w->reply_length = 0;
    if (w->reply_room > KEPT) {
        free(w->reply);
        w->reply = NULL;
        w->reply_room = 0;
    }
}

/* What was answered to this client from `from` on is written with the others' answers. */
static void answer(struct connection *c, size_t from)
{
    struct worker *w = c->w;
    if (w->reply_lost) {
        connection_close(c);
        w->reply_lost = false;
        w->reply_length = from;
    }
    if (w->reply_length == from)
        return;
    if (w->answers == w->answer_room) {
        size_t room = 2 * w->answer_room + 64;
        struct answer *more = realloc(w->answer, room * sizeof *more);
        if (more == NULL) {
            send_part(c, from,
                      w->reply_length); /* before others' answers, but whole and in order */
            w->reply_length = from;
            return;
        }
        w->answer = more;
        w->answer_room = room;
    }
    w->answer[w->answers++] = (struct answer){c, from, w->reply_length};
}

/* The arguments as the commands want them. */
static bool lay_out(struct connection *c)
{
    struct worker *w = c->w;
    if (w->argument_room < c->count) {
        struct bytes *more = realloc(w->argument, c->count * sizeof *more);
        if (more == NULL)
            return false;
        w->argument = more;
        w->argument_room = c->count;
    }
    size_t begin = 0;
    for (size_t i = 0; i < c->count; begin = c->end[i++])
        w->argument[i] = (struct bytes){c->text + begin, c->end[i] - begin};
    return true;
}

/* Every command that is there. */
static void serve(struct connection *c)
{
    struct worker *w = c->w;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    w->now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    w->connection = c;
    size_t from = w->reply_length;
    while (!c->close_after && !c->closing && !c->paused && !w->reply_lost) {
        int got = protocol_next(c);
        if (got == 0)
            break;
        if (got > 0 && lay_out(c)) {
            command_execute(w, (int)c->count);
        } else {
            reply_error(w, "%s", c->broken != NULL ? c->broken : "ERR out of memory");
            c->close_after = true;
        }
        if (w->reply_length >= GATHER) {
            answer(c, from);
            connections_answer(w);
            from = 0;
        }
    }
    answer(c, from);
    w->connection = NULL;
    if (!c->close_after || c->closing)
        return;
    connections_answer(w);
    if (c->closing)
        return;
    uv_read_stop(&c->uv.stream);
    if (c->uv.stream.write_queue_size == 0)
        connection_close(c);
}

/* Takes over the socket. */
void connection_open(struct worker *w, int fd, bool is_unix)
{
    struct connection *c = calloc(1, sizeof *c);
    int failed = c == NULL ? UV_ENOMEM
                 : is_unix ? uv_pipe_init(&w->loop, &c->uv.pipe, 0)
                           : uv_tcp_init(&w->loop, &c->uv.tcp);
    if (failed != 0) {
        free(c);
        close(fd);
        __atomic_fetch_sub(&w->server->clients, 1, __ATOMIC_RELAXED);
        return;
    }
    c->w = w;
    c->uv.handle.data = c;
    c->id = __atomic_add_fetch(&w->server->last_id, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&w->connections, 1, __ATOMIC_RELAXED);
    failed = is_unix ? uv_pipe_open(&c->uv.pipe, fd) : uv_tcp_open(&c->uv.tcp, fd);
    if (failed != 0) {
        close(fd);
        connection_close(c);
        return;
    }
    if (!is_unix)
        uv_tcp_nodelay(&c->uv.tcp, 1);
    c->reader = redisReaderCreateWithFunctions(&protocol_functions);
    if (c->reader == NULL) {
        connection_close(c);
        return;
    }
    c->reader->privdata = c;
    if (uv_read_start(&c->uv.stream, on_allocate, on_read) != 0)
        connection_close(c);
}
