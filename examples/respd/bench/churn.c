/* examples/respd/bench/churn.c - overwrites random keys of a server and notes how long each answer takes.
 *
 * usage: churn PORT KEYS VALUE_BYTES SECONDS CONNECTIONS [SEED]
 *
 * First every key is set once, pipelined. Then, for SECONDS, each connection sends SET of a random key, waits for the
 * answer, and sends the next: a closed loop, so a server that stands still delays one request on every
 * connection, and each of them is counted with all it waited. One JSON object on standard output, with a histogram
 * of 32 steps per doubling (a bound is at most 3 % above what was measured).
 *
 * One thread, plain memory. Any Redis server will do. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 32, BUCKETS = 64 * STEPS, BATCH = 500, LONGEST = 1 << 16 };

static const char ok[] = "+OK\r\n";

struct peer {
    int fd;
    uint64_t sent;   /* ns: when the request went out                          */
    size_t answered; /* bytes of its answer                                    */
};

struct run {
    long port, keys, bytes, seconds, connections;
    uint64_t random;
    char *request; /* one, or BATCH of them                                  */
    struct peer *peer;
    uint64_t bucket[BUCKETS];
    uint64_t count, most, stalls; /* answers; ns; of them above 10 ms               */
};

static void fail(const char *what)
{
    fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Steele, Lea, Flood: splitmix64. */
static uint64_t next_random(struct run *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* --- the histogram -------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned log = 63u - (unsigned)__builtin_clzll(ns);
    return (log - 4) * STEPS + (unsigned)(ns >> (log - 5)) - STEPS;
}

static uint64_t bound_of(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket;
    unsigned log = bucket / STEPS + 4;
    return ((uint64_t)(bucket % STEPS + STEPS + 1) << (log - 5)) - 1;
}

static double percentile(const struct run *r, double share)
{
    uint64_t below = 0, wanted = (uint64_t)((double)r->count * share);
    for (unsigned i = 0; i < BUCKETS; i++) {
        below += r->bucket[i];
        if (below > wanted)
            return (double)(bound_of(i) < r->most ? bound_of(i) : r->most) / 1e6;
    }
    return (double)r->most / 1e6;
}

static void note(struct run *r, uint64_t ns)
{
    r->bucket[bucket_of(ns)]++;
    r->count++;
    r->stalls += ns > 10000000;
    if (ns > r->most)
        r->most = ns;
}

/* --- requests ------------------------------------------------------------------------------------- */

static int connect_to(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* SET of a key; the value is different every time. */
static size_t write_request(struct run *r, char *to, uint64_t key)
{
    int length = sprintf(to, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012llu\r\n$%ld\r\n",
                         (unsigned long long)key, r->bytes);
    uint64_t word = next_random(r);
    char *value = to + length;
    for (long i = 0; i < r->bytes; i++)
        value[i] = (char)('a' + (word >> (i % 16 * 4) & 15));
    memcpy(value + r->bytes, "\r\n", 2);
    return (size_t)length + (size_t)r->bytes + 2;
}

static void send_all(int fd, const char *bytes, size_t length)
{
    while (length != 0) {
        ssize_t sent = write(fd, bytes, length);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            fail("write");
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void read_answers(int fd, long count)
{
    char answer[BATCH * (sizeof ok - 1)];
    size_t left = (size_t)count * (sizeof ok - 1);
    while (left != 0) {
        ssize_t got = read(fd, answer, left < sizeof answer ? left : sizeof answer);
        if (got <= 0)
            fail("read");
        if (memchr(answer, '-', (size_t)got) != NULL)
            fail("the server refuses to SET");
        left -= (size_t)got;
    }
}

static void load_keys(struct run *r)
{
    int fd = connect_to(r->port);
    for (long key = 0; key < r->keys; key += BATCH) {
        long count = r->keys - key < BATCH ? r->keys - key : BATCH;
        size_t length = 0;
        for (long i = 0; i < count; i++)
            length += write_request(r, r->request + length, (uint64_t)(key + i));
        send_all(fd, r->request, length);
        read_answers(fd, count);
    }
    close(fd);
}

static void send_next(struct run *r, struct peer *peer)
{
    size_t length = write_request(r, r->request, next_random(r) % (uint64_t)r->keys);
    peer->answered = 0;
    peer->sent = now();
    send_all(peer->fd, r->request, length);
}

static void on_answer(struct run *r, struct peer *peer)
{
    char answer[64];
    ssize_t got = read(peer->fd, answer, sizeof answer);
    if (got <= 0)
        fail("read");
    if (memcmp(answer, ok + peer->answered, (size_t)got) != 0)
        fail("an answer that is not OK");
    peer->answered += (size_t)got;
    if (peer->answered < sizeof ok - 1)
        return;
    note(r, now() - peer->sent);
    send_next(r, peer);
}

static double churn(struct run *r)
{
    struct epoll_event event, events[256];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t begin = now(), end = begin + (uint64_t)r->seconds * 1000000000u;
    for (long i = 0; i < r->connections; i++) {
        r->peer[i].fd = connect_to(r->port);
        event = (struct epoll_event){.events = EPOLLIN, .data.ptr = &r->peer[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, r->peer[i].fd, &event) != 0)
            fail("epoll_ctl");
        send_next(r, &r->peer[i]);
    }
    while (now() < end) {
        int ready = epoll_wait(poll, events, 256, 1000);
        for (int i = 0; i < ready; i++)
            on_answer(r, events[i].data.ptr);
    }
    return (double)(now() - begin) / 1e9;
}

static void print(const struct run *r, double seconds)
{
    const char *comma = "";
    printf("{\"keys\":%ld,\"bytes\":%ld,\"connections\":%ld,\"seconds\":%.1f,\"requests\":%llu,"
           "\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"p9999_ms\":%.3f,"
           "\"max_ms\":%.3f,\"above_10ms\":%llu,\"histogram_ms\":[",
           r->keys, r->bytes, r->connections, seconds, (unsigned long long)r->count,
           (double)r->count / seconds, percentile(r, 0.5), percentile(r, 0.99),
           percentile(r, 0.999), percentile(r, 0.9999), (double)r->most / 1e6,
           (unsigned long long)r->stalls);
    for (unsigned i = 0; i < BUCKETS; i++)
        if (r->bucket[i] != 0) {
            printf("%s[%.6f,%llu]", comma, (double)bound_of(i) / 1e6,
                   (unsigned long long)r->bucket[i]);
            comma = ",";
        }
    printf("]}\n");
}

int main(int count, char **argument)
{
    static struct run r;
    if (count < 6) {
        fprintf(stderr, "usage: churn PORT KEYS VALUE_BYTES SECONDS CONNECTIONS [SEED]\n");
        return 2;
    }
    r.port = atol(argument[1]);
    r.keys = atol(argument[2]);
    r.bytes = atol(argument[3]);
    r.seconds = atol(argument[4]);
    r.connections = atol(argument[5]);
    r.random = count > 6 ? strtoull(argument[6], NULL, 10) : 1;
    if (r.port < 1 || r.keys < 1 || r.bytes < 1 || r.bytes > LONGEST || r.seconds < 1 ||
        r.connections < 1) {
        fprintf(stderr, "churn: every number must be at least 1, VALUE_BYTES at most %d\n",
                LONGEST);
        return 2;
    }
    r.request = malloc(BATCH * ((size_t)r.bytes + 80));
    r.peer = calloc((size_t)r.connections, sizeof *r.peer);
    if (r.request == NULL || r.peer == NULL)
        fail("malloc");
    load_keys(&r);
    print(&r, churn(&r));
    for (long i = 0; i < r.connections; i++)
        close(r.peer[i].fd);
    free(r.request);
    free(r.peer);
    return 0;
}
