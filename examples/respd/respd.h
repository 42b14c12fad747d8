/* examples/respd/respd.h - an in-memory store that speaks Redis' protocol; its data is a hearth heap.
 *
 * Who owns what: keys, values and tables are objects of one heap that all event loops share. The keyspace is cut
 * into SHARDS shards by the hash of the key; each has a lock. Connections, reply buffers and command
 * arguments are plain memory of the loop that serves the connection.
 *
 * Invariants: objects of a shard are touched only under its lock. A loop is in a native section whenever it may
 * block: in epoll, and while it waits for a lock; so a thread that holds a lock can collect. Between two
 * commands no C variable refers to an object.
 *
 * Lock order: shards, ascending; then what hearth takes. A loop's queue of handed-over connections is a leaf.
 *
 * Nodes: a loop is bound to a memory node, and what it allocates lies there. */
#ifndef RESPD_H
#define RESPD_H

#include <hearth.h>

#include <hiredis/read.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    SHARD_BITS = 5, /* below 64 shards: ThreadSanitizer follows so many locks at a time */
    SHARDS = 1 << SHARD_BITS,
    MEBIBYTE = 1 << 20,
    LONGEST = 512 << 20, /* bytes of a value, as Redis has it; a key must be shorter */
};

/* Bytes that somebody else owns. */
struct bytes {
    const char *at;
    size_t length;
};

/* --- objects of the heap ------------------------------------------------------------------------ */

enum kind { STRING, LIST, SET, HASH };

/* An entry of a table: a key and a string (LEAF), or a key and a reference to a list, a set or a hash. In a set the
 * string is empty. Replaced, not changed, but for `expires` and for what is appended. */
struct record {
    uint32_t key_length : 29;
    uint32_t kind : 3;     /* enum kind                                               */
    uint32_t value_length; /* STRING                                                  */
    int64_t expires;       /* milliseconds since 1970; 0: never                       */
    union {
        char text[1]; /* STRING: key, value, room to append                      */
        struct {
            void *value; /* other kinds: a struct list or a struct dict             */
            char key[1];
        } of;
    } is;
};

/* A hash table with open addressing that grows a few slots at a time. The slots of a table in full use are in
 * table[0]; while it grows or shrinks table[1] is the new one and gets what is added. */
struct slot {
    void *record;
    uint64_t hash;
};
struct dict {
    void *table[2];   /* struct slot [mask + 1]                                  */
    uint64_t mask[2]; /* valid where the table is not NULL                       */
    uint64_t used[2];
    uint64_t next; /* while moving: the next slot of table[0]                 */
    uint64_t left; /* and how many are left                                   */
};

/* A deque of byte strings in packs: LEAF objects, so that a push seldom allocates and the collector does not see
 * elements. */
struct list {
    void *ring;      /* void *[room]: pack i is ring[(first + i) % room]        */
    uint64_t length; /* elements                                                */
    uint32_t first, packs;
    uint32_t room; /* a power of two, or 0                                    */
};
struct pack {
    uint32_t begin, end; /* the bytes in use                                        */
    uint32_t count;      /* elements, each: length, bytes, length                   */
    uint32_t room;
    char bytes[];
};

/* --- threads ------------------------------------------------------------------------------------ */

struct shard {
    pthread_mutex_t lock;
    void *dict;           /* root                                                    */
    uint64_t mortal;      /* keys that have a time to live, an upper bound           */
    uint64_t expire_next; /* where the search for expired ones goes on               */
} __attribute__((aligned(64)));

struct connection;

/* A part of a worker's answers that is to be written to one client. */
struct answer {
    struct connection *connection;
    size_t from, to;
};

/* An event loop, its thread, its mutator. */
struct worker {
    hearth_mutator *me;
    struct server *server;
    struct connection *connection; /* whose command is executed                               */
    uint64_t hash;                 /* of the command's first key                              */
    int64_t now;                   /* milliseconds since 1970                                 */
    char *reply;                   /* answers not yet written                                 */
    size_t reply_length, reply_room;
    struct answer *answer; /* whose parts of them are; in order                            */
    size_t answers, answer_room;
    bool reply_lost;        /* no memory for them: the connection must be closed       */
    bool native;            /* in a native section                                     */
    struct bytes *argument; /* of the command                                          */
    size_t argument_room;
    void **kept; /* roots: objects made by a command before any is stored   */
    size_t kept_count, kept_room;
    int64_t refuse_until; /* no memory: commands that may need it are refused ...    */
    size_t refuse_size;   /* ... until then, if they are as long                     */
    uint64_t freed;       /* bytes let go since                                      */
    uint64_t commands;    /* executed                                                */
    uint64_t connections; /* now                                                     */
    int node, number;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    uv_async_t wake;
    pthread_mutex_t queue_lock;
    int *queue; /* sockets handed over: fd, or ~fd of unix sockets         */
    size_t queued, queue_room;
    pthread_t thread;
    char *input; /* what is read goes here first                            */
    hearth_status status;
};

struct settings {
    const char *bind, *unix_path, *maxmemory, *hearth;
    int port, loops;
    long maxclients;
};

struct server {
    hearth_heap *heap;
    hearth_type string, container, dict, table, list, ring, pack;
    struct settings settings;
    struct shard shard[SHARDS];
    size_t pending;    /* bytes of large objects being allocated (atomic)           */
    size_t most;       /* bytes the heap may ever hold                            */
    uint64_t seed;     /* of the hash                                             */
    int64_t started;   /* milliseconds since 1970                                 */
    uint64_t last_id;  /* of connections (atomic)                                 */
    uint64_t accepted; /* ever (atomic)                                           */
    uint64_t rejected; /* above maxclients                                        */
    uint64_t refused;  /* commands, for want of memory (atomic)                   */
    uint64_t expired;  /* keys (atomic)                                           */
    long clients;      /* now (atomic)                                            */
    struct worker *worker;
    int workers;
    bool stopping; /* atomic                                                  */
    int tcp, unix_socket, spare;
    uv_poll_t tcp_poll, unix_poll;
    uv_signal_t interrupt, terminate;
};

/* --- pace.c ------------------------------------------------------------------------------------- */

bool pace_start(struct server *server);
/* An array that may be large: the limit makes room for it. A safepoint. */
void *array_new(struct worker *w, hearth_type type, size_t count, size_t element);

/* --- records.c ---------------------------------------------------------------------------------- */

hearth_status records_register(struct server *server);
struct bytes record_key(const struct record *record);
struct bytes record_value(const struct record *record);
/* NULL: no memory. Safepoints. */
struct record *record_new(struct worker *w, struct bytes key, struct bytes value, size_t room);
struct record *container_new(struct worker *w, struct bytes key, enum kind kind);
size_t record_room(struct worker *w, const struct record *record); /* for key and value */
uint64_t hash_bytes(uint64_t seed, struct bytes bytes);
/* Objects that a command made and has not stored yet. False: no memory. */
bool keep(struct worker *w, void *object);

/* --- dict.c: no safepoints but where it says so ------------------------------------------------- */

struct dict *dict_new(struct worker *w); /* a safepoint; NULL: no memory */
uint64_t dict_count(const struct dict *d);
struct record *dict_find(const struct dict *d, struct bytes key, uint64_t hash);
/* Make sure that `count` keys can be added: a safepoint; d must be reachable. False: no memory. */
bool dict_reserve(struct worker *w, struct dict *d, uint64_t count);
/* Add, or replace what has the same key; returns that, or NULL. */
struct record *dict_put(struct worker *w, struct dict *d, struct record *record, uint64_t hash);
struct record *dict_remove(struct worker *w, struct dict *d, struct bytes key, uint64_t hash);
void dict_clear(struct worker *w, struct dict *d);
/* Go on with growing, begin to shrink: a safepoint; d must be reachable. */
void dict_tend(struct worker *w, struct dict *d, uint64_t slots);
typedef void dict_fn(struct worker *w, struct record *record, void *data);
/* A safepoint now and then; d must be reachable. fn must be none, and must not change d. */
void dict_each(struct worker *w, struct dict *d, dict_fn *fn, void *data);
/* One step of a scan that shows everything that is there all the time; 0 begins and ends. */
uint64_t dict_scan(struct worker *w, struct dict *d, uint64_t cursor, dict_fn *fn, void *data);
/* Look at `slots` slots from *next on and remove what `doomed` says. */
typedef bool dict_doomed(struct worker *w, struct record *record);
uint64_t dict_purge(struct worker *w, struct dict *d, uint64_t *next, uint64_t slots,
                    dict_doomed *doomed);

/* --- list.c ------------------------------------------------------------------------------------- */

struct list *list_new(struct worker *w); /* a safepoint */
/* A safepoint; list must be reachable. False: no memory, nothing is changed. */
bool list_push(struct worker *w, struct list *list, bool front, struct bytes element);
/* The first or last element, which must exist; gone at the next call on this list. */
struct bytes list_pop(struct worker *w, struct list *list, bool front);
/* Calls fn for elements from .. to, which must exist. A safepoint now and then; list must be reachable. */
typedef void list_fn(struct worker *w, struct bytes element);
void list_range(struct worker *w, const struct list *list, uint64_t from, uint64_t to, list_fn *fn);

/* --- store.c: the keyspace; the shard must be locked -------------------------------------------- */

bool store_start(struct worker *w);
void store_end(struct server *server);
struct shard *store_shard(struct worker *w, uint64_t hash);
uint64_t store_hash(struct worker *w, struct bytes key);
/* Locks of all shards whose bit is set; may collect meanwhile. */
void store_lock(struct worker *w, uint64_t mask);
void store_unlock(struct worker *w, uint64_t mask);
/* NULL if there is none, or it has expired (it is removed then). */
struct record *store_find(struct worker *w, struct bytes key, uint64_t hash);
bool store_reserve(struct worker *w, uint64_t hash, uint64_t count); /* a safepoint */
/* Add or replace; reserved before. */
void store_put(struct worker *w, struct record *record, uint64_t hash);
void store_expire(struct worker *w, struct record *record, uint64_t hash, int64_t when);
bool store_delete(struct worker *w, struct bytes key, uint64_t hash);
void store_flush(struct worker *w); /* all shards locked */
uint64_t store_count(struct server *server, uint64_t *mortal);
bool store_expired(struct worker *w, struct record *record);
/* Every 100 ms: expired keys, tables that grow or shrink. */
void store_tend(struct worker *w);

/* --- containers.c ------------------------------------------------------------------------------- */

void *container_of(const struct record *record);
bool container_find(struct worker *w, struct bytes key, enum kind kind, struct record **out);
struct record *container_open(struct worker *w, struct bytes key, enum kind kind, bool *is_new);
void container_commit(struct worker *w, struct record *record, bool is_new);
void container_shrunk(struct worker *w, struct bytes key, struct record *record);

/* --- reply.c ------------------------------------------------------------------------------------ */

void reply_raw(struct worker *w, const char *text, size_t length);
void reply_text(struct worker *w, const char *literal); /* as it is, "\r\n" included */
void reply_ok(struct worker *w);
void reply_status(struct worker *w, const char *status);
void reply_error(struct worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_integer(struct worker *w, long long number);
void reply_array(struct worker *w, long long count);
/* What is only known afterwards, put in at `at`, an earlier reply_length. */
void reply_array_at(struct worker *w, size_t at, long long count);
void reply_string_at(struct worker *w, size_t at, const char *string);
void reply_bytes(struct worker *w, struct bytes bytes);
void reply_string(struct worker *w, const char *string);
void reply_nil(struct worker *w);
void reply_wrong_type(struct worker *w);
void reply_syntax(struct worker *w);
void reply_no_memory(struct worker *w);
bool parse_integer(struct bytes text, long long *out);
bool is_word(struct bytes text, const char *word); /* without regard to case */
bool matches(struct bytes pattern, struct bytes text);

/* --- command.c ---------------------------------------------------------------------------------- */

typedef void command_fn(struct worker *w, int count, struct bytes *argument);

enum {
    WRITES = 1,     /* may need memory: refused while there is none               */
    CHANGES = 2,    /* the keyspace                                               */
    ALL_SHARDS = 4, /* are locked                                                 */
};

struct command {
    const char *name; /* lower case                                              */
    int arity;        /* with the name; negative: at least                       */
    unsigned flags;
    command_fn *run;
    int first, last, step; /* keys: arguments; last < 0 counts from the end           */
};

void commands_start(void);
void command_execute(struct worker *w, int count);
/* The answer of a command that found no memory, and changed nothing. */
void command_no_memory(struct worker *w);
/* Tables of struct command that end with a NULL name. */
extern const struct command string_commands[], key_commands[], hash_commands[], list_commands[],
    set_commands[], admin_commands[];
const struct command *command_at(size_t index); /* NULL beyond the last */

void info_reply(struct worker *w, int count, struct bytes *argument, bool all);

/* --- connection.c, protocol.c, loop.c ----------------------------------------------------------- */

struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct worker *w;
    redisReader *reader;
    char *text; /* the arguments read so far, one behind the other         */
    size_t text_length, text_room;
    size_t *end; /* where each ends                                         */
    size_t count, end_room;
    const char *broken; /* a violation of the protocol: what is answered           */
    char broken_text[64];
    uint64_t id;
    char name[64];
    bool closing;     /* uv_close has been called                                */
    bool close_after; /* close when all is written                               */
    bool paused;      /* not reading, until the peer reads                       */
};

extern redisReplyObjectFunctions protocol_functions;
/* The next command, now in c->text: 1; more must be read: 0; broken (c->broken): -1. */
int protocol_next(struct connection *c);

void connection_open(struct worker *w, int fd, bool is_unix);
void connection_close(struct connection *c);
/* Write the answers to all that came since the last call: at the end of a round of the loop. */
void connections_answer(struct worker *w);

/* Every callback of libuv that touches the heap begins with this. */
void worker_enter(struct worker *w);
hearth_status worker_attach(struct worker *w);
bool server_run(struct server *server, char *error, size_t size);
void server_stop(struct server *server);

#endif
