/* tests/test_type.c - registering types, and that each tier keeps exactly what it references.
 *
 * Exactly: after a full collection with precise roots an object is there if and only if a reference
 * slot of a live object holds its address; the same address in a word that is no reference keeps
 * nothing. The same through the barrier and a minor collection. */
#include "tests/mutator_fixture.h"

/* --- registration -------------------------------------------------------------------------------- */

static void trace_nothing(void *object, size_t size, hearth_visitor *visitor)
{
    (void)object, (void)size, (void)visitor;
}

/* What is registered can be read back, and registered again from that. */
START_TEST(round_trip)
{
    static const uint32_t offsets[] = {8, 40};
    hearth_type_info infos[] = {
        {.name = "leaf", .size = 24, .flags = HEARTH_TYPE_LEAF},
        {.name = "bitmap", .size = 40, .ref_bitmap = 0x15},
        {.name = "offsets", .size = 48, .ref_offsets = offsets, .ref_count = 2},
        {.name = "elements", .size = 16, .ref_bitmap = 2, .element_size = 24, .element_bitmap = 5},
        {.name = "callback", .size = 100, .trace = trace_nothing},
        {.name = "cards", .size = 4096, .ref_bitmap = 1, .flags = HEARTH_TYPE_CARDS},
        {.name = "last word", .size = 512, .ref_bitmap = UINT64_C(1) << 63},
        {.name = NULL, .size = 8},
    };
    hearth_heap *heap = fixture_heap(NULL);

    for (size_t i = 0; i < sizeof infos / sizeof infos[0]; i++) {
        hearth_type type = 0, again = 0;
        hearth_type_info info = {.struct_size = sizeof info};

        infos[i].struct_size = sizeof infos[i];
        HARNESS_OK(hearth_type_register(heap, &infos[i], &type));
        ck_assert_uint_ne(type, 0);
        HARNESS_OK(hearth_type_get(heap, type, &info));
        ck_assert_uint_eq(info.struct_size, sizeof info);
        ck_assert_str_eq(info.name, infos[i].name != NULL ? infos[i].name : "");
        ck_assert_uint_eq(info.size, infos[i].size);
        ck_assert_uint_eq(info.ref_bitmap, infos[i].ref_bitmap);
        ck_assert_uint_eq(info.ref_count, infos[i].ref_count);
        for (size_t j = 0; j < info.ref_count; j++)
            ck_assert_uint_eq(info.ref_offsets[j], offsets[j]);
        ck_assert_uint_eq(info.element_size, infos[i].element_size);
        ck_assert_uint_eq(info.element_bitmap, infos[i].element_bitmap);
        ck_assert(info.trace == infos[i].trace);
        ck_assert_uint_eq(info.flags & HEARTH_TYPE_CARDS, infos[i].flags & HEARTH_TYPE_CARDS);
        ck_assert_uint_eq(type & 1, info.flags & HEARTH_TYPE_LEAF);
        HARNESS_OK(hearth_type_register(heap, &info, &again));
        ck_assert_uint_ne(again, type);
    }
    ck_assert(hg_types_check(&heap->types));
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* The name is copied, and cut at 63 bytes. */
START_TEST(names_are_copied)
{
    hearth_heap *heap = fixture_heap(NULL);
    hearth_type_info info = {.struct_size = sizeof info};
    hearth_type type;
    char name[100];

    memset(name, 'x', sizeof name);
    name[99] = '\0';
    HARNESS_OK(hearth_type_leaf(heap, name, 8, &type));
    memset(name, 'y', 10);
    HARNESS_OK(hearth_type_get(heap, type, &info));
    ck_assert_uint_eq(strlen(info.name), 63);
    ck_assert_uint_eq(strspn(info.name, "x"), 63);
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

struct contradiction {
    const char *text; /* that the message must have */
    hearth_status status;
    hearth_type_info info;
};

static const uint32_t odd_offsets[] = {0, 12}, far_offsets[] = {0, 40}, edge_offsets[] = {36};

static const struct contradiction contradictions[] = {
    {"0x8", HEARTH_EINVAL, {.name = "t", .size = 8, .flags = 8}},
    {"t: size", HEARTH_ESIZE, {.name = "t"}},
    {"4294967295", HEARTH_ESIZE, {.name = "t", .size = UINT32_MAX}},
    {"1099511627776", HEARTH_ESIZE, {.name = "t", .element_size = (size_t)1 << 40}},
    {"18446744073709551615", HEARTH_ESIZE, {.name = "t", .size = SIZE_MAX}},
    {"2 offsets", HEARTH_EINVAL, {.name = "t", .size = 40, .ref_count = 2}},
    {"2 offsets",
     HEARTH_EINVAL,
     {.name = "t", .size = 40, .ref_count = 2, .ref_offsets = far_offsets, .ref_bitmap = 1}},
    {"40", HEARTH_EINVAL, {.name = "t", .size = 40, .ref_count = 2, .ref_offsets = far_offsets}},
    {"12", HEARTH_EINVAL, {.name = "t", .size = 40, .ref_count = 2, .ref_offsets = odd_offsets}},
    {"36", HEARTH_EINVAL, {.name = "t", .size = 40, .ref_count = 1, .ref_offsets = edge_offsets}},
    {"4294967297 offsets",
     HEARTH_EINVAL,
     {.name = "t", .size = 40, .ref_count = 4294967297, .ref_offsets = far_offsets}},
    {"t is LEAF", HEARTH_EINVAL, {.name = "t", .size = 8, .ref_bitmap = 1, .flags = 1}},
    {"t is LEAF", HEARTH_EINVAL, {.name = "t", .size = 8, .trace = trace_nothing, .flags = 1}},
    {"t is LEAF", HEARTH_EINVAL, {.name = "t", .element_size = 8, .element_bitmap = 1, .flags = 1}},
    {"t has a trace",
     HEARTH_EINVAL,
     {.name = "t", .size = 8, .trace = trace_nothing, .ref_bitmap = 1}},
    {"0x20", HEARTH_EINVAL, {.name = "t", .size = 40, .ref_bitmap = 0x20}},
    {"0x1", HEARTH_EINVAL, {.name = "t", .size = 7, .ref_bitmap = 1}},
    {"0x4", HEARTH_EINVAL, {.name = "t", .element_size = 16, .element_bitmap = 4}},
    {"not aligned", HEARTH_EINVAL, {.name = "t", .element_size = 12, .element_bitmap = 1}},
    {"not aligned",
     HEARTH_EINVAL,
     {.name = "t", .size = 4, .element_size = 8, .element_bitmap = 1}},
};

START_TEST(contradictions_are_named)
{
    const struct contradiction *wrong = &contradictions[_i];
    hearth_heap *heap = fixture_heap(NULL);
    hearth_type_info info = wrong->info;
    hearth_type type = 77;

    info.struct_size = sizeof info;
    HARNESS_STATUS_NAMES(hearth_type_register(heap, &info, &type), wrong->status, wrong->text);
    ck_assert_uint_eq(type, 77);
    HARNESS_OK(hearth_type_leaf(heap, "t", 8, &type));
    ck_assert_uint_eq(hg_type_index(type), 1);
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

START_TEST(table_full)
{
    struct fixture f = fixture_open(NULL);
    hearth_type type = 0, last;
    hearth_type_info info = {.struct_size = sizeof info};

    for (int i = 4; i < HG_TYPES_MAX; i++)
        if (hearth_type_fixed(f.heap, "many", 16, 2, &type) != HEARTH_OK)
            ck_abort_msg("type %d: %s", i, hearth_last_error());
    last = type;
    ck_assert_uint_eq(hg_type_index(last), HG_TYPES_MAX - 1);
    HARNESS_STATUS_NAMES(hearth_type_fixed(f.heap, "one more", 16, 2, &type), HEARTH_ETYPE,
                         "one more");
    HARNESS_STATUS_NAMES(hearth_type_fixed(f.heap, "one more", 16, 2, &type), HEARTH_ETYPE,
                         "32767");
    HARNESS_OK(hearth_type_get(f.heap, last, &info));
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = hearth_alloc(f.mutator, last, 16);
    ck_assert_ptr_nonnull(frame.ref[0]);
    hearth_store_init((void **)frame.ref[0] + 1, fixture_new(f.mutator, f.node, 5));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(((struct fixture_node *)((void **)frame.ref[0])[1])->value, 5);
    ck_assert_uint_eq(hearth_type_of(f.heap, frame.ref[0]), last);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

enum { REGISTRARS = 8, REGISTERED = 300 };

struct registrar {
    hearth_heap *heap;
    hearth_type type[REGISTERED];
    pthread_t thread;
};

/* Not attached. */
static void *register_types(void *argument)
{
    struct registrar *r = argument;

    for (size_t i = 0; i < REGISTERED; i++) {
        hearth_type_info info = {.struct_size = sizeof info};

        EXPECT(hearth_type_fixed(r->heap, "shared", 8 * (i % 60 + 1), 1, &r->type[i]) == HEARTH_OK);
        EXPECT(hearth_type_get(r->heap, r->type[i], &info) == HEARTH_OK);
        EXPECT(info.size == 8 * (i % 60 + 1));
    }
    return NULL;
}

/* From threads that are not attached, while another one allocates and collects. */
START_TEST(registered_by_many)
{
    struct fixture f = fixture_open(NULL);
    struct registrar *all = calloc(REGISTRARS, sizeof *all);
    static uint8_t seen[HG_TYPES_MAX];

    for (int i = 0; i < REGISTRARS; i++) {
        all[i].heap = f.heap;
        EXPECT(pthread_create(&all[i].thread, NULL, register_types, &all[i]) == 0);
    }
    for (int i = 0; i < 20; i++) {
        fixture_garbage(f.mutator, f.node, 100);
        fixture_collect(f.mutator, i % 3);
    }
    for (int i = 0; i < REGISTRARS; i++)
        EXPECT(pthread_join(all[i].thread, NULL) == 0);
    for (int i = 0; i < REGISTRARS; i++)
        for (int j = 0; j < REGISTERED; j++)
            EXPECT(seen[hg_type_index(all[i].type[j])]++ == 0);
    for (int i = 0; i < REGISTRARS; i++)
        for (size_t j = 0; j < REGISTERED; j++)
            EXPECT(hearth_alloc(f.mutator, all[i].type[j], 8 * (j % 60 + 1)) != NULL);
    free(all);
    fixture_close(&f);
}
END_TEST

/* --- tiers --------------------------------------------------------------------------------------- */

/* A callback's object: a count, then that many pairs of a reference and a raw word. */
static void trace_pairs(void *object, size_t size, hearth_visitor *visitor)
{
    void **word = object;
    size_t pairs = (size_t)(uintptr_t)word[0];

    EXPECT(size >= 8 + pairs * 16);
    for (size_t i = 0; i < pairs; i++)
        hearth_visit(visitor, &word[1 + 2 * i]);
}

/* A model's object: bytes in use, then references in all even words up to there. */
static size_t model_size(void *object)
{
    return *(size_t *)object;
}

static void trace_model(void *object, size_t size, hearth_visitor *visitor)
{
    EXPECT(size == *(size_t *)object);
    for (size_t i = 2; i < size / 8; i += 2)
        hearth_visit(visitor, (void **)object + i);
}

/* One tier: how to make an object of `words` words, and which of them are references. */
struct tier {
    const char *name;
    size_t words;
    hearth_type_info info;
    bool model;
    bool (*is_reference)(size_t word, size_t words);
};

static bool in_bitmap(size_t word, size_t words)
{
    (void)words;
    return word < 10 && 0x2a5 >> word & 1;
}

static bool in_offsets(size_t word, size_t words)
{
    (void)words;
    return word == 1 || word == 70 || word == 99;
}

static bool in_elements(size_t word, size_t words)
{
    (void)words;
    return word == 1 || (word >= 3 && (word - 3) % 5 != 1 && (word - 3) % 5 != 3);
}

static bool in_pairs(size_t word, size_t words)
{
    return word % 2 == 1 && word + 1 < words;
}

static bool in_model(size_t word, size_t words)
{
    (void)words;
    return word != 0 && word % 2 == 0;
}

static bool everywhere(size_t word, size_t words)
{
    (void)word, (void)words;
    return true;
}

static bool nowhere(size_t word, size_t words)
{
    (void)word, (void)words;
    return false;
}

static const uint32_t tier_offsets[] = {8, 560, 792};

#define TIER_ELEMENTS                                                                              \
    {                                                                                              \
        .size = 24, .ref_bitmap = 2, .element_size = 40, .element_bitmap = 0x15                    \
    }

static const struct tier tiers[] = {
    {"leaf", 10, {.size = 80, .flags = HEARTH_TYPE_LEAF}, false, nowhere},
    {"leaf, large", 50000, {.element_size = 1, .flags = HEARTH_TYPE_LEAF}, false, nowhere},
    {"bitmap", 10, {.size = 80, .ref_bitmap = 0x2a5}, false, in_bitmap},
    {"bitmap, cards",
     100,
     {.size = 800, .ref_bitmap = 0x2a5, .flags = HEARTH_TYPE_CARDS},
     false,
     in_bitmap},
    {"bitmap, large", 8000, {.size = 64000, .ref_bitmap = 0x2a5}, false, in_bitmap},
    {"offsets", 100, {.size = 800, .ref_offsets = tier_offsets, .ref_count = 3}, false, in_offsets},
    {"offsets, cards",
     100,
     {.size = 800, .ref_offsets = tier_offsets, .ref_count = 3, .flags = HEARTH_TYPE_CARDS},
     false,
     in_offsets},
    {"references", 20, {.element_size = 8, .element_bitmap = 1}, false, everywhere},
    {"references, cards", 1000, {.element_size = 8, .element_bitmap = 1}, false, everywhere},
    {"references, large", 100000, {.element_size = 8, .element_bitmap = 1}, false, everywhere},
    {"references, chunks", 1000000, {.element_size = 8, .element_bitmap = 1}, false, everywhere},
    {"elements", 28, TIER_ELEMENTS, false, in_elements},
    {"elements, cards", 903, TIER_ELEMENTS, false, in_elements},
    {"elements, large", 30003, TIER_ELEMENTS, false, in_elements},
    {"callback", 101, {.size = 808, .trace = trace_pairs}, false, in_pairs},
    {"callback, cards",
     101,
     {.size = 808, .trace = trace_pairs, .flags = HEARTH_TYPE_CARDS},
     false,
     in_pairs},
    {"callback, elements",
     501,
     {.size = 8, .element_size = 16, .trace = trace_pairs},
     false,
     in_pairs},
    {"callback, large",
     9001,
     {.size = 8, .element_size = 16, .trace = trace_pairs},
     false,
     in_pairs},
    {"model", 30, {0}, true, in_model},
    {"model, large", 5000, {0}, true, in_model},
};

static hearth_type tier_type(const struct fixture *f, const struct tier *tier)
{
    hearth_object_model model = {
        .struct_size = sizeof model, .size_of = model_size, .trace = trace_model};
    hearth_type_info info = tier->info;
    hearth_type type = 0;

    info.struct_size = sizeof info;
    info.name = tier->name;
    if (tier->model)
        HARNESS_OK(hearth_set_object_model(f->heap, &model, &type));
    else
        HARNESS_OK(hearth_type_register(f->heap, &info, &type));
    return type;
}

/* A new object; its first word is set where the tier says so. */
static void **tier_new(hearth_mutator *mutator, const struct tier *tier, hearth_type type)
{
    const hearth_type_info *info = &tier->info;
    size_t bytes = tier->words * 8;
    void **object;

    if (tier->model)
        object = hearth_new_sized(mutator, type, bytes + 64); /* more than is in use */
    else if (info->element_size != 0)
        object = hearth_alloc_array(mutator, type, (bytes - info->size) / info->element_size);
    else
        object = hearth_alloc(mutator, type, bytes);
    EXPECT(object != NULL);
    EXPECT(fixture_is_zero(object, bytes));
    if (tier->model)
        object[0] = (void *)bytes;
    else if (info->trace != NULL)
        object[0] = (void *)((tier->words - 1) / 2);
    return object;
}

/* Words that are looked at: all of a small object, some of a large one, always the first and last. */
static size_t tier_next(size_t word, size_t words)
{
    size_t step = words > 1200 ? words / 997 + 1 : 1;

    return word + step < words || word == words - 1 ? word + step : words - 1;
}

/* A word that the tier itself uses. */
static bool tier_owns(const struct tier *tier, size_t word)
{
    return word == 0 && (tier->model || tier->info.trace != NULL);
}

/* Put a new node into each word, by the barrier where it is a reference, and raw where not. Their
 * addresses go to `nodes`, inverted, so that no scan of a stack would find them. */
static void tier_fill(struct fixture *f, const struct tier *tier, void **object, uintptr_t *nodes)
{
    for (size_t word = 0; word < tier->words; word = tier_next(word, tier->words)) {
        struct fixture_node *node;

        if (tier_owns(tier, word))
            continue;
        node = fixture_new(f->mutator, f->node, word);
        nodes[word] = ~(uintptr_t)node;
        if (tier->is_reference(word, tier->words))
            EXPECT(hearth_store(f->mutator, object, &object[word], node) == HEARTH_OK);
        else
            object[word] = node;
    }
}

static void tier_check(struct fixture *f, const struct tier *tier, void **object,
                       const uintptr_t *nodes, bool kept)
{
    for (size_t word = 0; word < tier->words; word = tier_next(word, tier->words)) {
        uintptr_t node = ~nodes[word];
        bool expected = kept && tier->is_reference(word, tier->words);

        if (tier_owns(tier, word))
            continue;
        if (hearth_is_object(f->heap, (void *)node) != expected)
            ck_abort_msg("%s: word %zu: an object is %s", tier->name, word,
                         expected ? "lost" : "kept");
        if (expected)
            EXPECT(object[word] == (void *)node && ((struct fixture_node *)node)->value == word);
    }
}

/* Filled when new, and again when old; then dropped. No collection runs while it is filled: a node in
 * a raw word would be gone before all are there. */
static void keep_exactly(const struct tier *tier, const char *options)
{
    struct fixture f = fixture_open(options);
    hearth_type type = tier_type(&f, tier);
    uintptr_t *nodes = calloc(tier->words, sizeof *nodes);

    HARNESS_OK(hearth_gc_disable(f.heap));
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = tier_new(f.mutator, tier, type);
    tier_fill(&f, tier, frame.ref[0], nodes);
    fixture_collect(f.mutator, 2);
    tier_check(&f, tier, frame.ref[0], nodes, true);
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, 1);
        tier_fill(&f, tier, frame.ref[0], nodes);
        fixture_collect(f.mutator, generation);
        HARNESS_OK(hearth_verify(f.mutator));
        tier_check(&f, tier, frame.ref[0], nodes, true);
    }
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    tier_check(&f, tier, NULL, nodes, false);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    HEARTH_FRAME_END(f.mutator, frame);
    free(nodes);
    fixture_close(&f);
}

START_TEST(tier_keeps_exactly)
{
    fixture_alone();
    keep_exactly(&tiers[_i], "verify=on");
}
END_TEST

START_TEST(tier_keeps_exactly_on_nodes)
{
    fixture_alone();
    keep_exactly(&tiers[_i], "fake-nodes=3,verify=on");
}
END_TEST

START_TEST(tier_keeps_exactly_ungenerational)
{
    fixture_alone();
    keep_exactly(&tiers[_i], "generational=off,verify=on,poison=on");
}
END_TEST

/* Without size_of the allocated size is passed on; the model is set once. */
static size_t traced_size;

static void trace_allocated(void *object, size_t size, hearth_visitor *visitor)
{
    traced_size = size;
    hearth_visit(visitor, object);
}

START_TEST(model_without_size)
{
    struct fixture f = fixture_open(NULL);
    hearth_object_model model = {.struct_size = sizeof model, .trace = trace_allocated};
    hearth_type type, other = 5;

    HARNESS_OK(hearth_set_object_model(f.heap, &model, &type));
    HARNESS_STATUS_NAMES(hearth_set_object_model(f.heap, &model, &other), HEARTH_ESTATE, "model");
    ck_assert_uint_eq(other, 5);
    HEARTH_FRAME(f.mutator, frame, 1);
    for (size_t size = 8; size < (size_t)1 << 22; size = size * 5 / 2 + 1) {
        frame.ref[0] = hearth_new_sized(f.mutator, type, size);
        ck_assert_ptr_nonnull(frame.ref[0]);
        ck_assert_uint_eq(hearth_length(f.heap, frame.ref[0]), size);
        *(void **)frame.ref[0] = frame.ref[0];
        fixture_collect(f.mutator, 2);
        ck_assert_uint_eq(traced_size, size);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

struct model_setter {
    hearth_heap *heap;
    hearth_status status;
    hearth_type type;
    pthread_t thread;
};

static void *set_model(void *argument)
{
    struct model_setter *setter = argument;
    hearth_object_model model = {.struct_size = sizeof model, .trace = trace_allocated};

    setter->status = hearth_set_object_model(setter->heap, &model, &setter->type);
    return NULL;
}

/* Exactly one of several threads sets it. */
START_TEST(model_is_set_once)
{
    for (uint64_t round = 0; round < harness_scaled(40); round++) {
        hearth_heap *heap = fixture_heap(NULL);
        struct model_setter setters[4];
        int winners = 0;

        for (int i = 0; i < 4; i++) {
            setters[i] = (struct model_setter){.heap = heap};
            EXPECT(pthread_create(&setters[i].thread, NULL, set_model, &setters[i]) == 0);
        }
        for (int i = 0; i < 4; i++) {
            EXPECT(pthread_join(setters[i].thread, NULL) == 0);
            EXPECT(setters[i].status == HEARTH_OK || setters[i].status == HEARTH_ESTATE);
            winners += setters[i].status == HEARTH_OK;
        }
        ck_assert_int_eq(winners, 1);
        ck_assert_uint_eq(heap->types.count, 2);
        HARNESS_OK(hearth_heap_destroy(heap));
    }
}
END_TEST

/* Slots may hold NULL and any address that is not hearth's: constants, static objects, odd values. */
START_TEST(foreign_values_are_ignored)
{
    static struct fixture_node constant = {.value = 42};
    struct fixture f = fixture_open("verify=on");
    void *values[] = {NULL,
                      &constant,
                      (void *)&f,
                      (void *)1,
                      (void *)0xffff,
                      (void *)UINTPTR_MAX,
                      (void *)(UINTPTR_MAX - 15)};
    size_t count = sizeof values / sizeof values[0];

    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = hearth_alloc_array(f.mutator, f.refs, count);
    frame.ref[1] = (void *)8;
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_store_range(f.mutator, frame.ref[0], frame.ref[0], values, count));
        fixture_collect(f.mutator, generation);
        ck_assert_int_eq(memcmp(frame.ref[0], values, sizeof values), 0);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(type)
{
    Suite *suite = suite_create("type");
    TCase *registration = tcase_create("registration");
    TCase *exact = tcase_create("tiers");
    int count = sizeof tiers / sizeof tiers[0];

    tcase_add_test(registration, round_trip);
    tcase_add_test(registration, names_are_copied);
    tcase_add_loop_test(registration, contradictions_are_named, 0,
                        sizeof contradictions / sizeof contradictions[0]);
    tcase_add_test(registration, table_full);
    tcase_add_test(registration, registered_by_many);
    tcase_add_test(registration, model_is_set_once);
    suite_add_tcase(suite, registration);
    tcase_add_loop_test(exact, tier_keeps_exactly, 0, count);
    tcase_add_loop_test(exact, tier_keeps_exactly_on_nodes, 0, count);
    tcase_add_loop_test(exact, tier_keeps_exactly_ungenerational, 0, count);
    tcase_add_test(exact, model_without_size);
    tcase_add_test(exact, foreign_values_are_ignored);
    suite_add_tcase(suite, exact);
    return suite;
}
