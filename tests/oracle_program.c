/* tests/oracle_program.c - programs of random operations on a heap and its shadow.
 *
 * Objects are found by walking from a random root along random references, so that a program touches only
 * what is reachable. References are written by every call there is. Choices depend on the random numbers
 * alone, never on addresses or on the collector. */
#include <stdlib.h>
#include <string.h>

#include "tests/oracle.h"

uint64_t oracle_below(struct oracle *oracle, uint64_t bound)
{
    size_t bytes = bound <= 256 ? 1 : bound <= 65536 ? 2 : 4;

    if ((size_t)(oracle->input_end - oracle->input) < bytes) {
        oracle->input = oracle->input_end;
        return harness_random_below(&oracle->random, bound);
    }
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)*oracle->input++ << 8 * i;
    return number % bound;
}

static uint64_t below(struct oracle *oracle, uint64_t bound)
{
    return oracle_below(oracle, bound);
}

/* --- roots --------------------------------------------------------------------------------------- */

static void **frame_slots(struct oracle_frame *frame)
{
    return (void **)(&frame->head + 1);
}

static void frame_push(struct oracle *oracle, size_t count)
{
    struct oracle_frame *frame = calloc(1, sizeof(*frame) + count * sizeof(void *));

    frame->object = calloc(count, sizeof(*frame->object));
    frame->count = count;
    frame->prev = oracle->frames;
    frame->head.count = count;
    frame->head.prev = oracle->mutator->frames;
    oracle->mutator->frames = &frame->head;
    oracle->frames = frame;
    oracle->frame_count++;
}

static void frame_pop(struct oracle *oracle)
{
    struct oracle_frame *frame = oracle->frames;

    oracle->mutator->frames = frame->head.prev;
    oracle->frames = frame->prev;
    oracle->frame_count--;
    free(frame->object);
    free(frame);
}

static void scope_open(struct oracle *oracle)
{
    size_t scope = oracle->scopes++;

    oracle->scope_handles[scope] = oracle->handles;
    HARNESS_OK(hearth_scope_open(oracle->mutator, &oracle->scope[scope]));
}

static void scope_close(struct oracle *oracle)
{
    size_t scope = --oracle->scopes;

    HARNESS_OK(hearth_scope_close(oracle->mutator, &oracle->scope[scope]));
    oracle->handles = oracle->scope_handles[scope];
}

static void handle_add(struct oracle *oracle, struct oracle_object *object)
{
    if (oracle->handles == oracle->handle_capacity) {
        oracle->handle_capacity = oracle->handle_capacity * 2 + 64;
        oracle->handle = realloc(oracle->handle, oracle->handle_capacity * sizeof(*oracle->handle));
    }
    void **slot = hearth_handle(oracle->mutator, object->address);
    ck_assert_msg(slot != NULL, "hearth_handle: %s", hearth_last_error());
    oracle->handle[oracle->handles++] = (struct oracle_root){slot, object};
}

static void provide(void *data, hearth_visitor *visitor)
{
    struct oracle_provider *provider = data;

    for (size_t i = 0; i < ORACLE_PROVIDED; i++)
        hearth_visit(visitor, &provider->slot[i]);
    hearth_visit_ambiguous(visitor, provider->word, provider->word + ORACLE_WORDS);
}

static void provider_add(struct oracle *oracle)
{
    HARNESS_OK(hearth_root_provider_add(oracle->heap->heap, provide, &oracle->provider));
    oracle->provider.added = true;
}

static void provider_remove(struct oracle *oracle)
{
    HARNESS_OK(hearth_root_provider_remove(oracle->heap->heap, provide, &oracle->provider));
    memset(&oracle->provider, 0, sizeof(oracle->provider));
}

/* The i-th global slot becomes a root if it is none, and holds the object (NULL: nothing). */
static void global_set(struct oracle *oracle, size_t i, struct oracle_object *object)
{
    if (!oracle->global_added[i])
        HARNESS_OK(hearth_root_add(oracle->heap->heap, &oracle->global[i]));
    oracle->global_added[i] = true;
    oracle->global[i] = object != NULL ? object->address : NULL;
    oracle->global_object[i] = object;
}

static void global_remove(struct oracle *oracle, size_t i)
{
    if (oracle->global_added[i])
        HARNESS_OK(hearth_root_remove(oracle->heap->heap, &oracle->global[i]));
    oracle->global_added[i] = false;
    oracle->global_object[i] = NULL; /* the slot keeps its value: it is no root any more */
}

bool oracle_hold(struct oracle *oracle, struct oracle_object *object)
{
    for (size_t i = 0; i < ORACLE_GLOBALS; i++)
        if (oracle->global_object[i] == NULL) {
            global_set(oracle, i, object);
            return true;
        }
    return false;
}

static void provider_set(struct oracle *oracle, size_t i, struct oracle_object *object)
{
    struct oracle_provider *provider = &oracle->provider;

    if (i < ORACLE_PROVIDED) {
        provider->slot[i] = object != NULL ? object->address : NULL;
        provider->object[i] = object;
        return;
    }
    i -= ORACLE_PROVIDED; /* ambiguous: somewhere inside */
    provider->inside[i] = object;
    provider->word[i] =
        object != NULL ? (uintptr_t)object->address + below(oracle, object->size) : 0;
}

static void frame_set(struct oracle *oracle, size_t i, struct oracle_object *object)
{
    struct oracle_frame *frame = oracle->frames;

    while (i >= frame->count) {
        i -= frame->count;
        frame = frame->prev;
    }
    frame_slots(frame)[i] = object != NULL ? object->address : NULL;
    frame->object[i] = object;
}

static size_t frame_total(const struct oracle *oracle)
{
    size_t total = 0;

    for (const struct oracle_frame *frame = oracle->frames; frame != NULL; frame = frame->prev)
        total += frame->count;
    return total;
}

void oracle_root_set(struct oracle *oracle, struct oracle_object *object)
{
    size_t frames = frame_total(oracle);

    switch (below(oracle, 5)) {
    case 0:
    case 1:
        if (frames != 0) {
            frame_set(oracle, below(oracle, frames), object);
            return;
        }
        break;
    case 2:
        if (object != NULL && oracle->scopes != 0) {
            handle_add(oracle, object);
            return;
        }
        if (object == NULL && oracle->handles != 0) {
            struct oracle_root *root = &oracle->handle[below(oracle, oracle->handles)];
            *root->slot = NULL;
            root->object = NULL;
            return;
        }
        break;
    case 3:
        if (oracle->provider.added) {
            provider_set(oracle, below(oracle, ORACLE_PROVIDED + ORACLE_WORDS), object);
            return;
        }
        break;
    default:
        break;
    }
    global_set(oracle, below(oracle, ORACLE_GLOBALS), object);
}

static struct oracle_object *root_pick(struct oracle *oracle)
{
    size_t frames = frame_total(oracle);
    size_t total = frames + oracle->handles + ORACLE_GLOBALS + ORACLE_PROVIDED + ORACLE_WORDS;
    size_t i = below(oracle, total);

    for (struct oracle_frame *frame = oracle->frames; frame != NULL; frame = frame->prev) {
        if (i < frame->count)
            return frame->object[i];
        i -= frame->count;
    }
    if (i < oracle->handles)
        return oracle->handle[i].object;
    i -= oracle->handles;
    if (i < ORACLE_GLOBALS)
        return oracle->global_object[i];
    i -= ORACLE_GLOBALS;
    if (i < ORACLE_PROVIDED)
        return oracle->provider.object[i];
    return oracle->provider.inside[i - ORACLE_PROVIDED];
}

struct oracle_object *oracle_pick(struct oracle *oracle)
{
    struct oracle_object *object = NULL;

    for (int tries = 0; object == NULL && tries < 8; tries++)
        object = root_pick(oracle);
    if (object == NULL)
        return NULL;
    for (uint64_t steps = below(oracle, 8); steps > 0 && object->slots != 0; steps--) {
        struct oracle_object *next = oracle_target(object, below(oracle, object->slots));
        object = next != NULL ? next : object;
    }
    return object;
}

/* A reachable object that has slots. */
static struct oracle_object *pick_holder(struct oracle *oracle)
{
    for (int tries = 0; tries < 6; tries++) {
        struct oracle_object *object = oracle_pick(oracle);
        if (object != NULL && object->slots != 0)
            return object;
    }
    return NULL;
}

/* --- operations ---------------------------------------------------------------------------------- */

/* Mostly short, sometimes above the card and the large-object thresholds. */
static size_t random_count(struct oracle *oracle, enum oracle_kind kind)
{
    uint64_t dice = below(oracle, 1000);
    size_t unit = kind == ORACLE_BYTES || kind == ORACLE_MODEL ? 8 : 1;
    size_t count;

    if (dice < 700)
        count = below(oracle, 12);
    else if (dice < 900)
        count = below(oracle, 100);
    else if (dice < 990)
        count = below(oracle, 2000);
    else if (dice < 999 || !oracle->heap->big)
        count = 4000 + below(oracle, 4000);
    else
        count = ((size_t)5 << 20) / 8 + below(oracle, 200000);
    count *= unit;
    return kind == ORACLE_MODEL ? count + 8 : count;
}

/* Write a value that is no heap reference: hearth ignores it. */
static uintptr_t random_odd(struct oracle *oracle)
{
    return below(oracle, 1 << 20) * 2 + 1;
}

/* What a slot may get: an object, NULL, or something that is no reference. */
static uintptr_t random_value(struct oracle *oracle)
{
    uint64_t dice = below(oracle, 10);

    if (dice == 0)
        return 0;
    return dice == 1 ? random_odd(oracle) : (uintptr_t)oracle_pick(oracle);
}

static void *value_address(uintptr_t value)
{
    return value == 0 || (value & 1) ? (void *)value : ((struct oracle_object *)value)->address;
}

static void store_value(struct oracle *oracle, struct oracle_object *object, size_t slot,
                        uintptr_t value)
{
    void **at = oracle_slot(object, slot);
    uint64_t how = below(oracle, 8);

    if (how == 0) {
        HARNESS_OK(
            hearth_store_checked(oracle->mutator, object->address, at, value_address(value)));
    } else if (how == 1) {
        hearth_barrier(oracle->mutator, object->address, at);
        __atomic_store_n(at, value_address(value), __ATOMIC_RELEASE);
    } else {
        HARNESS_OK(hearth_store(oracle->mutator, object->address, at, value_address(value)));
    }
    object->ref[slot] = value;
}

/* A new object, its slots partly filled without a barrier, then made reachable. */
static void step_allocate(struct oracle *oracle)
{
    static const uint8_t often[] = {ORACLE_LEAF,  ORACLE_PAIR,  ORACLE_PAIR,    ORACLE_NODE,
                                    ORACLE_NODE,  ORACLE_NODE,  ORACLE_REFS,    ORACLE_REFS,
                                    ORACLE_BYTES, ORACLE_MODEL, ORACLE_STRUCTS, ORACLE_CARDS_REFS};
    enum oracle_kind kind = (enum oracle_kind)(below(oracle, 2) != 0 ? often[below(oracle, 12)]
                                                                     : below(oracle, ORACLE_KINDS));
    struct oracle_object *object = oracle_new(oracle, kind, random_count(oracle, kind));

    if (object == NULL) {
        for (int i = 0; i < 4; i++)
            oracle_root_set(oracle, NULL);
        return;
    }
    size_t fill = object->slots == 0 ? 0 : below(oracle, 4) % (object->slots + 1);
    for (size_t i = 0; i < fill; i++) {
        size_t slot = below(oracle, object->slots);
        uintptr_t value = random_value(oracle);
        hearth_store_init(oracle_slot(object, slot), value_address(value));
        object->ref[slot] = value;
    }
    struct oracle_object *holder = below(oracle, 3) != 0 ? pick_holder(oracle) : NULL;
    if (holder == NULL)
        oracle_root_set(oracle, object);
    else
        store_value(oracle, holder, below(oracle, holder->slots), (uintptr_t)object);
}

static void step_store(struct oracle *oracle)
{
    struct oracle_object *object = pick_holder(oracle);

    if (object != NULL)
        store_value(oracle, object, below(oracle, object->slots), random_value(oracle));
}

/* A run of adjacent slots [*slot, *slot + n) of the object, n <= most. */
static size_t adjacent(struct oracle *oracle, const struct oracle_object *object, size_t *slot,
                       size_t most)
{
    enum oracle_kind kind = (enum oracle_kind)object->kind;
    size_t n = 1;

    *slot = below(oracle, object->slots);
    while (n < most && *slot + n < object->slots &&
           oracle_offset(kind, *slot + n) == oracle_offset(kind, *slot) + n * sizeof(void *))
        n++;
    return n;
}

static void step_store_range(struct oracle *oracle)
{
    struct oracle_object *object = pick_holder(oracle);

    if (object == NULL)
        return;
    void *values[40];
    size_t slot, n = adjacent(oracle, object, &slot, 1 + below(oracle, 40));
    for (size_t i = 0; i < n; i++) {
        uintptr_t value = random_value(oracle);
        values[i] = value_address(value);
        object->ref[slot + i] = value;
    }
    HARNESS_OK(
        hearth_store_range(oracle->mutator, object->address, oracle_slot(object, slot), values, n));
}

static void step_copy(struct oracle *oracle)
{
    struct oracle_object *from = pick_holder(oracle);
    struct oracle_object *to = below(oracle, 2) ? from : pick_holder(oracle);

    if (from == NULL || to == NULL)
        return;
    size_t source, target, most = 1 + below(oracle, 300);
    size_t n = adjacent(oracle, from, &source, most);
    n = adjacent(oracle, to, &target, n);
    HARNESS_OK(hearth_copy(oracle->mutator, to->address, oracle_slot(to, target), from->address,
                           oracle_slot(from, source), n));
    memmove(&to->ref[target], &from->ref[source], n * sizeof(*to->ref));
}

/* Clear a range, so that large arrays do not keep everything alive. */
static void step_clear(struct oracle *oracle)
{
    struct oracle_object *object = pick_holder(oracle);

    if (object == NULL)
        return;
    size_t slot, n = adjacent(oracle, object, &slot, 1 + below(oracle, 1000));
    HARNESS_OK(
        hearth_barrier_range(oracle->mutator, object->address, oracle_slot(object, slot), n));
    for (size_t i = 0; i < n; i++) {
        __atomic_store_n(oracle_slot(object, slot + i), NULL, __ATOMIC_RELAXED);
        object->ref[slot + i] = 0;
    }
}

static void step_roots(struct oracle *oracle)
{
    switch (below(oracle, 10)) {
    case 0:
        if (oracle->frame_count < 40)
            frame_push(oracle, 1 + below(oracle, 6));
        break;
    case 1:
        if (oracle->frame_count > 0)
            frame_pop(oracle);
        break;
    case 2:
        if (oracle->scopes < ORACLE_SCOPES)
            scope_open(oracle);
        break;
    case 3:
        if (oracle->scopes > 0)
            scope_close(oracle);
        break;
    case 4:
        if (oracle->provider.added && below(oracle, 4) == 0)
            provider_remove(oracle);
        else if (!oracle->provider.added)
            provider_add(oracle);
        break;
    case 5:
        global_remove(oracle, below(oracle, ORACLE_GLOBALS));
        break;
    case 6:
        oracle_root_set(oracle, oracle_pick(oracle));
        break;
    default:
        oracle_root_set(oracle, NULL);
        break;
    }
}

static int step_collect(struct oracle *oracle)
{
    int generation = (int)below(oracle, 3);

    HARNESS_OK(hearth_gc_collect(oracle->mutator, generation));
    return generation;
}

static void step_rare(struct oracle *oracle)
{
    switch (below(oracle, 6)) {
    case 0:
        if (oracle->disabled)
            HARNESS_OK(hearth_gc_enable(oracle->heap->heap));
        else
            HARNESS_OK(hearth_gc_disable(oracle->heap->heap));
        oracle->disabled = !oracle->disabled;
        break;
    case 1:
        HARNESS_OK(hearth_native_begin(oracle->mutator));
        HARNESS_OK(hearth_native_end(oracle->mutator));
        break;
    case 2:
        HARNESS_OK(hearth_verify(oracle->mutator));
        break;
    case 3: { /* rewrite an object's data: no barrier */
        struct oracle_object *object = oracle_pick(oracle);
        if (object != NULL) {
            object->salt++;
            oracle_write(object);
        }
        break;
    }
    default:
        hearth_safepoint(oracle->mutator);
        break;
    }
}

/* Too much lives: drop roots, and what is left of the model shrinks at the next pruning. */
static void shrink(struct oracle *oracle)
{
    if (oracle->after != NULL)
        oracle_after_clear(oracle);
    oracle_prune(oracle);
    while (oracle->bytes > oracle->most / 2 || oracle->count > 20000) {
        for (int i = 0; i < 8; i++)
            oracle_root_set(oracle, NULL);
        if (oracle->frame_count > 0)
            frame_pop(oracle);
        if (oracle->scopes > 0)
            scope_close(oracle);
        oracle_prune(oracle);
    }
}

int oracle_step(struct oracle *oracle)
{
    uint64_t dice = below(oracle, 1000);

    oracle->step++;
    if (oracle->bytes > oracle->most || oracle->count > 40000)
        shrink(oracle);
    if (dice < 420)
        step_allocate(oracle);
    else if (dice < 720)
        step_store(oracle);
    else if (dice < 770)
        step_store_range(oracle);
    else if (dice < 820)
        step_copy(oracle);
    else if (dice < 840)
        step_clear(oracle);
    else if (dice < 970)
        step_roots(oracle);
    else if (dice < 990)
        step_rare(oracle);
    else
        return step_collect(oracle);
    return -1;
}

/* --- beginning and ending ------------------------------------------------------------------------ */

void oracle_begin(struct oracle *oracle, struct oracle_heap *heap, uint64_t seed, int node)
{
    const hearth_attach_options options = {.struct_size = sizeof(options), .node = node};

    memset(oracle, 0, sizeof(*oracle));
    oracle->heap = heap;
    oracle->random = seed;
    oracle->most = (size_t)6 << 20;
    HARNESS_OK(hearth_attach(heap->heap, &options, &oracle->mutator));
    frame_push(oracle, 4);
    scope_open(oracle);
}

void oracle_end(struct oracle *oracle, bool exit_attached)
{
    if (oracle->disabled)
        HARNESS_OK(hearth_gc_enable(oracle->heap->heap));
    for (size_t i = 0; i < ORACLE_GLOBALS; i++)
        global_remove(oracle, i);
    if (oracle->provider.added)
        provider_remove(oracle);
    while (oracle->scopes > 0)
        scope_close(oracle);
    while (oracle->frame_count > 0)
        frame_pop(oracle);
    free(oracle->handle);
    oracle->handle = NULL;
    oracle_prune(oracle);
    if (!exit_attached)
        HARNESS_OK(hearth_detach(oracle->mutator));
}
