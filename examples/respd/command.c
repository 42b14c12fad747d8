/* examples/respd/command.c - finding a command, the locks of its keys, and running it.
 *
 * Invariants: a command runs with the locks of all its keys' shards, taken in ascending order before it begins, so
 * it is atomic. It answers exactly once. A command that runs out of memory has changed nothing. Between
 * commands no reference is in a C variable, w->kept is empty, and there is a safepoint.
 *
 * The table of names is made once, before there are threads, and read only afterwards. */
#include "respd.h"

#include <ctype.h>
#include <string.h>

enum { NAMES = 256, REFUSE_MS = 100, MUCH = 1 << 20 };

static const struct command *const groups[] = {string_commands, key_commands, hash_commands,
                                               list_commands,   set_commands, admin_commands};
static const struct command *names[NAMES];

static size_t name_hash(const char *name, size_t length)
{
    unsigned first = (unsigned char)tolower((unsigned char)name[0]);
    unsigned middle = (unsigned char)tolower((unsigned char)name[length / 2]);
    unsigned last = (unsigned char)tolower((unsigned char)name[length - 1]);
    return (length * 37 + first * 31 + middle * 7 + last) % NAMES;
}

const struct command *command_at(size_t index)
{
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct command *c = groups[g]; c->name != NULL; c++)
            if (index-- == 0)
                return c;
    return NULL;
}

void commands_start(void)
{
    const struct command *c;
    memset(names, 0, sizeof names);
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        size_t at = name_hash(c->name, strlen(c->name));
        while (names[at] != NULL)
            at = (at + 1) % NAMES;
        names[at] = c;
    }
}

static const struct command *find(struct bytes name)
{
    if (name.length == 0)
        return NULL;
    for (size_t at = name_hash(name.at, name.length); names[at] != NULL; at = (at + 1) % NAMES)
        if (is_word(name, names[at]->name))
            return names[at];
    return NULL;
}

/* Redis' words, which quote up to 128 bytes of what came. */
static void unknown(struct worker *w, int count, struct bytes *argument)
{
    char quoted[160] = "";
    size_t used = 0;
    for (int i = 1; i < count && used < 128; i++) {
        size_t room = 128 - used, length = strnlen(argument[i].at, argument[i].length);
        length = length < room ? length : room;
        quoted[used++] = '\'';
        memcpy(quoted + used, argument[i].at, length);
        memcpy(quoted + used + length, "' ", 3);
        used += length + 2;
    }
    size_t length = strnlen(argument[0].at, argument[0].length < 128 ? argument[0].length : 128);
    reply_error(w, "ERR unknown command '%.*s', with args beginning with: %s", (int)length,
                argument[0].at, quoted);
}

/* The shards of the command's keys; w->hash is the first one's. */
static uint64_t shards_of(struct worker *w, const struct command *c, int count)
{
    uint64_t mask = 0;
    int last = c->last < 0 ? count + c->last : c->last;
    if (c->flags & ALL_SHARDS)
        return ((uint64_t)1 << SHARDS) - 1;
    if (c->first == 0)
        return 0;
    for (int i = last - (last - c->first) % c->step; i >= c->first; i -= c->step) {
        w->hash = store_hash(w, w->argument[i]);
        mask |= (uint64_t)1 << (w->hash >> (64 - SHARD_BITS));
    }
    return mask;
}

/* Looking for memory that is not there takes a full collection: after a failure commands of that size are refused
 * for a while, unless something is let go. */
static bool refused(struct worker *w)
{
    if (w->refuse_until == 0)
        return false;
    if (w->now >= w->refuse_until || w->freed >= MUCH) {
        w->refuse_until = 0;
        return false;
    }
    return w->connection->text_length >= w->refuse_size;
}

void command_no_memory(struct worker *w)
{
    w->refuse_size = w->connection->text_length;
    w->refuse_until = w->now + REFUSE_MS;
    w->freed = 0;
    reply_no_memory(w);
}

void command_execute(struct worker *w, int count)
{
    struct bytes *argument = w->argument;
    const struct command *c = find(argument[0]);
    __atomic_store_n(&w->commands, w->commands + 1, __ATOMIC_RELAXED); /* INFO of others reads it */
    if (c == NULL) {
        unknown(w, count, argument);
        return;
    }
    if (c->arity > 0 ? count != c->arity : count < -c->arity) {
        reply_error(w, "ERR wrong number of arguments for '%s' command", c->name);
        return;
    }
    if ((c->flags & WRITES) && refused(w)) {
        reply_no_memory(w);
        return;
    }
    uint64_t mask = shards_of(w, c, count);
    store_lock(w, mask);
    c->run(w, count, argument);
    store_unlock(w, mask);
    w->kept_count = 0;
    hearth_safepoint(w->me);
}
