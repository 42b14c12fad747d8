/* tests/checked_use.c CASE - an embedder that uses memory it may not use, for tests/checkers.sh.
 *
 * Built with AddressSanitizer, or run under valgrind: the checker must report every case but `alive`, which
 * does the same things rightly. Without a checker it exits with 0. The fault is in the function
 * `fault`, so that the report can be told from others. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"

struct pair {
    void *left;
    void *right;
    uint64_t value;
};

static volatile uint64_t sink;

static __attribute__((noinline)) void fault(const volatile void *memory, int write)
{
    if (write)
        *(volatile unsigned char *)(uintptr_t)memory = 1;
    else
        sink += *(const volatile unsigned char *)memory;
}

static void check(hearth_status status)
{
    if (status != HEARTH_OK) {
        fprintf(stderr, "hearth: %s\n", hearth_last_error());
        exit(2);
    }
}

struct program {
    hearth_heap *heap;
    hearth_mutator *m;
    hearth_type pair, bytes;
};

/* An object that dies here; generations as asked. */
static void freed(struct program *p, int generation, int write)
{
    struct pair *object = hearth_alloc(p->m, p->pair, sizeof *object);
    object->value = 42;
    check(hearth_gc_collect(p->m, generation));
    fault(&object->value, write);
}

static void freed_among_live(struct program *p)
{
    HEARTH_FRAME(p->m, frame, 2);
    frame.ref[0] = hearth_alloc(p->m, p->pair, sizeof(struct pair));
    struct pair *object = hearth_alloc(p->m, p->pair, sizeof *object);
    frame.ref[1] = hearth_alloc(p->m, p->pair, sizeof(struct pair));
    check(hearth_gc_collect(p->m, 0));
    check(hearth_gc_collect(p->m, 2));
    ((struct pair *)frame.ref[0])->value += ((struct pair *)frame.ref[1])->value;
    fault(&object->value, 0);
    HEARTH_FRAME_END(p->m, frame);
}

static void freed_large(struct program *p, size_t size)
{
    char *object = hearth_new_array(p->m, p->bytes, size);
    if (object == NULL)
        check(hearth_last_status());
    check(hearth_gc_collect(p->m, 2));
    fault(object + size / 2, 0);
}

static void behind_large(struct program *p, size_t size)
{
    char *object = hearth_new_array(p->m, p->bytes, size);
    if (object == NULL)
        check(hearth_last_status());
    memset(object, 1, size);
    fault(object + 128 * 1024, 0);
}

/* The cell behind the newest object, which nobody has been given. */
static void not_allocated(struct program *p)
{
    char *object = hearth_alloc(p->m, p->pair, sizeof(struct pair));
    fault(object + 32 + 8, 0);
}

static void overrun(struct program *p, size_t size)
{
    char *object = hearth_new_array(p->m, p->bytes, size);
    if (object == NULL)
        check(hearth_last_status());
    memset(object, 1, size);
    fault(object + size, 1);
}

/* Everything above, within what is allowed. */
static void alive(struct program *p)
{
    HEARTH_FRAME(p->m, frame, 2);
    for (int i = 0; i < 20000; i++) {
        struct pair *object = hearth_alloc(p->m, p->pair, sizeof *object);
        object->value = (uint64_t)i;
        if (i % 3 == 0) {
            hearth_store_init(&object->left, frame.ref[0]);
            frame.ref[0] = object;
        }
        if (i % 500 == 0) {
            frame.ref[1] = hearth_new_array(p->m, p->bytes, (size_t)i * 40 + 1);
            memset(frame.ref[1], 1, (size_t)i * 40 + 1);
            check(hearth_gc_collect(p->m, i % 1000 == 0 ? 2 : 0));
        }
    }
    for (struct pair *object = frame.ref[0]; object != NULL; object = object->left)
        fault(&object->value, 0);
    check(hearth_verify(p->m));
    HEARTH_FRAME_END(p->m, frame);
}

int main(int count, char **word)
{
    struct program p;
    const char *name = count > 1 ? word[1] : "alive";
    check(hearth_heap_create(&p.heap, NULL));
    check(hearth_attach(p.heap, NULL, &p.m));
    check(hearth_type_fixed(p.heap, "pair", sizeof(struct pair), 3, &p.pair));
    check(hearth_type_bytes(p.heap, "bytes", &p.bytes));
    if (strcmp(name, "alive") == 0)
        alive(&p);
    else if (strcmp(name, "freed-young") == 0)
        freed(&p, 0, 0);
    else if (strcmp(name, "freed-full") == 0)
        freed(&p, 2, 1);
    else if (strcmp(name, "freed-among-live") == 0)
        freed_among_live(&p);
    else if (strcmp(name, "freed-large") == 0)
        freed_large(&p, 100000);
    else if (strcmp(name, "freed-span") == 0)
        freed_large(&p, 5000000);
    else if (strcmp(name, "behind-large") == 0)
        behind_large(&p, 100000);
    else if (strcmp(name, "not-allocated") == 0)
        not_allocated(&p);
    else if (strcmp(name, "overrun-small") == 0)
        overrun(&p, 21);
    else if (strcmp(name, "overrun-large") == 0)
        overrun(&p, 100001);
    else if (strcmp(name, "overrun-span") == 0)
        overrun(&p, 5000003);
    else
        return 3;
    check(hearth_detach(p.m));
    check(hearth_heap_destroy(p.heap));
    return 0;
}
