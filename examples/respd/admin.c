/* examples/respd/admin.c - commands about the connection and the server: PING, CLIENT, CONFIG, COMMAND, INFO.
 *
 * They touch no objects and take no locks. Errors have Redis' words, so that its clients understand them. */
#include "respd.h"

#include <stdio.h>
#include <string.h>

static void ping(struct worker *w, int count, struct bytes *argument)
{
    if (count > 2)
        reply_error(w, "ERR wrong number of arguments for 'ping' command");
    else if (count == 2)
        reply_bytes(w, argument[1]);
    else
        reply_status(w, "PONG");
}

static void echo(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    reply_bytes(w, argument[1]);
}

static void select_(struct worker *w, int count, struct bytes *argument)
{
    long long index;
    (void)count;
    if (!parse_integer(argument[1], &index) || index > INT32_MAX || index < INT32_MIN)
        reply_error(w, "ERR value is not an integer or out of range");
    else if (index != 0)
        reply_error(w, "ERR DB index is out of range");
    else
        reply_ok(w);
}

static void quit(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    (void)argument;
    reply_ok(w);
    w->connection->close_after = true;
}

static void unknown_subcommand(struct worker *w, const char *command, struct bytes word)
{
    reply_error(w, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                (int)(word.length < 128 ? word.length : 128), word.at, command);
}

/* --- CLIENT --------------------------------------------------------------------------------------- */

static void client_setname(struct worker *w, struct bytes name)
{
    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] < '!' || name.at[i] > '~') {
            reply_error(w,
                        "ERR Client names cannot contain spaces, newlines or special characters.");
            return;
        }
    if (name.length >= sizeof w->connection->name) {
        reply_error(w, "ERR Client names are at most %zu bytes long",
                    sizeof w->connection->name - 1);
        return;
    }
    snprintf(w->connection->name, sizeof w->connection->name, "%.*s", (int)name.length, name.at);
    reply_ok(w);
}

static void client(struct worker *w, int count, struct bytes *argument)
{
    char line[160];
    struct connection *c = w->connection;
    if (is_word(argument[1], "id") && count == 2) {
        reply_integer(w, (long long)c->id);
    } else if (is_word(argument[1], "getname") && count == 2) {
        if (c->name[0] == '\0')
            reply_nil(w);
        else
            reply_string(w, c->name);
    } else if (is_word(argument[1], "setname") && count == 3) {
        client_setname(w, argument[2]);
    } else if (is_word(argument[1], "info") && count == 2) {
        snprintf(line, sizeof line, "id=%llu name=%s db=0 loop=%d node=%d resp=2\n",
                 (unsigned long long)c->id, c->name, w->number, w->node);
        reply_string(w, line);
    } else if (is_word(argument[1], "id") || is_word(argument[1], "getname") ||
               is_word(argument[1], "setname") || is_word(argument[1], "info")) {
        reply_error(w, "ERR wrong number of arguments for 'client|%.*s' command",
                    (int)argument[1].length, argument[1].at);
    } else {
        unknown_subcommand(w, "CLIENT", argument[1]);
    }
}

/* --- CONFIG --------------------------------------------------------------------------------------- */

/* The parameters there are; what Redis has and respd has not (save, appendonly) is off. */
static int config_values(struct worker *w, const char *names[], char values[][64], int most)
{
    const struct settings *settings = &w->server->settings;
    const char *name[] = {
        "save",      "appendonly",       "port",       "databases", "maxclients",
        "maxmemory", "maxmemory-policy", "io-threads", "timeout",   "proto-max-bulk-len"};
    int count = (int)(sizeof name / sizeof *name);
    for (int i = 0; i < count && i < most; i++)
        names[i] = name[i];
    snprintf(values[0], 64, "%s", "");
    snprintf(values[1], 64, "no");
    snprintf(values[2], 64, "%d", settings->port);
    snprintf(values[3], 64, "1");
    snprintf(values[4], 64, "%ld", settings->maxclients);
    snprintf(values[5], 64, "%zu", w->server->most);
    snprintf(values[6], 64, "noeviction");
    snprintf(values[7], 64, "%d", w->server->workers);
    snprintf(values[8], 64, "0");
    snprintf(values[9], 64, "%d", LONGEST - 1);
    return count;
}

static void config_get(struct worker *w, int count, struct bytes *argument)
{
    const char *names[16];
    char values[16][64];
    int known = config_values(w, names, values, 16);
    long long shown = 0;
    size_t at = w->reply_length;
    for (int i = 0; i < known; i++) {
        bool wanted = false;
        for (int j = 2; j < count && !wanted; j++) {
            struct bytes name = {names[i], strlen(names[i])};
            wanted = is_word(argument[j], names[i]) || matches(argument[j], name);
        }
        if (!wanted)
            continue;
        reply_string(w, names[i]);
        reply_string(w, values[i]);
        shown += 2;
    }
    reply_array_at(w, at, shown);
}

static void config(struct worker *w, int count, struct bytes *argument)
{
    if (is_word(argument[1], "get") && count >= 3)
        config_get(w, count, argument);
    else if (is_word(argument[1], "get"))
        reply_error(w, "ERR wrong number of arguments for 'config|get' command");
    else if (is_word(argument[1], "set"))
        reply_error(w,
                    "ERR CONFIG SET is not supported: parameters are given when respd is started");
    else
        unknown_subcommand(w, "CONFIG", argument[1]);
}

/* --- COMMAND, INFO -------------------------------------------------------------------------------- */

static void describe(struct worker *w, const struct command *c)
{
    reply_array(w, 6);
    reply_string(w, c->name);
    reply_integer(w, c->arity);
    reply_array(w, (c->flags & WRITES) ? 2 : 1);
    reply_status(w, (c->flags & CHANGES) ? "write" : "readonly");
    if (c->flags & WRITES)
        reply_status(w, "denyoom");
    reply_integer(w, c->first);
    reply_integer(w, c->last);
    reply_integer(w, c->step);
}

static void command(struct worker *w, int count, struct bytes *argument)
{
    const struct command *c;
    long long all = 0;
    while (command_at((size_t)all) != NULL)
        all++;
    if (count == 1) {
        reply_array(w, all);
        for (size_t i = 0; (c = command_at(i)) != NULL; i++)
            describe(w, c);
    } else if (is_word(argument[1], "count") && count == 2) {
        reply_integer(w, all);
    } else if (is_word(argument[1], "docs")) {
        reply_array(w, 0);
    } else {
        unknown_subcommand(w, "COMMAND", argument[1]);
    }
}

/* PURGE gives back what can be: a full collection. */
static void memory(struct worker *w, int count, struct bytes *argument)
{
    if (count != 2 || !is_word(argument[1], "purge"))
        unknown_subcommand(w, "MEMORY", argument[1]);
    else if (hearth_gc_collect(w->me, 2) == HEARTH_OK)
        reply_ok(w);
    else
        reply_error(w, "ERR %s", hearth_last_error());
}

static void info(struct worker *w, int count, struct bytes *argument)
{
    bool all = count == 1;
    for (int i = 1; i < count; i++)
        all |= is_word(argument[i], "all") || is_word(argument[i], "default") ||
               is_word(argument[i], "everything");
    info_reply(w, count, argument, all);
}

const struct command admin_commands[] = {
    {"ping", -1, 0, ping, 0, 0, 0},          {"echo", 2, 0, echo, 0, 0, 0},
    {"select", 2, 0, select_, 0, 0, 0},      {"quit", -1, 0, quit, 0, 0, 0},
    {"client", -2, 0, client, 0, 0, 0},      {"config", -2, 0, config, 0, 0, 0},
    {"command", -1, 0, command, 0, 0, 0},    {"memory", -2, 0, memory, 0, 0, 0},
    {"info", -1, ALL_SHARDS, info, 0, 0, 0}, {0},
};
