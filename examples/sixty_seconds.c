/* examples/sixty_seconds.c - a million objects, of which a list keeps a thousand. */
#include <hearth.h>

#include <stdio.h>

struct node {
    void *next; /* a reference: the collector must know of it */
    long value;
};

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, hearth_last_error());
    return 1;
}

int main(void)
{
    hearth_heap *heap;
    hearth_mutator *me; /* this thread, as the heap knows it */
    hearth_type node_type;

    if (hearth_heap_create(&heap, NULL) != HEARTH_OK)
        return fail("heap");
    if (hearth_attach(heap, NULL, &me) != HEARTH_OK)
        return fail("attach");
    /* Bit 0 of the bitmap: the first word of a node is a reference. */
    if (hearth_type_fixed(heap, "node", sizeof(struct node), 1, &node_type) != HEARTH_OK)
        return fail("type");

    HEARTH_FRAME(me, local, 2); /* two roots: the list's first node and its last */
    for (long i = 0; i < 1000000; i++) {
        struct node *node = hearth_alloc(me, node_type, sizeof(struct node));
        if (node == NULL)
            return fail("alloc");
        node->value = i;
        if (i % 1000 != 0)
            continue; /* nothing refers to this one: it is garbage now */
        struct node *last = local.ref[1];
        if (last == NULL)
            local.ref[0] = node;
        else
            hearth_store(me, last, &last->next, node); /* the write barrier */
        local.ref[1] = node;
    }

    if (hearth_gc_collect(me, 2) != HEARTH_OK)
        return fail("collect");
    long count = 0, sum = 0;
    for (struct node *node = local.ref[0]; node != NULL; node = node->next, count++)
        sum += node->value;
    HEARTH_FRAME_END(me, local);

    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(heap, &stats) != HEARTH_OK)
        return fail("stats");
    printf("list: %ld nodes, sum %ld\n", count, sum);
    printf("heap: %llu objects allocated, %llu alive\n",
           (unsigned long long)stats.allocated_objects, (unsigned long long)stats.live_objects);

    if (hearth_detach(me) != HEARTH_OK || hearth_heap_destroy(heap) != HEARTH_OK)
        return fail("end");
    return 0;
}
