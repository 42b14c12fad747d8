/* examples/respd/respd.c - the program: its options, its sockets, its heap.
 *
 * usage: respd [--port N] [--bind ADDRESS] [--unixsocket PATH] [--loops N] [--maxmemory BYTES]
 *              [--maxclients N] [--hearth OPTIONS]
 *
 * One event loop for each processor the process may use, dealt out over the memory nodes it may use: numactl's word is
 * obeyed because hearth's topology obeys it. Everything is made here on the first thread, before there are
 * others, and taken down after they are gone. */
#include "respd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LOOPS = 256, OWN_FILES = 64, BACKLOG = 4096 };

static const char usage[] =
    "usage: respd [OPTION VALUE]...\n"
    "  --port N            TCP port, 0: none (6379)\n"
    "  --bind ADDRESS      IPv4 address (127.0.0.1)\n"
    "  --unixsocket PATH   also listen there\n"
    "  --loops N           event loops, one thread each (as many as processors)\n"
    "  --maxmemory BYTES   most the heap may hold, with k, m or g (hearth's heap-limit)\n"
    "  --maxclients N      most connections (10000, or what ulimit -n allows)\n"
    "  --hearth OPTIONS    options of the heap: name=value,name=value\n";

/* --- options -------------------------------------------------------------------------------------- */

static bool read_number(const char *text, long least, long most, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && *text != '\0' && *end == '\0' && *out >= least && *out <= most;
}

static bool read_option(struct settings *s, const char *name, const char *value)
{
    long number = 0;
    bool good = true;
    if (strcmp(name, "--port") == 0) {
        good = read_number(value, 0, 65535, &number);
        s->port = (int)number;
    } else if (strcmp(name, "--loops") == 0) {
        good = read_number(value, 1, MOST_LOOPS, &number);
        s->loops = (int)number;
    } else if (strcmp(name, "--maxclients") == 0) {
        good = read_number(value, 1, 1 << 24, &s->maxclients);
    } else if (strcmp(name, "--bind") == 0) {
        s->bind = value;
    } else if (strcmp(name, "--unixsocket") == 0) {
        s->unix_path = value;
    } else if (strcmp(name, "--maxmemory") == 0) {
        s->maxmemory = value;
    } else if (strcmp(name, "--hearth") == 0) {
        s->hearth = value;
    } else {
        fprintf(stderr, "respd: no such option: %s\n%s", name, usage);
        return false;
    }
    if (!good)
        fprintf(stderr, "respd: %s %s: no such number\n", name, value);
    return good;
}

static bool read_options(struct settings *s, int count, char **argument)
{
    *s = (struct settings){.bind = "127.0.0.1", .port = 6379, .maxclients = 10000};
    for (int i = 1; i < count; i += 2) {
        if (i + 1 == count) {
            fprintf(stderr, "respd: %s needs a value\n%s", argument[i], usage);
            return false;
        }
        if (!read_option(s, argument[i], argument[i + 1]))
            return false;
    }
    if (s->port == 0 && s->unix_path == NULL) {
        fprintf(stderr, "respd: neither --port nor --unixsocket to listen on\n");
        return false;
    }
    return true;
}

/* As many descriptors as connections and a few; fewer connections if that is not allowed. */
static void fit_files(struct settings *s)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    rlim_t wanted = (rlim_t)s->maxclients + OWN_FILES;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < wanted)
        s->maxclients =
            files.rlim_cur > 2 * OWN_FILES ? (long)files.rlim_cur - OWN_FILES : OWN_FILES;
}

/* --- sockets -------------------------------------------------------------------------------------- */

static int listen_on(int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family == AF_INET)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int because = errno;
    close(fd);
    errno = because;
    return -1;
}

static bool listen_tcp(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->settings.port)};
    if (inet_pton(AF_INET, server->settings.bind, &address.sin_addr) != 1) {
        fprintf(stderr, "respd: --bind %s: no IPv4 address\n", server->settings.bind);
        return false;
    }
    server->tcp = listen_on(AF_INET, (struct sockaddr *)&address, sizeof address);
    if (server->tcp < 0)
        fprintf(stderr, "respd: %s:%d: %s\n", server->settings.bind, server->settings.port,
                strerror(errno));
    return server->tcp >= 0;
}

static bool listen_unix(struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = server->settings.unix_path;
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "respd: --unixsocket %s: longer than %zu bytes\n", path,
                sizeof address.sun_path - 1);
        return false;
    }
    strcpy(address.sun_path, path);
    unlink(path); /* left by a server that did not end well */
    server->unix_socket = listen_on(AF_UNIX, (struct sockaddr *)&address, sizeof address);
    if (server->unix_socket < 0)
        fprintf(stderr, "respd: %s: %s\n", path, strerror(errno));
    return server->unix_socket >= 0;
}

static void close_sockets(struct server *server)
{
    if (server->tcp >= 0)
        close(server->tcp);
    if (server->unix_socket >= 0) {
        close(server->unix_socket);
        unlink(server->settings.unix_path);
    }
    if (server->spare >= 0)
        close(server->spare);
}

/* --- the heap ------------------------------------------------------------------------------------- */

static bool make_heap(struct server *server)
{
    hearth_options *options;
    hearth_status status = hearth_options_create(&options);
    if (status != HEARTH_OK)
        return false;
    if (server->settings.hearth != NULL)
        status = hearth_options_parse(options, server->settings.hearth);
    if (status == HEARTH_OK && server->settings.maxmemory != NULL)
        status = hearth_options_set(options, "heap-limit", server->settings.maxmemory);
    if (status == HEARTH_OK)
        status = hearth_heap_create(&server->heap, options);
    hearth_options_destroy(options);
    return status == HEARTH_OK && records_register(server) == HEARTH_OK;
}

static bool make_workers(struct server *server)
{
    const hearth_topology *topology = hearth_heap_topology(server->heap);
    int nodes = hearth_topology_nodes(topology);
    server->workers = server->settings.loops;
    if (server->workers == 0)
        server->workers = hearth_topology_cpus(topology);
    if (server->workers > MOST_LOOPS)
        server->workers = MOST_LOOPS;
    server->worker = calloc((size_t)server->workers, sizeof *server->worker);
    for (int i = 0; i < server->workers && server->worker != NULL; i++) {
        server->worker[i].server = server;
        server->worker[i].number = i;
        server->worker[i].node = i % nodes;
    }
    return server->worker != NULL;
}

static bool start(struct server *server)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    server->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (getrandom(&server->seed, sizeof server->seed, 0) != sizeof server->seed)
        server->seed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u;
    commands_start();
    if (make_heap(server) && make_workers(server) &&
        worker_attach(&server->worker[0]) == HEARTH_OK && store_start(&server->worker[0]) &&
        pace_start(server))
        return true;
    fprintf(stderr, "respd: no heap: %s\n", hearth_last_error());
    return false;
}

int main(int count, char **argument)
{
    static struct server server = {.tcp = -1, .unix_socket = -1, .spare = -1};
    char error[256];
    if (!read_options(&server.settings, count, argument))
        return 2;
    fit_files(&server.settings);
    signal(SIGPIPE, SIG_IGN);
    if (!start(&server) || (server.settings.port != 0 && !listen_tcp(&server)) ||
        (server.settings.unix_path != NULL && !listen_unix(&server)))
        return 1;
    printf("respd: ready on %s:%d%s%s, %d loops on %d nodes\n", server.settings.bind,
           server.settings.port, server.settings.unix_path != NULL ? " and " : "",
           server.settings.unix_path != NULL ? server.settings.unix_path : "", server.workers,
           hearth_topology_nodes(hearth_heap_topology(server.heap)));
    fflush(stdout);
    bool good = server_run(&server, error, sizeof error);
    if (!good)
        fprintf(stderr, "respd: %s\n", error);
    close_sockets(&server);
    store_end(&server);
    hearth_detach(server.worker[0].me);
    hearth_heap_destroy(server.heap);
    free(server.worker);
    return good ? 0 : 1;
}
