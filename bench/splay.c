/* bench/splay.c - a large splay tree (Sleator and Tarjan) whose nodes carry trees, as in Octane.
 *
 * Octane's Splay: 8000 nodes, each with a payload, a binary tree of depth 5 whose leaves have an array
 * of ten numbers and a string. A modification looks up a random key, which is new, makes a payload,
 * inserts it, and removes the greatest key below it. 300,000 of them at scale 1. Lookups rotate old
 * nodes, so old objects are written all the time.
 *
 * Invariant: keys are in order, left below right, and every payload says its node's key in each leaf.
 * The checksum sums the keys left at the end. Each thread owns its tree. */
#define WORKLOAD       "splay"
#define WORKLOAD_SIZED 1

#include "bench/cell.h"

enum { NODES = 8000, DEPTH = 5, MODIFICATIONS = 300000, NUMBERS = 10, STRING_WORDS = 5 };
enum {
    INNER = (1 << DEPTH) - 1,
    LEAVES = 1 << DEPTH,
    PAYLOAD_OBJECTS = INNER + 3 * LEAVES,
    SNODE_CELL = 48,
    NUMBERS_CELL = 96,
    STRING_CELL = 64 /* bytes that each takes from the heap                             */
};

struct snode {
    void *left, *right; /* struct snode *                                           */
    void *payload;      /* struct pair *: root of the payload                       */
    uint64_t key;
};

/* Inner node of a payload: two more. Leaf: its array and its string. */
struct pair {
    void *left, *right;
    uint64_t key; /* of the node that it belongs to                                     */
};

static sys_type snode_type, pair_type, buffer_type;

static size_t workload_live_bytes(void)
{
    size_t payload = (INNER + LEAVES) * CELL_BYTES + LEAVES * (NUMBERS_CELL + STRING_CELL);
    return sized(NODES) * (payload + SNODE_CELL);
}

static bool workload_start(void)
{
    return sys_type_object("splay node", sizeof(struct snode), 7, &snode_type) &&
           sys_type_object("pair", sizeof(struct pair), 3, &pair_type) &&
           sys_type_buffer("buffer", &buffer_type) && cell_register();
}

static struct sys_buffer *buffer_new(sys_thread m, size_t words)
{
    struct sys_buffer *buffer = sys_new_buffer(m, buffer_type, words);
    if (BENCH_UNLIKELY(buffer == NULL))
        worker_no_memory();
    buffer->count = words;
    return buffer;
}

/* `text` is what the leaves' strings say. */
static struct pair *payload_make(sys_thread m, int depth, uint64_t key, const char *text)
{
    SYS_FRAME(m, frame, 2);
    if (depth == 0) {
        struct sys_buffer *numbers = buffer_new(m, NUMBERS);
        for (int i = 0; i < NUMBERS; i++)
            numbers->value[i] = i;
        frame.ref[0] = numbers;
        struct sys_buffer *string = buffer_new(m, STRING_WORDS);
        memcpy(string->value, text, STRING_WORDS * sizeof(double));
        frame.ref[1] = string;
    } else {
        frame.ref[0] = payload_make(m, depth - 1, key, text);
        frame.ref[1] = payload_make(m, depth - 1, key, text);
    }
    struct pair *pair = sys_new(m, pair_type, sizeof *pair);
    if (BENCH_UNLIKELY(pair == NULL))
        worker_no_memory();
    sys_store_init(&pair->left, frame.ref[0]);
    sys_store_init(&pair->right, frame.ref[1]);
    pair->key = key;
    SYS_FRAME_END(m, frame);
    return pair;
}

static void payload_check(const struct pair *pair, int depth, uint64_t key)
{
    if (pair->key != key)
        bench_fail(1, "the payload of key %llx is damaged", (unsigned long long)key);
    if (depth > 0) {
        payload_check(pair->left, depth - 1, key);
        payload_check(pair->right, depth - 1, key);
        return;
    }
    char text[9];
    snprintf(text, sizeof text, "%08x", (unsigned)key);
    const struct sys_buffer *numbers = pair->left, *string = pair->right;
    if (numbers->value[NUMBERS - 1] != NUMBERS - 1 ||
        memcmp((const char *)string->value + 15, text, 8) != 0)
        bench_fail(1, "a leaf of key %llx is damaged", (unsigned long long)key);
}

static void payload_free(sys_thread m, struct pair *pair, int depth)
{
    if (depth > 0) {
        payload_free(m, pair->left, depth - 1);
        payload_free(m, pair->right, depth - 1);
    } else {
        sys_free(m, pair->left);
        sys_free(m, pair->right);
    }
    sys_free(m, pair);
}

static void snode_drop(sys_thread m, struct snode *node)
{
    if (!SYS_MANUAL)
        return;
    payload_free(m, node->payload, DEPTH);
    sys_free(m, node);
}

BENCH_INLINE void set_left(sys_thread m, struct snode *node, void *to)
{
    sys_store(m, node, &node->left, to);
}

BENCH_INLINE void set_right(sys_thread m, struct snode *node, void *to)
{
    sys_store(m, node, &node->right, to);
}

/* Top-down splay: the node of `key`, or one next to it, becomes the root. `dummy` is a node that
 * holds the two partial trees meanwhile. Allocates nothing. */
static struct snode *splay(sys_thread m, struct snode *t, struct snode *dummy, uint64_t key)
{
    struct snode *left = dummy, *right = dummy, *y;
    while (key != t->key) {
        if (key < t->key) {
            if ((y = t->left) == NULL)
                break;
            if (key < y->key) {
                set_left(m, t, y->right);
                set_right(m, y, t);
                t = y;
                if (t->left == NULL)
                    break;
            }
            set_left(m, right, t);
            right = t;
            t = t->left;
        } else {
            if ((y = t->right) == NULL)
                break;
            if (key > y->key) {
                set_right(m, t, y->left);
                set_left(m, y, t);
                t = y;
                if (t->right == NULL)
                    break;
            }
            set_right(m, left, t);
            left = t;
            t = t->right;
        }
    }
    set_right(m, left, t->left);
    set_left(m, right, t->right);
    set_left(m, t, dummy->right);
    set_right(m, t, dummy->left);
    set_left(m, dummy, NULL);
    set_right(m, dummy, NULL);
    return t;
}

/* Roots of a tree: [0] its root, [1] the dummy, [2] a new payload. */
static void tree_insert(sys_thread m, void **ref, uint64_t key)
{
    char text[STRING_WORDS * sizeof(double)] = {0};
    snprintf(text, sizeof text, "String for key %08x in leaf node", (unsigned)key);
    ref[2] = payload_make(m, DEPTH, key, text);
    struct snode *node = sys_new(m, snode_type, sizeof *node);
    if (BENCH_UNLIKELY(node == NULL))
        worker_no_memory();
    sys_store_init(&node->payload, ref[2]);
    node->key = key;
    ref[2] = NULL;
    struct snode *root = ref[0];
    if (root != NULL) {
        root = splay(m, root, ref[1], key);
        if (key > root->key) {
            set_left(m, node, root);
            set_right(m, node, root->right);
            set_right(m, root, NULL);
        } else {
            set_right(m, node, root);
            set_left(m, node, root->left);
            set_left(m, root, NULL);
        }
    }
    ref[0] = node;
}

static bool tree_find(sys_thread m, void **ref, uint64_t key)
{
    if (ref[0] == NULL)
        return false;
    struct snode *root = splay(m, ref[0], ref[1], key);
    ref[0] = root;
    return root->key == key;
}

/* Removes the root. */
static void tree_remove_root(sys_thread m, void **ref)
{
    struct snode *old = ref[0];
    if (old->left == NULL) {
        ref[0] = old->right;
    } else {
        struct snode *root = splay(m, old->left, ref[1], old->key); /* its greatest */
        set_right(m, root, old->right);
        ref[0] = root;
    }
    snode_drop(m, old);
}

static void tree_insert_new(sys_thread m, void **ref, uint32_t *random, uint64_t *key)
{
    do
        *key = random_next(random);
    while (tree_find(m, ref, *key));
    tree_insert(m, ref, *key);
}

/* Inserts a node; removes the greatest below it, or else itself. */
static void modify(sys_thread m, void **ref, uint32_t *random)
{
    uint64_t key;
    tree_insert_new(m, ref, random, &key);
    tree_find(m, ref, key);
    struct snode *below = ((struct snode *)ref[0])->left;
    while (below != NULL && below->right != NULL)
        below = below->right;
    tree_find(m, ref, below != NULL ? below->key : key);
    tree_remove_root(m, ref);
}

/* Goes through the tree in order by rotating it into a list (Morris), and takes it apart. */
static uint64_t tree_finish(sys_thread m, struct snode *root, size_t nodes)
{
    uint64_t sum = 0, least = 0;
    size_t count = 0;
    while (root != NULL) {
        struct snode *left = root->left;
        if (left != NULL) {
            set_left(m, root, left->right);
            set_right(m, left, root);
            root = left;
            continue;
        }
        if (root->key <= least)
            bench_fail(1, "the splay tree is out of order at key %llx",
                       (unsigned long long)root->key);
        least = root->key;
        payload_check(root->payload, DEPTH, root->key);
        sum += root->key;
        count++;
        struct snode *next = root->right;
        snode_drop(m, root);
        root = next;
    }
    if (count != nodes)
        bench_fail(1, "the splay tree has %zu nodes, not %zu", count, nodes);
    return sum;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t nodes = sized(NODES);
    uint64_t modifications = scaled(worker, MODIFICATIONS), key;
    uint32_t random = RANDOM_SEED;
    SYS_FRAME(m, frame, 3);
    frame.ref[1] = sys_new(m, snode_type, sizeof(struct snode));
    if (frame.ref[1] == NULL)
        worker_no_memory();
    for (size_t i = 0; i < nodes; i++)
        tree_insert_new(m, frame.ref, &random, &key);
    work_begin(m, worker);
    for (uint64_t i = 0; i < modifications; i++)
        modify(m, frame.ref, &random);
    work_end(m, worker);
    worker->checksum = tree_finish(m, frame.ref[0], nodes);
    sys_free(m, frame.ref[1]);
    worker->allocations = 1 + (nodes + modifications) * (PAYLOAD_OBJECTS + 1);
    worker->ops = modifications * (PAYLOAD_OBJECTS + 1);
    SYS_FRAME_END(m, frame);
}
