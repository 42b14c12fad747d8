/* examples/lisp/builtins.c - functions written in C. They are static objects: the collector ignores references
 * to them. Arguments are in a frame of the caller's. */
#include "lisp.h"

#include <string.h>

static value truth(bool yes)
{
    return yes ? TRUE : NIL;
}

/* --- numbers ------------------------------------------------------------------------------------- */

static bool numbers(struct lisp *l, value *v, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (lisp_kind(v[i]) != INTEGER) {
            lisp_fail(l, "%s: argument %d is no number", name, i + 1);
            return false;
        }
    return true;
}

#define ARITHMETIC(function, name, sign)                                                           \
    static value function(struct lisp *l, value *v, int count)                                     \
    {                                                                                              \
        if (!numbers(l, v, count, name))                                                           \
            return NULL;                                                                           \
        uint64_t result = (uint64_t)lisp_number(v[0]);                                             \
        for (int i = 1; i < count; i++)                                                            \
            result = result sign(uint64_t) lisp_number(v[i]);                                      \
        return lisp_integer((int64_t)result);                                                      \
    }
ARITHMETIC(plus, "+", +)
ARITHMETIC(minus, "-", -)
ARITHMETIC(times, "*", *)

#define DIVISION(function, name, sign)                                                             \
    static value function(struct lisp *l, value *v, int count)                                     \
    {                                                                                              \
        if (!numbers(l, v, count, name))                                                           \
            return NULL;                                                                           \
        int64_t by = lisp_number(v[1]);                                                            \
        return by == 0 ? lisp_fail(l, "%s: by zero", name)                                         \
                       : lisp_integer(lisp_number(v[0]) sign by);                                  \
    }
DIVISION(quotient, "quotient", /)
DIVISION(rest, "remainder", %)

static value less(struct lisp *l, value *v, int count)
{
    return numbers(l, v, count, "<") ? truth(lisp_number(v[0]) < lisp_number(v[1])) : NULL;
}

static value equal(struct lisp *l, value *v, int count)
{
    return numbers(l, v, count, "=") ? truth(lisp_number(v[0]) == lisp_number(v[1])) : NULL;
}

/* --- pairs and tests ----------------------------------------------------------------------------- */

static value cons(struct lisp *l, value *v, int count)
{
    (void)count;
    return lisp_cons(l, v[0], v[1]);
}

static value car(struct lisp *l, value *v, int count)
{
    (void)count;
    return lisp_kind(v[0]) == PAIR ? lisp_car(v[0]) : lisp_fail(l, "car: no pair");
}

static value cdr(struct lisp *l, value *v, int count)
{
    (void)count;
    return lisp_kind(v[0]) == PAIR ? lisp_cdr(v[0]) : lisp_fail(l, "cdr: no pair");
}

static value is_pair(struct lisp *l, value *v, int count)
{
    (void)l, (void)count;
    return truth(lisp_kind(v[0]) == PAIR);
}

static value not(struct lisp * l, value *v, int count)
{
    (void)l, (void)count;
    return truth(v[0] == NIL);
}

static value eq(struct lisp *l, value *v, int count)
{
    (void)l, (void)count;
    return truth(v[0] == v[1]);
}

/* --- tables and memory --------------------------------------------------------------------------- */

static value make_table(struct lisp *l, value *v, int count)
{
    (void)v, (void)count;
    return lisp_table(l);
}

static value get(struct lisp *l, value *v, int count)
{
    if (lisp_kind(v[0]) != TABLE)
        return lisp_fail(l, "get: no table");
    value found = lisp_table_get(l, v[0], v[1]);
    return found != NULL ? found : count > 2 ? v[2] : NIL;
}

static value put(struct lisp *l, value *v, int count)
{
    (void)count;
    return lisp_kind(v[0]) == TABLE ? lisp_table_put(l, v[0], v[1], v[2])
                                    : lisp_fail(l, "put: no table");
}

/* (memo f): f, remembering results for arguments that are pairs or tables as long as these live. */
static value memo(struct lisp *l, value *v, int count)
{
    (void)count;
    struct closure *from = v[0];
    if (lisp_kind(from) != CLOSURE)
        return lisp_fail(l, "memo: no function");
    HEARTH_FRAME(l->me, f, 1);
    f.ref[0] = hearth_table_new(l->me, HEARTH_TABLE_EPHEMERON);
    struct closure *to = NULL;
    if (f.ref[0] == NULL)
        lisp_fail(l, "memo: %.150s", hearth_last_error());
    else
        to = lisp_closure(l, from->params, from->body, from->env);
    if (to != NULL)
        hearth_store(l->me, to, &to->memo, f.ref[0]);
    HEARTH_FRAME_END(l->me, f);
    return to;
}

/* (remembered f): how many arguments it remembers. */
static value remembered(struct lisp *l, value *v, int count)
{
    (void)count;
    struct closure *closure = v[0];
    if (lisp_kind(closure) != CLOSURE || closure->memo == NULL)
        return lisp_fail(l, "remembered: no function of memo");
    return lisp_integer((int64_t)hearth_table_count(l->me, closure->memo));
}

static value collect(struct lisp *l, value *v, int count)
{
    (void)v, (void)count;
    return hearth_gc_collect(l->me, 2) == HEARTH_OK ? TRUE
                                                    : lisp_fail(l, "%.150s", hearth_last_error());
}

/* --- ports --------------------------------------------------------------------------------------- */

static value open_input(struct lisp *l, value *v, int count)
{
    (void)count;
    if (lisp_kind(v[0]) != STRING)
        return lisp_fail(l, "open: no string");
    char path[512];
    snprintf(path, sizeof path, "%s", ((struct string *)v[0])->text);
    return lisp_open(l, path, "r");
}

/* A line without its end; () at the end of the file. */
static value read_line(struct lisp *l, value *v, int count)
{
    (void)count;
    struct port *port = v[0];
    char line[512];
    if (lisp_kind(port) != PORT || port->file == NULL)
        return lisp_fail(l, "read-line: no open port");
    if (fgets(line, sizeof line, port->file) == NULL)
        return NIL;
    return lisp_string(l, line, strcspn(line, "\n"));
}

static value open_ports(struct lisp *l, value *v, int count)
{
    (void)v, (void)count;
    return lisp_integer(l->open_ports);
}

static value print(struct lisp *l, value *v, int count)
{
    (void)l;
    for (int i = 0; i < count; i++)
        lisp_print(v[i], stdout);
    putchar('\n');
    return NIL;
}

bool lisp_define_builtins(struct lisp *l)
{
    static struct builtin all[] = {
        {BUILTIN, "+", 1, -1, plus},
        {BUILTIN, "-", 1, -1, minus},
        {BUILTIN, "*", 1, -1, times},
        {BUILTIN, "quotient", 2, 2, quotient},
        {BUILTIN, "remainder", 2, 2, rest},
        {BUILTIN, "<", 2, 2, less},
        {BUILTIN, "=", 2, 2, equal},
        {BUILTIN, "cons", 2, 2, cons},
        {BUILTIN, "car", 1, 1, car},
        {BUILTIN, "cdr", 1, 1, cdr},
        {BUILTIN, "pair?", 1, 1, is_pair},
        {BUILTIN, "not", 1, 1, not },
        {BUILTIN, "eq?", 2, 2, eq},
        {BUILTIN, "table", 0, 0, make_table},
        {BUILTIN, "get", 2, 3, get},
        {BUILTIN, "put", 3, 3, put},
        {BUILTIN, "memo", 1, 1, memo},
        {BUILTIN, "remembered", 1, 1, remembered},
        {BUILTIN, "collect", 0, 0, collect},
        {BUILTIN, "open", 1, 1, open_input},
        {BUILTIN, "read-line", 1, 1, read_line},
        {BUILTIN, "open-ports", 0, 0, open_ports},
        {BUILTIN, "print", 0, -1, print},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct symbol *symbol = lisp_symbol(l, all[i].name, strlen(all[i].name));
        if (symbol == NULL)
            return false;
        hearth_store(l->me, symbol, &symbol->value, &all[i]);
    }
    return true;
}
