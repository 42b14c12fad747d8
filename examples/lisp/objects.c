/* examples/lisp/objects.c - the kinds of objects, as types of the heap, and how they are made. */
#include "lisp.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct constant lisp_nil = {CONSTANT, "()"}, lisp_true = {CONSTANT, "#t"};

#define INTEGER_BIT ((uintptr_t)1 << 63)

int lisp_kind(value v)
{
    return (uintptr_t)v & INTEGER_BIT ? INTEGER : *(int *)v;
}

value lisp_integer(int64_t number)
{
    return (value)((uintptr_t)number | INTEGER_BIT);
}

int64_t lisp_number(value v)
{
    return (int64_t)((uintptr_t)v << 1) >> 1;
}

value lisp_fail(struct lisp *l, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    vsnprintf(l->error, sizeof l->error, format, rest);
    va_end(rest);
    return NULL;
}

static value no_memory(struct lisp *l)
{
    return lisp_fail(l, "out of memory: %.150s", hearth_last_error());
}

/* A new object has no place in the heap yet, so its first stores need no barrier. */
value lisp_cons(struct lisp *l, value car, value cdr)
{
    HEARTH_FRAME(l->me, f, 2);
    f.ref[0] = car;
    f.ref[1] = cdr;
    struct pair *pair = hearth_alloc(l->me, l->pair, sizeof *pair);
    HEARTH_FRAME_END(l->me, f);
    if (pair == NULL)
        return no_memory(l);
    pair->kind = PAIR;
    hearth_store_init(&pair->car, car);
    hearth_store_init(&pair->cdr, cdr);
    return pair;
}

value lisp_string(struct lisp *l, const char *text, size_t length)
{
    struct string *string = hearth_alloc_array(l->me, l->string, length + 1);
    if (string == NULL)
        return no_memory(l);
    string->kind = STRING;
    string->length = (uint32_t)length;
    memcpy(string->text, text, length);
    return string;
}

value lisp_closure(struct lisp *l, value params, value body, value env)
{
    HEARTH_FRAME(l->me, f, 3);
    f.ref[0] = params;
    f.ref[1] = body;
    f.ref[2] = env;
    struct closure *closure = hearth_alloc(l->me, l->closure, sizeof *closure);
    HEARTH_FRAME_END(l->me, f);
    if (closure == NULL)
        return no_memory(l);
    closure->kind = CLOSURE;
    hearth_store_init(&closure->params, params);
    hearth_store_init(&closure->body, body);
    hearth_store_init(&closure->env, env);
    return closure;
}

/* --- symbols ------------------------------------------------------------------------------------- */

static uint64_t hash_bytes(const char *text, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash;
}

/* The slot of an array of symbols where the name is, or should be. */
static value *symbol_slot(value *slots, size_t size, const char *name, size_t length)
{
    for (size_t i = hash_bytes(name, length) % size;; i = (i + 1) % size) {
        struct symbol *symbol = slots[i];
        if (symbol == NULL || (symbol->length == length && !memcmp(symbol->name, name, length)))
            return &slots[i];
    }
}

static bool grow_symbols(struct lisp *l)
{
    value *old = l->symbols;
    size_t size = old == NULL ? 0 : hearth_length(l->heap, old);
    if (l->symbol_count * 2 < size)
        return true;
    value *slots = hearth_new_array(l->me, l->references, size == 0 ? 256 : size * 2);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < size; i++) {
        struct symbol *symbol = old[i];
        if (symbol != NULL)
            hearth_store(l->me, slots, symbol_slot(slots, size * 2, symbol->name, symbol->length),
                         symbol);
    }
    l->symbols = slots; /* a root: no barrier */
    return true;
}

value lisp_symbol(struct lisp *l, const char *name, size_t length)
{
    if (!grow_symbols(l))
        return no_memory(l);
    size_t size = hearth_length(l->heap, l->symbols);
    struct symbol *symbol = *symbol_slot(l->symbols, size, name, length);
    if (symbol != NULL)
        return symbol;
    symbol = hearth_new_array(l->me, l->symbol, length + 1);
    if (symbol == NULL)
        return no_memory(l);
    symbol->kind = SYMBOL;
    symbol->length = (uint32_t)length;
    memcpy(symbol->name, name, length);
    hearth_store(l->me, l->symbols, symbol_slot(l->symbols, size, name, length), symbol);
    l->symbol_count++;
    return symbol;
}

/* --- hash tables --------------------------------------------------------------------------------- */

/* Strings are compared by contents, everything else by identity: objects never move. */
static uint64_t hash_value(value v)
{
    if (lisp_kind(v) == STRING)
        return hash_bytes(((struct string *)v)->text, ((struct string *)v)->length);
    return ((uintptr_t)v >> 4) * 0x9e3779b97f4a7c15u >> 20;
}

static bool same(value a, value b)
{
    if (a == b)
        return true;
    if (lisp_kind(a) != STRING || lisp_kind(b) != STRING)
        return false;
    struct string *s = a, *t = b;
    return s->length == t->length && memcmp(s->text, t->text, s->length) == 0;
}

static value *table_slot(value *slots, size_t size, value key)
{
    size_t i = hash_value(key) % (size / 2);
    while (slots[2 * i] != NULL && !same(slots[2 * i], key))
        i = (i + 1) % (size / 2);
    return &slots[2 * i];
}

static bool grow_table(struct lisp *l, struct table *table)
{
    HEARTH_FRAME(l->me, f, 1);
    f.ref[0] = table;
    value *old = table->slots;
    size_t size = old == NULL ? 0 : hearth_length(l->heap, old), wanted = size == 0 ? 16 : size * 2;
    value *slots = hearth_new_array(l->me, l->references, wanted);
    HEARTH_FRAME_END(l->me, f);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < size; i += 2) {
        if (old[i] == NULL)
            continue;
        value *to = table_slot(slots, wanted, old[i]);
        hearth_store(l->me, slots, &to[0], old[i]);
        hearth_store(l->me, slots, &to[1], old[i + 1]);
    }
    hearth_store(l->me, table, &table->slots, slots);
    return true;
}

value lisp_table(struct lisp *l)
{
    struct table *table = hearth_alloc(l->me, l->table, sizeof *table);
    if (table == NULL)
        return no_memory(l);
    table->kind = TABLE;
    return table;
}

value lisp_table_get(struct lisp *l, value v, value key)
{
    struct table *table = v;
    if (table->slots == NULL)
        return NULL;
    return table_slot(table->slots, hearth_length(l->heap, table->slots), key)[1];
}

value lisp_table_put(struct lisp *l, value v, value key, value to)
{
    struct table *table = v;
    HEARTH_FRAME(l->me, f, 3);
    f.ref[0] = table;
    f.ref[1] = key;
    f.ref[2] = to;
    size_t size = table->slots == NULL ? 0 : hearth_length(l->heap, table->slots);
    bool room = table->count * 4 < size || grow_table(l, table);
    HEARTH_FRAME_END(l->me, f);
    if (!room)
        return no_memory(l);
    value *slots = table->slots, *slot = table_slot(slots, hearth_length(l->heap, slots), key);
    table->count += slot[0] == NULL;
    hearth_store(l->me, slots, &slot[0], key);
    hearth_store(l->me, slots, &slot[1], to);
    return to;
}

/* --- ports --------------------------------------------------------------------------------------- */

/* A port that nobody refers to any more: its file is closed before its memory is reclaimed. */
static hearth_status close_port(hearth_mutator *me, void *object, void *data)
{
    struct port *port = object;
    struct lisp *l = data;
    (void)me;
    if (port->file != NULL) {
        fclose(port->file);
        port->file = NULL;
        l->open_ports--;
    }
    return HEARTH_OK;
}

value lisp_open(struct lisp *l, const char *path, const char *mode)
{
    struct port *port = hearth_alloc(l->me, l->port, sizeof *port);
    if (port == NULL)
        return no_memory(l);
    port->kind = PORT;
    HEARTH_FRAME(l->me, f, 1);
    f.ref[0] = port;
    hearth_status status = hearth_finalizer_add(l->me, port, close_port, l, 0);
    HEARTH_FRAME_END(l->me, f);
    if (status != HEARTH_OK)
        return no_memory(l);
    port->file = fopen(path, mode);
    if (port->file == NULL)
        return lisp_fail(l, "open: %.150s cannot be opened", path);
    l->open_ports++;
    return port;
}

/* --- beginning and end --------------------------------------------------------------------------- */

/* The roots that lie in struct lisp. */
static void visit_roots(void *data, hearth_visitor *visitor)
{
    struct lisp *l = data;
    hearth_visit(visitor, &l->symbols);
    for (int i = 0; i < FORMS; i++)
        hearth_visit(visitor, &l->form[i]);
}

/* Bit i of a bitmap: word i of the object is a reference. */
static hearth_status register_types(struct lisp *l)
{
    hearth_type_info symbol = {.struct_size = sizeof symbol,
                               .name = "symbol",
                               .size = sizeof(struct symbol),
                               .ref_bitmap = 1 << 1,
                               .element_size = 1};
    hearth_type_info string = {.struct_size = sizeof string,
                               .name = "string",
                               .size = sizeof(struct string),
                               .flags = HEARTH_TYPE_LEAF,
                               .element_size = 1};
    hearth_heap *heap = l->heap;
    hearth_status status = hearth_type_fixed(heap, "pair", sizeof(struct pair), 6, &l->pair);
    if (status == HEARTH_OK)
        status = hearth_type_register(heap, &symbol, &l->symbol);
    if (status == HEARTH_OK)
        status = hearth_type_register(heap, &string, &l->string);
    if (status == HEARTH_OK)
        status = hearth_type_fixed(heap, "closure", sizeof(struct closure), 0x1e, &l->closure);
    if (status == HEARTH_OK)
        status = hearth_type_fixed(heap, "table", sizeof(struct table), 1 << 1, &l->table);
    if (status == HEARTH_OK)
        status = hearth_type_leaf(heap, "port", sizeof(struct port), &l->port);
    if (status == HEARTH_OK)
        status = hearth_type_refs(heap, "references", &l->references);
    return status;
}

bool lisp_start(struct lisp *l, const hearth_options *options)
{
    static const char *const forms[FORMS] = {"quote", "if",    "define", "set!", "lambda",
                                             "let",   "begin", "and",    "or",   "while"};
    memset(l, 0, sizeof *l);
    if (hearth_heap_create(&l->heap, options) != HEARTH_OK ||
        hearth_attach(l->heap, NULL, &l->me) != HEARTH_OK || register_types(l) != HEARTH_OK ||
        hearth_root_provider_add(l->heap, visit_roots, l) != HEARTH_OK)
        return lisp_fail(l, "%.150s", hearth_last_error()) != NULL;
    for (int i = 0; i < FORMS; i++)
        if ((l->form[i] = lisp_symbol(l, forms[i], strlen(forms[i]))) == NULL)
            return false;
    return lisp_define_builtins(l);
}

void lisp_end(struct lisp *l)
{
    hearth_detach(l->me);
    hearth_heap_destroy(l->heap);
}
