/* tests/test_cxx.cc - the public API from C++17: the program of embed.c, and what only C++ does.
 *
 * Linked with the archive, with the shared library, and with HEARTH_CHECKED. */
#include "tests/embed.c"

#include <cstddef>
#include <thread>
#include <type_traits>

/* What a JIT relies on holds for a C++ compiler as well. */
static_assert(std::is_standard_layout<hearth_mutator>::value, "a mutator is a plain struct");
static_assert(offsetof(hearth_mutator, frames) == 0, "ABI");
static_assert(offsetof(hearth_mutator, poll) == 8, "ABI");
static_assert(offsetof(hearth_mutator, shapes) == 16, "ABI");
static_assert(offsetof(hearth_mutator, heap) == 24, "ABI");
static_assert(offsetof(hearth_mutator, run) == 64, "ABI");

namespace
{

/* A root the collector asks for; a captureless lambda is a C callback. */
struct Provider {
    void *root = nullptr;
    int asked = 0;
};

int use_provider(hearth_heap *heap, hearth_mutator *mutator, hearth_type type)
{
    Provider provider;
    hearth_root_fn *visit = [](void *data, hearth_visitor *visitor) {
        auto *self = static_cast<Provider *>(data);
        self->asked++;
        hearth_visit(visitor, &self->root);
    };
    EXPECT(hearth_root_provider_add(heap, visit, &provider) == HEARTH_OK);
    auto *number = static_cast<int *>(hearth_alloc(mutator, type, sizeof(int)));
    EXPECT(number != nullptr);
    *number = 42;
    provider.root = number;
    EXPECT(hearth_gc_collect(mutator, 2) == HEARTH_OK);
    EXPECT(provider.asked == 1 && provider.root == number && *number == 42);
    EXPECT(hearth_is_object(heap, number));
    EXPECT(hearth_root_provider_remove(heap, visit, &provider) == HEARTH_OK);
    EXPECT(hearth_gc_collect(mutator, 2) == HEARTH_OK);
    EXPECT(provider.asked == 1);
    return 0;
}

int use_from_thread(hearth_heap *heap)
{
    hearth_mutator *mutator = nullptr;
    hearth_type type = 0;
    EXPECT(hearth_attach(heap, nullptr, &mutator) == HEARTH_OK);
    EXPECT(hearth_type_leaf(heap, "number", sizeof(int), &type) == HEARTH_OK);
    if (use_provider(heap, mutator, type) != 0)
        return 1;
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return 0;
}

int run()
{
    hearth_heap *heap = nullptr;
    EXPECT(hearth_heap_create(&heap, nullptr) == HEARTH_OK);
    int wrong = 1;
    std::thread thread([&] { wrong = use_from_thread(heap); });
    thread.join();
    EXPECT(hearth_heap_destroy(heap) == HEARTH_OK);
    return wrong;
}

} // namespace

int main()
{
    return embed_run() | run();
}
