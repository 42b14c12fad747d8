/* examples/lisp/read.c - text to values and back. */
#include "lisp.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void skip(struct lisp *l)
{
    for (;;) {
        while (isspace((unsigned char)*l->at))
            l->at++;
        if (*l->at != ';')
            return;
        l->at += strcspn(l->at, "\n");
    }
}

/* Elements until ')'. The list grows at its end: `last` is old by then, as far as the collector is concerned,
 * so the new pair is stored with the barrier. */
static value read_list(struct lisp *l)
{
    enum { FIRST, LAST };
    HEARTH_FRAME(l->me, f, 2);
    f.ref[FIRST] = NIL;
    for (;;) {
        skip(l);
        if (*l->at == ')' || *l->at == '\0')
            break;
        value item = lisp_read(l);
        value pair = item != NULL ? lisp_cons(l, item, NIL) : NULL;
        if (pair == NULL) {
            f.ref[FIRST] = NULL;
            break;
        }
        if (f.ref[LAST] == NULL)
            f.ref[FIRST] = pair;
        else
            hearth_store(l->me, f.ref[LAST], &((struct pair *)f.ref[LAST])->cdr, pair);
        f.ref[LAST] = pair;
    }
    HEARTH_FRAME_END(l->me, f);
    if (f.ref[FIRST] == NULL)
        return NULL;
    if (*l->at != ')')
        return lisp_fail(l, "read: a list does not end");
    l->at++;
    return f.ref[FIRST];
}

static value read_string(struct lisp *l)
{
    size_t length = strcspn(l->at, "\"");
    if (l->at[length] == '\0')
        return lisp_fail(l, "read: a string does not end");
    value string = lisp_string(l, l->at, length);
    l->at += length + 1;
    return string;
}

/* 'x is (quote x). */
static value read_quote(struct lisp *l)
{
    value item = lisp_read(l);
    value rest = item != NULL ? lisp_cons(l, item, NIL) : NULL;
    return rest != NULL ? lisp_cons(l, l->form[QUOTE], rest) : NULL;
}

value lisp_read(struct lisp *l)
{
    skip(l);
    l->error[0] = '\0';
    switch (*l->at) {
    case '\0':
        return NULL;
    case '(':
        l->at++;
        return read_list(l);
    case ')':
        return lisp_fail(l, "read: ) without (");
    case '"':
        l->at++;
        return read_string(l);
    case '\'':
        l->at++;
        return read_quote(l);
    default:
        break;
    }
    size_t length = strcspn(l->at, " \t\r\n()\";'");
    const char *name = l->at;
    char *end;
    int64_t number = strtoll(name, &end, 10);
    l->at += length;
    if (end == name + length)
        return lisp_integer(number);
    if (length == 2 && memcmp(name, "#t", 2) == 0)
        return TRUE;
    return lisp_symbol(l, name, length);
}

static void print_list(value v, FILE *out)
{
    const char *before = "(";
    for (; lisp_kind(v) == PAIR; v = lisp_cdr(v), before = " ") {
        fputs(before, out);
        lisp_print(lisp_car(v), out);
    }
    if (v != NIL) {
        fputs(" . ", out);
        lisp_print(v, out);
    }
    fputc(')', out);
}

void lisp_print(value v, FILE *out)
{
    switch (lisp_kind(v)) {
    case INTEGER:
        fprintf(out, "%" PRId64, lisp_number(v));
        break;
    case PAIR:
        print_list(v, out);
        break;
    case SYMBOL:
        fputs(((struct symbol *)v)->name, out);
        break;
    case STRING:
        fputs(((struct string *)v)->text, out);
        break;
    case CONSTANT:
        fputs(((struct constant *)v)->name, out);
        break;
    case BUILTIN:
        fprintf(out, "#<builtin %s>", ((struct builtin *)v)->name);
        break;
    default:
        fprintf(out, "#<%s>",
                lisp_kind(v) == CLOSURE ? "closure"
                : lisp_kind(v) == TABLE ? "table"
                                        : "port");
    }
}
