/* bench/strings.c - records of strings: nine in ten objects have no references.
 *
 * A table of 100,000 records, each with nine strings of 8 to 71 bytes. An update takes a record at
 * random and writes a new one in its place: each of its strings is the second half of the one it
 * follows and some new text. A million updates at scale 1. What a collector does with memory that it
 * need not look into decides here.
 *
 * Invariant: string k of a record ends in the number of the update that made it, as eight digits in
 * base 16; the checksum sums lengths and those numbers' low digits. Each thread owns its table. */
#define WORKLOAD       "strings"
#define WORKLOAD_SIZED 1

#include "bench/cell.h"

enum { RECORDS = 100000, UPDATES = 1000000, STRINGS = 9, DIGITS = 8, MOST_TEXT = 64 };
enum { RECORD_CELL = 96, STRING_CELL = 80 }; /* bytes that each takes from the heap, mean         */

struct record {
    void *string[STRINGS]; /* struct sys_buffer *                                       */
    uint64_t number;       /* of the update that made it                                */
};

/* The text of a string: its length in bytes, then the bytes. */
struct text {
    size_t words; /* as in struct sys_buffer                                            */
    uint32_t length;
    char bytes[];
};

static sys_type record_type, string_type;

static size_t workload_live_bytes(void)
{
    return sized(RECORDS) * (sizeof(void *) + RECORD_CELL + STRINGS * STRING_CELL);
}

static bool workload_start(void)
{
    return cell_register() && sys_type_buffer("string", &string_type) &&
           sys_type_object("record", sizeof(struct record), (1u << STRINGS) - 1, &record_type);
}

/* Eight digits, the lowest first. */
BENCH_INLINE void write_digits(char *to, uint64_t number)
{
    for (int i = 0; i < DIGITS; i++, number >>= 4)
        to[i] = "0123456789abcdef"[number & 15];
}

/* A string of `fresh` stars, the last `kept` bytes of `old`, and the number. */
BENCH_INLINE struct text *text_new(sys_thread m, void *const *old, uint32_t kept, uint32_t fresh,
                                   uint64_t number)
{
    uint32_t length = kept + fresh + DIGITS;
    size_t words = (sizeof(uint32_t) + length + sizeof(double) - 1) / sizeof(double);
    struct text *text = (struct text *)sys_new_buffer(m, string_type, words);
    if (BENCH_UNLIKELY(text == NULL))
        worker_no_memory();
    text->words = words;
    text->length = length;
    memset(text->bytes, '*', fresh);
    if (kept > 0) {
        const struct text *from = *old;
        memcpy(text->bytes + fresh, from->bytes + from->length - kept, kept);
    }
    write_digits(text->bytes + fresh + kept, number);
    return text;
}

/* A record whose strings follow those of `old`, if it is not NULL. */
static void record_new(sys_thread m, void *const *old, void **out, uint32_t *random,
                       uint64_t number)
{
    struct record *record = sys_new(m, record_type, sizeof *record);
    if (BENCH_UNLIKELY(record == NULL))
        worker_no_memory();
    record->number = number;
    *out = record;
    for (int i = 0; i < STRINGS; i++) {
        uint32_t fresh = random_next(random) % (MOST_TEXT / 2), kept = 0;
        void *none = NULL;
        void *const *from = &none;
        if (*old != NULL) {
            from = &((struct record *)*old)->string[i];
            kept = ((struct text *)*from)->length / 2;
            if (kept > MOST_TEXT / 2 - 1)
                kept = MOST_TEXT / 2 - 1;
        }
        struct text *text = text_new(m, from, kept, fresh, number);
        record = *out;
        sys_store(m, record, &record->string[i], text);
    }
}

static uint64_t record_check(const struct record *record)
{
    char digits[DIGITS];
    uint64_t sum = 0;
    write_digits(digits, record->number);
    for (int i = 0; i < STRINGS; i++) {
        const struct text *text = record->string[i];
        if (memcmp(text->bytes + text->length - DIGITS, digits, DIGITS) != 0)
            bench_fail(1, "string %d of record %llu is damaged", i,
                       (unsigned long long)record->number);
        sum += text->length + (uint64_t)(unsigned char)digits[0];
    }
    return sum;
}

static void record_drop(sys_thread m, struct record *record)
{
    for (int i = 0; SYS_MANUAL && i < STRINGS; i++)
        sys_free(m, record->string[i]);
    sys_free(m, record);
}

static void update(sys_thread m, void **ref, size_t i, uint32_t *random, uint64_t number)
{
    ref[1] = ((void **)ref[0])[i];
    record_new(m, &ref[1], &ref[2], random, number);
    if (SYS_MANUAL && ref[1] != NULL)
        record_drop(m, ref[1]);
    void **table = ref[0];
    sys_store(m, table, &table[i], ref[2]);
    ref[1] = ref[2] = NULL;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t records = sized(RECORDS);
    uint64_t updates = scaled(worker, UPDATES);
    uint32_t random = RANDOM_SEED;
    SYS_FRAME(m, frame, 3); /* the table, an old record, a new one */
    frame.ref[0] = refs_new(m, records);
    for (size_t i = 0; i < records; i++)
        update(m, frame.ref, i, &random, 0);
    work_begin(m, worker);
    for (uint64_t number = 1; number <= updates; number++) {
        size_t i = random_index(&random, records);
        update(m, frame.ref, i, &random, number);
    }
    work_end(m, worker);
    void **table = frame.ref[0];
    for (size_t i = 0; i < records; i++) {
        worker->checksum += record_check(table[i]);
        record_drop(m, table[i]);
    }
    sys_free(m, table);
    worker->allocations = 1 + (records + updates) * (1 + STRINGS);
    worker->ops = updates;
    SYS_FRAME_END(m, frame);
}
