/* gc/writer.h - text that goes to a function piece by piece: numbers and JSON strings.
 *
 * Invariant: `used` bytes of the buffer have not been given to the function yet; after it has returned false
 * nothing more is given to it. One thread; no locks. */
#ifndef HEARTH_GC_WRITER_H
#define HEARTH_GC_WRITER_H

#include "hearth/inspect.h"

struct hg_writer {
    hearth_write_fn *fn;
    void *data;
    size_t used;
    bool failed; /* fn gave up */
    char buffer[1 << 14];
};

void hg_writer_init(struct hg_writer *writer, hearth_write_fn *fn, void *data);
void hg_write_text(struct hg_writer *writer, const char *text);
void hg_write_number(struct hg_writer *writer, uint64_t number);
/* In quotes; what is no UTF-8 is taken for Latin-1. */
void hg_write_string(struct hg_writer *writer, const char *text);
/* Give what is left; false: the function gave up. */
bool hg_writer_flush(struct hg_writer *writer);

/* A call that writes a text about a heap, and the same into a file, which is replaced, or removed if it could not be
 * written completely. `call` names it in errors. */
typedef hearth_status hg_text_fn(hearth_mutator *mutator, hearth_write_fn *fn, void *data);
hearth_status hg_text_to_file(hearth_mutator *mutator, const char *path, hg_text_fn *text,
                              const char *call);

#endif
