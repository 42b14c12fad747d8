/* tests/soak/soak_piece.c - the structures of the soak: lists, trees, arrays of leaves, large blobs.
 *
 * The contents of a piece are numbers made from its id and their position; the sum adds up a hash of every
 * number there is, so a lost, foreign or overwritten object changes it. Invariant: the size of a piece
 * depends on its place, give or take a tenth. One thread at a time per piece; no locks. */
#include <string.h>

#include "tests/soak/soak.h"

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Elements of what is built at a place: short and long lists, small and big arrays, ... */
static size_t size_of_place(struct soak_thread *self, unsigned place)
{
    static const size_t base[SOAK_KINDS][3] = {
        [SOAK_LIST] = {10, 300, 6000},
        [SOAK_TREE] = {31, 511, 8191},
        [SOAK_ARRAY] = {8, 200, 1500},
        [SOAK_BLOB] = {1000, 40000, 1200000},
    };
    size_t size = base[place % SOAK_KINDS][place / SOAK_KINDS % 3];

    return size - size / 20 + soak_random(self, size / 10 + 1);
}

static void *must(void *object)
{
    if (object == NULL)
        soak_fail("an allocation: %s", hearth_last_error());
    return object;
}

/* --- building ------------------------------------------------------------------------------------ */

static struct soak_node *new_node(struct soak_thread *self, struct soak_piece *piece, uint64_t i)
{
    struct soak_node *node =
        must(hearth_alloc(self->mutator, self->soak->node, sizeof(struct soak_node)));

    node->value = mix(piece->id * 1000003 + i);
    piece->sum += mix(node->value);
    return node;
}

static void *build_list(struct soak_thread *self, size_t count, struct soak_piece *piece)
{
    HEARTH_FRAME(self->mutator, frame, 1);
    for (size_t i = 0; i < count; i++) {
        struct soak_node *node = new_node(self, piece, i);
        hearth_store_init((void **)&node->left, frame.ref[0]);
        frame.ref[0] = node;
    }
    HEARTH_FRAME_END(self->mutator, frame);
    return frame.ref[0];
}

/* A balanced tree of `count` nodes: parents first, so that stores need the barrier. The array holds what is
 * built: node i has the children 2i + 1 and 2i + 2. */
static void *build_tree(struct soak_thread *self, size_t count, struct soak_piece *piece)
{
    hearth_mutator *m = self->mutator;
    HEARTH_FRAME(m, frame, 1);
    void **made = frame.ref[0] = must(hearth_new_array(m, self->soak->refs, count));

    for (size_t i = 0; i < count; i++) {
        struct soak_node *node = new_node(self, piece, i);
        SOAK_OK(hearth_store(m, made, &made[i], node));
        if (i == 0)
            continue;
        struct soak_node *parent = made[(i - 1) / 2];
        void **slot = (void **)(i % 2 != 0 ? &parent->left : &parent->right);
        SOAK_OK(hearth_store(m, parent, slot, node));
    }
    HEARTH_FRAME_END(m, frame);
    return made[0];
}

static uint64_t fill(void *bytes, size_t size, uint64_t seed)
{
    uint64_t *word = bytes, sum = 0;

    for (size_t i = 0; i < size / 8; i += 64) {
        word[i] = mix(seed + i);
        sum += mix(word[i]);
    }
    return sum;
}

static void *build_array(struct soak_thread *self, size_t count, struct soak_piece *piece)
{
    hearth_mutator *m = self->mutator;
    HEARTH_FRAME(m, frame, 1);
    void **array = frame.ref[0] = must(hearth_alloc_array(m, self->soak->refs, count));

    for (size_t i = 0; i < count; i++) {
        size_t size = 8 + soak_random(self, i % 50 == 0 ? 12000 : 200);
        void *leaf = must(hearth_alloc_array(m, self->soak->bytes, size));
        piece->sum += fill(leaf, size, piece->id * 7919 + i * 31);
        SOAK_OK(hearth_store(m, array, &array[i], leaf));
    }
    HEARTH_FRAME_END(m, frame);
    return array;
}

static void *build_blob(struct soak_thread *self, size_t size, struct soak_piece *piece)
{
    void *blob = must(hearth_new_array(self->mutator, self->soak->bytes, size));

    piece->sum += fill(blob, size, piece->id);
    return blob;
}

void *soak_piece_build(struct soak_thread *self, unsigned place, struct soak_piece *piece)
{
    size_t size = size_of_place(self, place);

    piece->id = __atomic_add_fetch(&self->soak->ids, 1, __ATOMIC_RELAXED);
    piece->sum = 0;
    piece->end = NULL;
    __atomic_fetch_add(&self->soak->pieces, 1, __ATOMIC_RELAXED);
    switch ((enum soak_kind)(place % SOAK_KINDS)) {
    case SOAK_LIST:
        return build_list(self, size, piece);
    case SOAK_TREE:
        return build_tree(self, size, piece);
    case SOAK_ARRAY:
        return build_array(self, size, piece);
    default:
        return build_blob(self, size, piece);
    }
}

/* --- summing ------------------------------------------------------------------------------------- */

static uint64_t sum_bytes(struct soak *soak, const void *bytes)
{
    if (hearth_type_of(soak->heap, bytes) != soak->bytes)
        soak_fail("%p has type 0x%x, not that of bytes", bytes, hearth_type_of(soak->heap, bytes));
    const uint64_t *word = bytes;
    uint64_t sum = 0;
    size_t size = hearth_length(soak->heap, bytes);

    for (size_t i = 0; i < size / 8; i += 64)
        sum += mix(word[i]);
    return sum;
}

static uint64_t sum_nodes(struct soak *soak, const struct soak_node *root)
{
    const struct soak_node *stack[64];
    size_t depth = 0;
    uint64_t sum = 0;

    stack[depth++] = root;
    while (depth > 0) {
        const struct soak_node *node = stack[--depth];
        if (hearth_type_of(soak->heap, node) != soak->node)
            soak_fail("%p has type 0x%x, not that of a node", (const void *)node,
                      hearth_type_of(soak->heap, node));
        sum += mix(node->value);
        if (node->left != NULL)
            stack[depth++] = node->left;
        if (node->right != NULL)
            stack[depth++] = node->right;
    }
    return sum;
}

uint64_t soak_piece_sum(struct soak *soak, unsigned place, const void *root)
{
    if (place % SOAK_KINDS == SOAK_LIST || place % SOAK_KINDS == SOAK_TREE)
        return sum_nodes(soak, root);
    if (place % SOAK_KINDS == SOAK_BLOB)
        return sum_bytes(soak, root);
    if (hearth_type_of(soak->heap, root) != soak->refs)
        soak_fail("%p has type 0x%x, not that of an array", root, hearth_type_of(soak->heap, root));
    void *const *array = root;
    uint64_t sum = 0;
    for (size_t i = 0; i < hearth_length(soak->heap, root); i++)
        sum += sum_bytes(soak, array[i]);
    return sum;
}

/* --- changing ------------------------------------------------------------------------------------ */

/* Put a copy in the place of a node near the root: young objects behind old ones. */
static void change_node(struct soak_thread *self, struct soak_piece *piece, struct soak_node *root)
{
    hearth_mutator *m = self->mutator;
    HEARTH_FRAME(m, frame, 1);
    struct soak_node *parent = root, *old = root->left;

    for (uint64_t steps = soak_random(self, 12); steps > 0 && old != NULL && old->left != NULL;
         steps--) {
        parent = old;
        old = old->left;
    }
    if (old != NULL) {
        frame.ref[0] = parent; /* reachable from the places in any case */
        struct soak_node *node = must(hearth_alloc(m, self->soak->node, sizeof(struct soak_node)));
        node->value = mix(old->value + 1);
        hearth_store_init((void **)&node->left, old->left);
        hearth_store_init((void **)&node->right, old->right);
        piece->sum += mix(node->value) - mix(old->value);
        SOAK_OK(hearth_store(m, parent, (void **)&parent->left, node));
    }
    HEARTH_FRAME_END(m, frame);
}

static void change_array(struct soak_thread *self, struct soak_piece *piece, void **array)
{
    size_t count = hearth_length(self->soak->heap, array), i = soak_random(self, count);
    size_t j = soak_random(self, count), size = hearth_length(self->soak->heap, array[i]);
    void *old = array[j];
    void *leaf = must(hearth_alloc_array(self->mutator, self->soak->bytes, size));

    piece->sum += fill(leaf, size, piece->sum) - sum_bytes(self->soak, array[i]);
    SOAK_OK(hearth_store(self->mutator, array, &array[i], leaf));
    if (i != j) { /* and swap two */
        SOAK_OK(hearth_store(self->mutator, array, &array[j], leaf));
        SOAK_OK(hearth_store(self->mutator, array, &array[i], old));
    }
}

void soak_piece_change(struct soak_thread *self, unsigned place)
{
    struct soak_piece *piece = &self->places.piece[place];
    void *root = *soak_slot(&self->places, place, SOAK_ROOT);

    if (place % SOAK_KINDS == SOAK_BLOB) {
        piece->sum -= sum_bytes(self->soak, root);
        piece->sum += fill(root, hearth_length(self->soak->heap, root), piece->id + piece->sum);
    } else if (place % SOAK_KINDS == SOAK_ARRAY) {
        change_array(self, piece, root);
    } else {
        change_node(self, piece, root);
    }
}
