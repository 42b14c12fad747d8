/* tests/test_hpp.cc - include/hearth.hpp, as a C++17 program uses it. */
#include <hearth.hpp>

#include <cstdio>
#include <cstring>
#include <thread>

namespace
{

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                   \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

struct Node {
    Node *next;
    long value;
};

/* A list that only a global holds; its nodes survive collections, its garbage does not. */
int lists(const hearth::heap &heap)
{
    hearth::thread me(heap);
    hearth_type type = heap.type<Node>("node", 1);
    hearth::global<Node> list(heap);
    for (long i = 0; i < 1000; i++) {
        hearth::local<Node> node(me, me.make<Node>(type));
        node->value = i;
        (void)me.make<Node>(type); /* garbage */
        me.store(node.get(), &node->next, list.get());
        list = node.get();
    }
    EXPECT(me.get()->frames == nullptr);
    me.collect();
    long sum = 0, count = 0;
    for (Node *node = list.get(); node != nullptr; node = node->next, count++)
        sum += node->value;
    EXPECT(count == 1000 && sum == 499500);
    EXPECT(heap.stats().live_objects == 1000);
    list = nullptr;
    me.collect();
    EXPECT(!list && heap.stats().live_objects == 0);
    return 0;
}

int locals_nest(const hearth::heap &heap)
{
    hearth::thread me(heap);
    hearth_type type = heap.type<Node>("pair", 1);
    hearth::local<Node> outer(me, me.make<Node>(type));
    {
        hearth::local<Node> inner(me, me.make<Node>(type));
        me.store(outer.get(), &outer->next, inner.get());
    }
    me.collect();
    EXPECT(hearth_is_object(heap.get(), outer->next));
    outer = nullptr;
    EXPECT(!outer);
    hearth_type bytes = 0;
    hearth::check(hearth_type_bytes(heap.get(), "bytes", &bytes));
    hearth::local<char> text(me, me.make_array<char>(bytes, 100));
    EXPECT(hearth_length(heap.get(), text.get()) == 100);
    return 0;
}

int errors()
{
    try {
        hearth::options().set("growth", "small");
    } catch (const hearth::error &e) {
        EXPECT(e.status() == HEARTH_EOPTION && std::strstr(e.what(), "small") != nullptr);
        EXPECT(std::strstr(e.what(), "HEARTH_EOPTION") != nullptr);
        hearth::heap heap(hearth::options().set("heap-limit", "1m").parse("growth=1.5"));
        hearth::thread me(heap);
        hearth_type bytes = 0;
        hearth::check(hearth_type_bytes(heap.get(), "bytes", &bytes));
        try {
            (void)me.make_array<char>(bytes, 2 << 20);
        } catch (const hearth::error &limit) {
            EXPECT(limit.status() == HEARTH_ELIMIT);
            return 0;
        }
    }
    EXPECT(!"an error was not thrown");
    return 1;
}

int threads()
{
    hearth::heap heap;
    try {
        hearth::thread me(heap);
        heap.close();
        EXPECT(!"a heap with a thread was closed");
    } catch (const hearth::error &e) {
        EXPECT(e.status() == HEARTH_ESTATE);
    }
    int wrong[2] = {1, 1};
    {
        hearth::thread me(heap);
        std::thread a([&] { wrong[0] = lists(heap); });
        {
            hearth::native_section away(me);
            a.join();
        }
    }
    std::thread b([&] { wrong[1] = locals_nest(heap); });
    b.join();
    heap.close();
    return wrong[0] | wrong[1];
}

} // namespace

int main()
{
    return errors() | threads();
}
