/* gc/type.c - registering and finding types. See type.h for the invariant; lock: types->lock, a leaf. */
#include "gc/type.h"

#include <string.h>

#include "alloc/class.h"
#include "gc/heap.h"
#include "topology/error.h"
#include "topology/os.h"

hearth_status hg_types_init(struct hg_types *types)
{
    memset(types, 0, sizeof *types);
    types->row = ht_os_map(HG_TYPES_MAX * sizeof *types->row, true);
    types->shapes = ht_os_map(HG_TYPES_MAX * sizeof *types->shapes, true);
    if (types->row == NULL || types->shapes == NULL) {
        hg_types_destroy(types);
        return ht_fail(HEARTH_ENOMEM, "no address space for the table of %d types", HG_TYPES_MAX);
    }
    pthread_mutex_init(&types->lock, NULL);
    types->count = 1;
    types->shapes[0].fixed = UINT32_MAX;
    return HEARTH_OK;
}

void hg_types_destroy(struct hg_types *types)
{
    for (uint32_t i = 1; types->row != NULL && i < types->count; i++) {
        ht_os_free(types->row[i].name);
        ht_os_free(types->row[i].offsets);
    }
    if (types->count != 0)
        pthread_mutex_destroy(&types->lock);
    if (types->row != NULL)
        ht_os_unmap(types->row, HG_TYPES_MAX * sizeof *types->row);
    if (types->shapes != NULL)
        ht_os_unmap(types->shapes, HG_TYPES_MAX * sizeof *types->shapes);
    memset(types, 0, sizeof *types);
}

const struct hg_type *hg_type_find(const struct hg_types *types, hearth_type type)
{
    uint32_t index = hg_type_index(type);
    if (index == 0 || index >= __atomic_load_n(&types->count, __ATOMIC_ACQUIRE) ||
        types->row[index].handle != type)
        return NULL;
    return &types->row[index];
}

size_t hg_type_size(const struct hg_type *type, size_t count)
{
    size_t elements, total;
    if (__builtin_mul_overflow(count, (size_t)type->element, &elements) ||
        __builtin_add_overflow(elements, (size_t)type->fixed, &total) || total > ((size_t)1 << 47))
        return 0;
    return total == 0 ? 1 : total;
}

/* Every rule of a description that does not depend on the table. */
static hearth_status hg_type_validate(const hearth_type_info *info)
{
    const char *name = info->name != NULL ? info->name : "(unnamed)";
    bool leaf = info->flags & HEARTH_TYPE_LEAF;
    const uint32_t flags = HEARTH_TYPE_LEAF | HEARTH_TYPE_CARDS | HEARTH_TYPE_LEGACY_FINALIZER;
    if (info->flags & ~flags)
        return ht_fail(HEARTH_EINVAL, "type %s: unknown flags 0x%x", name, info->flags);
    if ((info->flags & HEARTH_TYPE_LEGACY_FINALIZER) && info->finalize != NULL)
        return ht_fail(HEARTH_EINVAL, "type %s has a finalizer and is LEGACY_FINALIZER", name);
    if (info->finalize == NULL && (info->finalize_data != NULL || info->finalize_priority != 0))
        return ht_fail(HEARTH_EINVAL, "type %s: finalize_priority %d or data %p without finalize",
                       name, info->finalize_priority, info->finalize_data);
    if (info->size > UINT32_MAX - 1 || info->element_size > UINT32_MAX)
        return ht_fail(HEARTH_ESIZE, "type %s: size %zu or element size %zu is too large", name,
                       info->size, info->element_size);
    if (info->size == 0 && info->element_size == 0)
        return ht_fail(HEARTH_ESIZE, "type %s: size and element size are both 0", name);
    if (info->ref_count != 0 && (info->ref_offsets == NULL || info->ref_bitmap != 0))
        return ht_fail(HEARTH_EINVAL, "type %s: %zu offsets need a list and exclude a bitmap", name,
                       info->ref_count);
    if (leaf && (info->ref_bitmap || info->ref_count || info->element_bitmap || info->trace))
        return ht_fail(HEARTH_EINVAL, "type %s is LEAF but describes references", name);
    if (info->trace && (info->ref_bitmap || info->ref_count || info->element_bitmap))
        return ht_fail(HEARTH_EINVAL, "type %s has a trace callback and also a bitmap", name);
    if (info->ref_bitmap != 0 &&
        (size_t)(64 - __builtin_clzll(info->ref_bitmap)) * sizeof(void *) > info->size)
        return ht_fail(HEARTH_EINVAL, "type %s: bitmap 0x%llx reaches beyond its %zu bytes", name,
                       (unsigned long long)info->ref_bitmap, info->size);
    if (info->element_bitmap != 0) {
        if ((size_t)(64 - __builtin_clzll(info->element_bitmap)) * sizeof(void *) >
            info->element_size)
            return ht_fail(HEARTH_EINVAL, "type %s: element bitmap 0x%llx exceeds %zu bytes", name,
                           (unsigned long long)info->element_bitmap, info->element_size);
        if (info->size % sizeof(void *) != 0 || info->element_size % sizeof(void *) != 0)
            return ht_fail(HEARTH_EINVAL, "type %s: elements with references are not aligned",
                           name);
    }
    if (info->ref_count > info->size / sizeof(void *))
        return ht_fail(HEARTH_EINVAL, "type %s: %zu offsets, but its %zu bytes have fewer slots",
                       name, info->ref_count, info->size);
    for (size_t i = 0; i < info->ref_count; i++)
        if (info->ref_offsets[i] % sizeof(void *) != 0 || info->size < sizeof(void *) ||
            info->ref_offsets[i] > info->size - sizeof(void *))
            return ht_fail(HEARTH_EINVAL, "type %s: offset %u is not a slot of its %zu bytes", name,
                           info->ref_offsets[i], info->size);
    return HEARTH_OK;
}

static hearth_status hg_type_fill(struct hg_type *row, const hearth_type_info *info)
{
    const char *name = info->name != NULL ? info->name : "";
    size_t length = strnlen(name, HG_NAME_MAX - 1);
    row->name = ht_os_alloc(length + 1);
    if (info->ref_count != 0)
        row->offsets = ht_os_alloc(info->ref_count * sizeof *row->offsets);
    if (row->name == NULL || (info->ref_count != 0 && row->offsets == NULL)) {
        ht_os_free(row->name);
        ht_os_free(row->offsets);
        row->name = NULL;
        row->offsets = NULL;
        return ht_fail(HEARTH_ENOMEM, "no memory to register type %.40s", name);
    }
    memcpy(row->name, name, length);
    if (info->ref_count != 0)
        memcpy(row->offsets, info->ref_offsets, info->ref_count * sizeof *row->offsets);
    row->offset_count = (uint32_t)info->ref_count;
    row->bitmap = info->ref_bitmap;
    row->element_bitmap = info->element_bitmap;
    row->fixed = (uint32_t)info->size;
    row->element = (uint32_t)info->element_size;
    row->trace = info->trace;
    row->tier = info->trace                                ? HG_TIER_CALLBACK
                : info->ref_count                          ? HG_TIER_OFFSETS
                : info->ref_bitmap || info->element_bitmap ? HG_TIER_BITMAP
                                                           : HG_TIER_NONE;
    row->leaf = row->tier == HG_TIER_NONE;
    row->cards = !row->leaf && (info->flags & HEARTH_TYPE_CARDS);
    row->finalize = info->finalize;
    row->finalize_data = info->finalize_data;
    row->finalize_priority = info->finalize_priority;
    row->registered = info->finalize != NULL || (info->flags & HEARTH_TYPE_LEGACY_FINALIZER) != 0;
    return HEARTH_OK;
}

/* Bits 16-31 of a handle: the cell's granules if every object has one size class and fits inline. */
static hearth_type hg_type_handle(const struct hg_type *row, uint32_t index)
{
    hearth_type handle = index << 1 | row->leaf;
    if (row->element != 0 || row->tier == HG_TIER_MODEL)
        return handle;
    if (row->fixed > HEARTH_INLINE_CELL - HEARTH_HEADER || row->cards || row->registered)
        return handle | 0xffff0000u; /* never matches: the checked slow path does more */
    return handle | ha_class_cell(ha_class_of(row->fixed)) / HEARTH_GRANULE << 16;
}

/* Write the next row and publish it; types->lock is held. `tier` is the description's own if NONE. */
static hearth_status hg_type_add(struct hg_types *types, const hearth_type_info *info,
                                 enum hg_tier tier, uint8_t cell, hearth_type *out)
{
    uint32_t index = types->count;
    if (index == HG_TYPES_MAX)
        return ht_fail(HEARTH_ETYPE, "type %s: the heap has %d types already",
                       info->name != NULL ? info->name : "(unnamed)", HG_TYPES_MAX - 1);
    struct hg_type *row = &types->row[index];
    hearth_status status = hg_type_fill(row, info);
    if (status != HEARTH_OK)
        return status;
    if (tier != HG_TIER_NONE) {
        row->tier = (uint8_t)tier;
        row->leaf = false;
    }
    row->cell = cell;
    row->handle = hg_type_handle(row, index);
    bool plain = row->element != 0 && !row->cards && !row->registered && tier != HG_TIER_MODEL;
    types->shapes[index].fixed = plain ? row->fixed : UINT32_MAX;
    types->shapes[index].element = row->element;
    __atomic_store_n(&types->count, index + 1, __ATOMIC_RELEASE);
    *out = row->handle;
    return HEARTH_OK;
}

hearth_status hearth_type_register(hearth_heap *heap, const hearth_type_info *info,
                                   hearth_type *out)
{
    if (heap == NULL || info == NULL || out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_type_register: %s is NULL",
                       heap == NULL   ? "heap"
                       : info == NULL ? "info"
                                      : "out");
    if (info->struct_size != sizeof *info)
        return ht_fail(HEARTH_EINVAL, "hearth_type_info.struct_size is %zu, not %zu",
                       info->struct_size, sizeof *info);
    hearth_status status = hg_type_validate(info);
    if (status != HEARTH_OK)
        return status;
    pthread_mutex_lock(&heap->types.lock);
    status = hg_type_add(&heap->types, info, HG_TIER_NONE, 0, out);
    pthread_mutex_unlock(&heap->types.lock);
    return status;
}

hearth_status hg_type_builtin(struct hg_types *types, const hearth_type_info *info, uint8_t cell,
                              bool ephemeron, hearth_type *out)
{
    pthread_mutex_lock(&types->lock);
    hearth_status status =
        hg_type_add(types, info, ephemeron ? HG_TIER_EPHEMERON : HG_TIER_NONE, cell, out);
    pthread_mutex_unlock(&types->lock);
    return status;
}

hearth_status hearth_type_leaf(hearth_heap *heap, const char *name, size_t size, hearth_type *out)
{
    hearth_type_info info = {
        .struct_size = sizeof info, .name = name, .size = size, .flags = HEARTH_TYPE_LEAF};
    return hearth_type_register(heap, &info, out);
}

hearth_status hearth_type_fixed(hearth_heap *heap, const char *name, size_t size,
                                uint64_t ref_bitmap, hearth_type *out)
{
    hearth_type_info info = {
        .struct_size = sizeof info, .name = name, .size = size, .ref_bitmap = ref_bitmap};
    return hearth_type_register(heap, &info, out);
}

hearth_status hearth_type_bytes(hearth_heap *heap, const char *name, hearth_type *out)
{
    hearth_type_info info = {
        .struct_size = sizeof info, .name = name, .element_size = 1, .flags = HEARTH_TYPE_LEAF};
    return hearth_type_register(heap, &info, out);
}

hearth_status hearth_type_refs(hearth_heap *heap, const char *name, hearth_type *out)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = name,
                             .element_size = sizeof(void *),
                             .element_bitmap = 1};
    return hearth_type_register(heap, &info, out);
}

hearth_status hearth_type_get(hearth_heap *heap, hearth_type type, hearth_type_info *out)
{
    if (heap == NULL || out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_type_get: %s is NULL", heap == NULL ? "heap" : "out");
    if (out->struct_size != sizeof *out)
        return ht_fail(HEARTH_EINVAL, "hearth_type_info.struct_size is %zu, not %zu",
                       out->struct_size, sizeof *out);
    const struct hg_type *row = hg_type_find(&heap->types, type);
    if (row == NULL)
        return ht_fail(HEARTH_ETYPE, "0x%x is not a type of this heap", type);
    memset(out, 0, sizeof *out);
    out->struct_size = sizeof *out;
    out->name = row->name;
    out->size = row->fixed;
    out->flags = (row->leaf ? HEARTH_TYPE_LEAF : 0u) | (row->cards ? HEARTH_TYPE_CARDS : 0u) |
                 (row->registered && row->finalize == NULL ? HEARTH_TYPE_LEGACY_FINALIZER : 0u);
    out->ref_bitmap = row->bitmap;
    out->ref_offsets = row->offsets;
    out->ref_count = row->offset_count;
    out->element_size = row->element;
    out->element_bitmap = row->element_bitmap;
    out->trace = row->trace;
    out->finalize = row->finalize;
    out->finalize_data = row->finalize_data;
    out->finalize_priority = row->finalize_priority;
    return HEARTH_OK;
}

hearth_status hearth_set_object_model(hearth_heap *heap, const hearth_object_model *model,
                                      hearth_type *out)
{
    if (heap == NULL || model == NULL || out == NULL || model->trace == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_set_object_model: %s is NULL",
                       heap == NULL    ? "heap"
                       : model == NULL ? "model"
                       : out == NULL   ? "out"
                                       : "model->trace");
    if (model->struct_size != sizeof *model)
        return ht_fail(HEARTH_EINVAL, "hearth_object_model.struct_size is %zu, not %zu",
                       model->struct_size, sizeof *model);
    hearth_type_info info = {
        .struct_size = sizeof info, .name = "object model", .size = 1, .trace = model->trace};
    struct hg_types *types = &heap->types;
    hearth_status status;
    pthread_mutex_lock(&types->lock);
    if (types->model_type != 0) {
        status = ht_fail(HEARTH_ESTATE, "the heap has an object model already (type 0x%x)",
                         types->model_type);
    } else {
        types->model = *model; /* before anyone can have the type */
        status = hg_type_add(types, &info, HG_TIER_MODEL, 0, out);
        if (status == HEARTH_OK)
            types->model_type = *out;
    }
    pthread_mutex_unlock(&types->lock);
    return status;
}

bool hg_types_check(const struct hg_types *types)
{
    for (uint32_t i = 1; i < types->count; i++) {
        const struct hg_type *row = &types->row[i];
        if (hg_type_index(row->handle) != i || (row->handle & 1) != row->leaf ||
            row->name == NULL || (row->tier == HG_TIER_CALLBACK && row->trace == NULL))
            return false;
    }
    return types->count >= 1 && types->row[0].handle == 0;
}
