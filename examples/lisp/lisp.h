/* examples/lisp/lisp.h - a small Lisp whose memory is a hearth heap: values, and what the files offer each other.
 *
 * A value is a pointer: to an object of the heap, to a static object (nil, true, the builtins), or an integer
 * whose top bit is set, which can be no address. The collector ignores the last two.
 *
 * The rule of the whole program: what is needed after a call that may allocate is in a frame during the call.
 * A function that allocates roots its own arguments. NULL means an error; `error` says which. */
#ifndef LISP_H
#define LISP_H

#include <hearth.h>

#include <stdint.h>
#include <stdio.h>

typedef void *value;

enum kind { PAIR, SYMBOL, STRING, CLOSURE, BUILTIN, TABLE, PORT, CONSTANT, INTEGER };

/* Every object but an integer begins with its kind. */
struct pair {
    int kind;
    value car, cdr;
};

struct symbol {
    int kind;
    uint32_t length;
    value value; /* global; NULL: unbound */
    char name[];
};

struct string {
    int kind;
    uint32_t length;
    char text[];
};

struct closure {
    int kind;
    value params, body; /* lists                                                     */
    value env;          /* list of (symbol . value)                                  */
    value memo;         /* weak table from arguments to results; NULL: no memory     */
};

struct table {
    int kind;
    uint32_t count;
    value slots; /* array of references: key, value, key, value ...           */
};

struct port {
    int kind;
    FILE *file; /* NULL: closed */
};

struct constant {
    int kind;
    const char *name;
};

struct lisp;
struct builtin {
    int kind;
    const char *name;
    int least, most;                                          /* arguments; most < 0: any number */
    value (*call)(struct lisp *, value *argument, int count); /* the arguments are in a frame     */
};

enum form { QUOTE, IF, DEFINE, SET, LAMBDA, LET, BEGIN, AND, OR, WHILE, FORMS };

struct lisp {
    hearth_heap *heap;
    hearth_mutator *me;
    hearth_type pair, symbol, string, closure, table, port, references;
    value symbols; /* interned: an array of references, open addressing */
    size_t symbol_count;
    value form[FORMS]; /* the symbols of the special forms                  */
    int depth;         /* of calls of eval                                  */
    int open_ports;
    const char *at; /* what is being read                                */
    char error[200];
};

extern struct constant lisp_nil, lisp_true;
#define NIL  ((value)&lisp_nil)
#define TRUE ((value)&lisp_true)

/* objects.c */
int lisp_kind(value v);
value lisp_integer(int64_t number);
int64_t lisp_number(value v);
value lisp_cons(struct lisp *l, value car, value cdr);
value lisp_symbol(struct lisp *l, const char *name, size_t length);
value lisp_string(struct lisp *l, const char *text, size_t length);
value lisp_closure(struct lisp *l, value params, value body, value env);
value lisp_table(struct lisp *l);
value lisp_table_get(struct lisp *l, value table, value key); /* NULL: not there */
value lisp_table_put(struct lisp *l, value table, value key, value to);
value lisp_open(struct lisp *l, const char *path, const char *mode);
value lisp_fail(struct lisp *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool lisp_start(struct lisp *l, const hearth_options *options);
void lisp_end(struct lisp *l);

/* Of anything but a pair they are (). */
static inline value lisp_car(value v)
{
    return lisp_kind(v) == PAIR ? ((struct pair *)v)->car : NIL;
}
static inline value lisp_cdr(value v)
{
    return lisp_kind(v) == PAIR ? ((struct pair *)v)->cdr : NIL;
}

/* read.c: the next value of l->at; NULL with an empty error at the end of the text. */
value lisp_read(struct lisp *l);
void lisp_print(value v, FILE *out);

/* eval.c */
value lisp_eval(struct lisp *l, value expression, value env);
value lisp_apply(struct lisp *l, value function, value *argument, int count);

/* builtins.c */
bool lisp_define_builtins(struct lisp *l);

#endif
