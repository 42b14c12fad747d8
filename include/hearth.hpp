// hearth.hpp - hearth for C++17: heaps, attached threads and roots that clean up after themselves.
//
// A thin layer over hearth.h: every object here owns one thing of the C API, nothing is virtual, nothing
// allocates but where it says so. Failures throw hearth::error, which carries the status and the message. References
// are rooted by `local` (on the stack, strictly nested: a frame of one reference) and `global` (anywhere, for any
// time). A plain T* found nowhere else may be reclaimed at the next safepoint: keep it in one of the two.
#ifndef HEARTH_HPP
#define HEARTH_HPP

#include <hearth.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace hearth
{

// A call of the C API that failed: which status, and the sentence hearth_last_error() gave.
class error : public std::runtime_error
{
  public:
    explicit error(hearth_status status)
        : std::runtime_error(std::string(hearth_status_name(status)) + ": " + hearth_last_error()),
          status_(status)
    {
    }
    hearth_status status() const noexcept
    {
        return status_;
    }

  private:
    hearth_status status_;
};

// Throws unless the status is HEARTH_OK.
inline void check(hearth_status status)
{
    if (HEARTH_UNLIKELY(status != HEARTH_OK))
        throw error(status);
}

// A set of options: options().set("heap-limit", "1g").parse("growth=1.5").
class options
{
  public:
    options()
    {
        check(hearth_options_create(&options_));
    }
    ~options()
    {
        hearth_options_destroy(options_);
    }
    options(options &&other) noexcept : options_(std::exchange(other.options_, nullptr))
    {
    }
    options(const options &) = delete;
    options &operator=(const options &) = delete;

    options &set(const char *name, const char *value)
    {
        check(hearth_options_set(options_, name, value));
        return *this;
    }
    options &parse(const char *text)
    {
        check(hearth_options_parse(options_, text));
        return *this;
    }
    const hearth_options *get() const noexcept
    {
        return options_;
    }

  private:
    hearth_options *options_ = nullptr;
};

// Owns a heap. Every `thread` of it must be gone before it is destroyed: the destructor cannot report that
// they are not, and then leaves the heap alone; `close` reports it.
class heap
{
  public:
    heap()
    {
        check(hearth_heap_create(&heap_, nullptr));
    }
    explicit heap(const options &with)
    {
        check(hearth_heap_create(&heap_, with.get()));
    }
    ~heap()
    {
        (void)hearth_heap_destroy(heap_);
    }
    heap(heap &&other) noexcept : heap_(std::exchange(other.heap_, nullptr))
    {
    }
    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;

    void close()
    {
        check(hearth_heap_destroy(heap_));
        heap_ = nullptr;
    }
    hearth_heap *get() const noexcept
    {
        return heap_;
    }

    // The type of T; bit i of `references`: word i of it is a reference. Without any it is a LEAF type.
    template <class T> hearth_type type(const char *name, std::uint64_t references) const
    {
        hearth_type out = 0;
        check(references != 0 ? hearth_type_fixed(heap_, name, sizeof(T), references, &out)
                              : hearth_type_leaf(heap_, name, sizeof(T), &out));
        return out;
    }
    hearth_type type(const hearth_type_info &info) const
    {
        hearth_type out = 0;
        check(hearth_type_register(heap_, &info, &out));
        return out;
    }
    hearth_stats stats() const
    {
        hearth_stats out = {};
        out.struct_size = sizeof out;
        check(hearth_get_stats(heap_, &out));
        return out;
    }

  private:
    hearth_heap *heap_ = nullptr;
};

// The calling thread, attached to a heap for as long as this lives. Not to be handed to other threads.
class thread
{
  public:
    explicit thread(const heap &of, const hearth_attach_options *how = nullptr)
    {
        check(hearth_attach(of.get(), how, &mutator_));
    }
    ~thread()
    {
        (void)hearth_detach(mutator_);
    }
    thread(const thread &) = delete;
    thread &operator=(const thread &) = delete;

    hearth_mutator *get() const noexcept
    {
        return mutator_;
    }
    operator hearth_mutator *() const noexcept
    {
        return mutator_;
    }

    // A new object, zero but for what the constructor of T would do: T must be trivial. A safepoint.
    template <class T> T *make(hearth_type type) const
    {
        static_assert(std::is_trivially_destructible<T>::value,
                      "destructors do not run: use a finalizer");
        return static_cast<T *>(some(hearth_alloc(mutator_, type, sizeof(T))));
    }
    // A new variable-length object of `count` elements. A safepoint.
    template <class T> T *make_array(hearth_type type, std::size_t count) const
    {
        return static_cast<T *>(some(hearth_alloc_array(mutator_, type, count)));
    }
    // object->*slot = value, through the write barrier.
    template <class T, class S> void store(T *object, S **slot, S *value) const
    {
        hearth_store(mutator_, object, reinterpret_cast<void **>(slot), value);
    }
    void safepoint() const noexcept
    {
        hearth_safepoint(mutator_);
    }
    void collect(int generation = 2) const
    {
        check(hearth_gc_collect(mutator_, generation));
    }

  private:
    static void *some(void *object)
    {
        if (HEARTH_UNLIKELY(object == nullptr))
            throw error(hearth_last_status());
        return object;
    }
    hearth_mutator *mutator_ = nullptr;
};

// A reference on the stack that the collector sees. Strictly nested, as automatic variables are.
template <class T> class local
{
  public:
    explicit local(const thread &of, T *object = nullptr) noexcept
        : mutator_(of.get()), frame_{{mutator_->frames, 1}, object}
    {
        mutator_->frames = &frame_.head;
    }
    ~local()
    {
        mutator_->frames = frame_.head.prev;
    }
    local(const local &) = delete;
    local &operator=(const local &) = delete;

    local &operator=(T *object) noexcept
    {
        frame_.object = object;
        return *this;
    }
    T *get() const noexcept
    {
        return static_cast<T *>(frame_.object);
    }
    T *operator->() const noexcept
    {
        return get();
    }
    T &operator*() const noexcept
    {
        return *get();
    }
    explicit operator bool() const noexcept
    {
        return frame_.object != nullptr;
    }

  private:
    hearth_mutator *mutator_;
    struct {
        hearth_frame head;
        void *object;
    } frame_;
};

// A reference anywhere (a member, a static) that the collector sees until it is destroyed.
template <class T> class global
{
  public:
    explicit global(const heap &of, T *object = nullptr) : heap_(of.get()), object_(object)
    {
        check(hearth_root_add(heap_, &object_));
    }
    ~global()
    {
        (void)hearth_root_remove(heap_, &object_);
    }
    global(const global &) = delete;
    global &operator=(const global &) = delete;

    global &operator=(T *object) noexcept
    {
        object_ = object;
        return *this;
    }
    T *get() const noexcept
    {
        return static_cast<T *>(object_);
    }
    T *operator->() const noexcept
    {
        return get();
    }
    T &operator*() const noexcept
    {
        return *get();
    }
    explicit operator bool() const noexcept
    {
        return object_ != nullptr;
    }

  private:
    hearth_heap *heap_;
    void *object_;
};

// While it lives the thread is in a native section: it may block, and must not touch objects.
class native_section
{
  public:
    explicit native_section(const thread &of) : mutator_(of.get())
    {
        check(hearth_native_begin(mutator_));
    }
    ~native_section()
    {
        (void)hearth_native_end(mutator_);
    }
    native_section(const native_section &) = delete;
    native_section &operator=(const native_section &) = delete;

  private:
    hearth_mutator *mutator_;
};

} // namespace hearth

#endif
