/* gc/snapshot.c - a V8 heap snapshot of what is reachable, for the Memory tab of Chrome's DevTools.
 *
 * The format (V8, src/profiler/heap-snapshot-generator.cc): one array of numbers for nodes, seven each, one for
 * edges, three each, in the order of the nodes they begin at, and a table of strings. Node 0 is the root;
 * it leads to "(GC roots)" and, by shortcuts, to every object that a root holds, from which DevTools
 * counts distances; "(GC roots)" leads to one node for each kind of root, and those to what they hold.
 * Node HG_SYNTHETIC + p is the object at position p of the graph.
 *
 * Edges are walked twice: to count them and name them, then to write them. Everything is written straight
 * from the heap, the world standing still. Ids fit in 32 bits as long as no node's memory lies further
 * than 64 GiB / nodes into its window: DevTools keeps no more of them. */
#include <errno.h>
#include <string.h>

#include "gc/graph.h"
#include "gc/writer.h"
#include "topology/error.h"
#include "topology/os.h"

enum {
    HG_SYNTHETIC = 1 + HEARTH_ROOT_KINDS, /* root, "(GC roots)", the kinds but NONE          */
    HG_NODE_FIELDS = 7,
    HG_TYPE_OBJECT = 3, /* of V8's node types                           */
    HG_TYPE_SYNTHETIC = 9,
    HG_EDGE_ELEMENT = 1, /* of V8's edge types                           */
    HG_EDGE_PROPERTY = 2,
    HG_EDGE_SHORTCUT = 5,
    HG_EDGE_WEAK = 6,
    HG_NAMED_WORDS = 8192, /* slots below 64 KiB are named by their offset */
    HG_FIXED_STRINGS = HG_SYNTHETIC,
    HG_IS_OFFSET = 1u << 31 /* a string: the name of an offset, not of a type */
};

static const char *const hg_synthetic_name[HG_SYNTHETIC] = {
    "",
    "(GC roots)",
    "(Frames)",
    "(Handles)",
    "(Global roots)",
    "(Root providers)",
    "(Conservative stacks)",
    "(Collector)",
    "(Frozen)",
};

struct hg_snapshot {
    hearth_visitor visitor; /* first: of the slots of `object`                           */
    struct hg_graph graph;
    struct hg_writer writer;
    uint32_t *edges;     /* by node: how many begin there                             */
    size_t edges_bytes;  /* of that map                                               */
    uint64_t edge_count; /* of all                                                    */
    uint32_t *type_name; /* by type: its string, 0: none yet                          */
    uint32_t *word_name; /* by offset / 8: the same                                   */
    uint32_t *string;    /* strings behind the fixed ones: a type, or IS_OFFSET       */
    uint32_t strings;    /* of those                                                  */
    bool writing;        /* edges are written, not counted                            */
    uintptr_t object;    /* whose slots are visited                                   */
    uint32_t node;       /* its node                                                  */
    const struct hg_type *type;
    size_t size; /* its payload bytes                                         */
};

/* --- edges -------------------------------------------------------------------------------------------------- */

/* The string of a type or an offset; it gets one if it has none. */
static uint32_t hg_snapshot_string(struct hg_snapshot *s, uint32_t *name, uint32_t what)
{
    if (*name == 0) {
        s->string[s->strings++] = what;
        *name = HG_FIXED_STRINGS + s->strings - 1;
    }
    return *name;
}

/* An edge from s->node. */
static void hg_snapshot_edge(struct hg_snapshot *s, uint32_t type, uint64_t name, uint64_t to)
{
    if (!s->writing) {
        s->edges[s->node]++;
        s->edge_count++;
        return;
    }
    hg_write_text(&s->writer, s->edge_count++ == 0 ? "" : ",\n");
    hg_write_number(&s->writer, type);
    hg_write_text(&s->writer, ",");
    hg_write_number(&s->writer, name);
    hg_write_text(&s->writer, ",");
    hg_write_number(&s->writer, to * HG_NODE_FIELDS);
}

static void hg_snapshot_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_snapshot *s = (struct hg_snapshot *)visitor;
    size_t offset = (uintptr_t)slot - s->object;
    uint32_t position;
    if (!hg_graph_find(&s->graph, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED), &position))
        return;
    uint64_t to = HG_SYNTHETIC + (uint64_t)position;
    bool element = s->type->tier < HG_TIER_CALLBACK && s->type->element != 0;
    if (element && offset >= s->type->fixed) {
        hg_snapshot_edge(s, HG_EDGE_ELEMENT, (offset - s->type->fixed) / sizeof(void *), to);
    } else if (offset < s->size && offset / sizeof(void *) < HG_NAMED_WORDS) {
        uint32_t word = (uint32_t)(offset / sizeof(void *));
        uint32_t name = hg_snapshot_string(s, &s->word_name[word], word | HG_IS_OFFSET);
        hg_snapshot_edge(s, HG_EDGE_PROPERTY, name, to);
    } else { /* far behind, or in memory of the embedder's */
        hg_snapshot_edge(s, HG_EDGE_ELEMENT, offset < s->size ? offset / sizeof(void *) : 0, to);
    }
}

/* The first slot of a cell. What only it refers to is not in the snapshot. */
static void hg_snapshot_weak(struct hg_snapshot *s)
{
    uint32_t position;
    if (!hg_graph_find(&s->graph, (uintptr_t)((struct hg_cell *)s->object)->weak, &position))
        return;
    uint32_t name = hg_snapshot_string(s, &s->word_name[0], HG_IS_OFFSET);
    hg_snapshot_edge(s, HG_EDGE_WEAK, name, HG_SYNTHETIC + (uint64_t)position);
}

static void hg_snapshot_roots(struct hg_snapshot *s)
{
    const struct hg_graph *graph = &s->graph;
    uint32_t position;
    s->node = 0;
    hg_snapshot_edge(s, HG_EDGE_ELEMENT, 0, 1);
    for (size_t p = 0; p < graph->rooted; p++)
        hg_snapshot_edge(s, HG_EDGE_SHORTCUT, 1, HG_SYNTHETIC + p);
    s->node = 1;
    for (uint32_t kind = 2; kind < HG_SYNTHETIC; kind++)
        hg_snapshot_edge(s, HG_EDGE_ELEMENT, kind - 2, kind);
    for (uint32_t kind = HEARTH_ROOT_FRAME; kind < HEARTH_ROOT_KINDS; kind++) {
        uint64_t index = 0;
        s->node = kind + 1;
        for (size_t i = 0; i < graph->roots; i++)
            if ((uint32_t)graph->root[i].kind == kind &&
                hg_graph_find(graph, graph->root[i].object, &position))
                hg_snapshot_edge(s, HG_EDGE_ELEMENT, index++, HG_SYNTHETIC + (uint64_t)position);
    }
}

/* All edges in the order of their nodes. */
static void hg_snapshot_edges(struct hg_snapshot *s, bool writing)
{
    hearth_heap *heap = s->graph.heap;
    s->writing = writing;
    s->edge_count = 0;
    hg_snapshot_roots(s);
    for (size_t p = 0; p < s->graph.count; p++) {
        s->object = s->graph.node[p];
        s->node = HG_SYNTHETIC + (uint32_t)p;
        s->type = hg_type_row(heap, s->object);
        s->size = hg_payload_size(heap, s->object);
        if (ha_block_of(s->object)->kind != HA_LEAF)
            hg_visit_object(heap, s->object, &s->visitor);
        if (s->type->cell != HG_CELL_NONE && s->type->cell < HG_CELL_TABLE)
            hg_snapshot_weak(s);
    }
}

/* --- nodes ---------------------------------------------------------------------------------------------------- */

/* Granules counted through by chunk, the nodes' chunks in turn, so that what lies at the beginning of a window
 * has a small id. The first granules of a chunk are no objects': synthetic nodes have those. */
static uint64_t hg_snapshot_id(const struct hg_snapshot *s, uintptr_t object)
{
    const struct ha_windows *windows = s->graph.index.windows;
    uint64_t node = (uint64_t)ha_node_of(windows, object);
    uint64_t inside = (object - windows->base) & (((uint64_t)1 << windows->shift) - 1);
    uint64_t chunk = (inside >> HA_CHUNK_SHIFT) * (uint64_t)windows->nodes + node;
    return (chunk << HA_CHUNK_SHIFT | (inside & (HA_CHUNK - 1))) / HEARTH_GRANULE;
}

static void hg_snapshot_node(struct hg_snapshot *s, uint32_t type, uint64_t name, uint64_t id,
                             uint64_t size, uint32_t edges)
{
    const uint64_t field[HG_NODE_FIELDS] = {type, name, id, size, edges, 0, 0};
    for (int i = 0; i < HG_NODE_FIELDS; i++) {
        hg_write_number(&s->writer, field[i]);
        if (i < HG_NODE_FIELDS - 1)
            hg_write_text(&s->writer, ",");
    }
}

static void hg_snapshot_nodes(struct hg_snapshot *s)
{
    for (uint32_t i = 0; i < HG_SYNTHETIC; i++) {
        hg_write_text(&s->writer, i == 0 ? "" : ",\n");
        hg_snapshot_node(s, HG_TYPE_SYNTHETIC, i, i + 1, 0, s->edges[i]);
    }
    for (size_t p = 0; p < s->graph.count; p++) {
        uintptr_t object = s->graph.node[p];
        uint32_t type = hg_header_type(hg_header_load(object));
        uint32_t name = hg_snapshot_string(s, &s->type_name[type], type);
        hg_write_text(&s->writer, ",\n");
        hg_snapshot_node(s, HG_TYPE_OBJECT, name, hg_snapshot_id(s, object), hg_footprint(object),
                         s->edges[HG_SYNTHETIC + p]);
    }
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static const char hg_snapshot_meta[] =
    "{\"snapshot\":{\"meta\":{\n"
    "\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"trace_node_id\","
    "\"detachedness\"],\n"
    "\"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\",\"closure\",\"regexp\","
    "\"number\",\"native\",\"synthetic\",\"concatenated string\",\"sliced string\",\"symbol\","
    "\"bigint\",\"object shape\"],\"string\",\"number\",\"number\",\"number\",\"number\","
    "\"number\"],\n"
    "\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],\n"
    "\"edge_types\":[[\"context\",\"element\",\"property\",\"internal\",\"hidden\",\"shortcut\","
    "\"weak\"],\"string_or_number\",\"node\"],\n"
    "\"trace_function_info_fields\":[\"function_id\",\"name\",\"script_name\",\"script_id\","
    "\"line\",\"column\"],\n"
    "\"trace_node_fields\":[\"id\",\"function_info_index\",\"count\",\"size\",\"children\"],\n"
    "\"sample_fields\":[\"timestamp_us\",\"last_assigned_id\"],\n"
    "\"location_fields\":[\"object_index\",\"script_id\",\"line\",\"column\"]},\n\"node_count\":";

static void hg_snapshot_strings(struct hg_snapshot *s)
{
    const struct hg_type *row = s->graph.heap->types.row;
    for (int i = 0; i < HG_SYNTHETIC; i++) {
        hg_write_text(&s->writer, i == 0 ? "" : ",\n");
        hg_write_string(&s->writer, hg_synthetic_name[i]);
    }
    for (uint32_t i = 0; i < s->strings; i++) {
        uint32_t what = s->string[i];
        hg_write_text(&s->writer, ",\n");
        if (what & HG_IS_OFFSET) {
            hg_write_text(&s->writer, "\"+");
            hg_write_number(&s->writer, (uint64_t)(what & ~HG_IS_OFFSET) * sizeof(void *));
            hg_write_text(&s->writer, "\"");
        } else {
            const char *name = row[what].name;
            hg_write_string(&s->writer, name != NULL && *name != 0 ? name : "(unnamed)");
        }
    }
}

static void hg_snapshot_write(struct hg_snapshot *s)
{
    struct hg_writer *w = &s->writer;
    hg_snapshot_edges(s, false);
    hg_write_text(w, hg_snapshot_meta);
    hg_write_number(w, HG_SYNTHETIC + s->graph.count);
    hg_write_text(w, ",\"edge_count\":");
    hg_write_number(w, s->edge_count);
    hg_write_text(w, ",\"trace_function_count\":0},\n\"nodes\":[");
    hg_snapshot_nodes(s);
    hg_write_text(w, "],\n\"edges\":[");
    hg_snapshot_edges(s, true);
    hg_write_text(w, "],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n"
                     "\"locations\":[],\n\"strings\":[");
    hg_snapshot_strings(s);
    hg_write_text(w, "]}\n");
}

static hearth_status hg_snapshot_prepare(struct hg_snapshot *s, hearth_heap *heap, const char *call)
{
    hearth_status status = hg_graph_init(&s->graph, heap, call);
    if (status == HEARTH_OK)
        status = hg_graph_roots(&s->graph, call);
    if (status == HEARTH_OK)
        status = hg_graph_follow(&s->graph, 0, call);
    if (status != HEARTH_OK)
        return status;
    size_t types = heap->types.count;
    s->edges_bytes = (HG_SYNTHETIC + s->graph.count) * sizeof *s->edges;
    s->edges = ht_os_map(s->edges_bytes, true);
    s->type_name = ht_os_alloc((types + 1) * sizeof *s->type_name);
    s->word_name = ht_os_alloc(HG_NAMED_WORDS * sizeof *s->word_name);
    s->string = ht_os_alloc((types + 1 + HG_NAMED_WORDS) * sizeof *s->string);
    if (s->edges == NULL || s->type_name == NULL || s->word_name == NULL || s->string == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a snapshot of %zu objects", call,
                       s->graph.count);
    return HEARTH_OK;
}

static hearth_status hg_snapshot_take(hearth_heap *heap, hearth_write_fn *fn, void *data,
                                      const char *call)
{
    struct hg_snapshot *s = ht_os_alloc(sizeof *s);
    if (s == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a snapshot", call);
    s->visitor.slot = hg_snapshot_slot;
    hg_writer_init(&s->writer, fn, data);
    hearth_status status = hg_snapshot_prepare(s, heap, call);
    if (status == HEARTH_OK) {
        hg_snapshot_write(s);
        if (!hg_writer_flush(&s->writer))
            status = ht_fail(HEARTH_ESYSTEM, "%s: the function that writes gave up (data %p)", call,
                             data);
    }
    ht_os_unmap(s->edges, s->edges_bytes);
    ht_os_free(s->type_name);
    ht_os_free(s->word_name);
    ht_os_free(s->string);
    hg_graph_free(&s->graph);
    ht_os_free(s);
    return status;
}

hearth_status hearth_heap_snapshot(hearth_mutator *mutator, hearth_write_fn *fn, void *data)
{
    const char *call = "hearth_heap_snapshot";
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL", call);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_snapshot_take(mutator->heap, fn, data, call);
    hg_inspect_end(mutator);
    return status;
}

/* --- into a file -------------------------------------------------------------------------------------------------- */

hearth_status hearth_heap_snapshot_file(hearth_mutator *mutator, const char *path)
{
    return hg_text_to_file(mutator, path, hearth_heap_snapshot, "hearth_heap_snapshot_file");
}
