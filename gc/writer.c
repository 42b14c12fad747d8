/* gc/writer.c - buffered text, numbers and JSON strings (RFC 8259). See writer.h. */
#include "gc/writer.h"

#include <errno.h>
#include <string.h>

#include "gc/mutator.h"
#include "topology/error.h"
#include "topology/os.h"

void hg_writer_init(struct hg_writer *writer, hearth_write_fn *fn, void *data)
{
    writer->fn = fn;
    writer->data = data;
    writer->used = 0;
    writer->failed = false;
}

bool hg_writer_flush(struct hg_writer *writer)
{
    if (writer->used > 0 && !writer->failed)
        writer->failed = !writer->fn(writer->data, writer->buffer, writer->used);
    writer->used = 0;
    return !writer->failed;
}

static void hg_write_bytes(struct hg_writer *writer, const char *bytes, size_t count)
{
    while (count > 0) {
        size_t room = sizeof writer->buffer - writer->used;
        size_t part = count < room ? count : room;
        memcpy(writer->buffer + writer->used, bytes, part);
        writer->used += part;
        bytes += part;
        count -= part;
        if (writer->used == sizeof writer->buffer)
            hg_writer_flush(writer);
    }
}

void hg_write_text(struct hg_writer *writer, const char *text)
{
    hg_write_bytes(writer, text, strlen(text));
}

void hg_write_number(struct hg_writer *writer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    hg_write_bytes(writer, digits + at, sizeof digits - at);
}

/* Bytes of the UTF-8 sequence that begins here, two or more; 0: it is none (RFC 3629). */
static size_t hg_utf8(const unsigned char *at)
{
    size_t count = at[0] >= 0xc2 && at[0] <= 0xdf   ? 2
                   : at[0] >= 0xe0 && at[0] <= 0xef ? 3
                   : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4
                                                    : 0;
    for (size_t i = 1; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || beyond ? 0 : count;
}

static void hg_write_escape(struct hg_writer *writer, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    hg_write_bytes(writer, escape, sizeof escape);
}

void hg_write_string(struct hg_writer *writer, const char *text)
{
    hg_write_bytes(writer, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        size_t sequence = hg_utf8(at);
        if (sequence != 0) {
            hg_write_bytes(writer, (const char *)at, sequence);
            at += sequence;
            continue;
        }
        if (*at < 0x20 || *at == '"' || *at == '\\' || *at >= 0x7f)
            hg_write_escape(writer, *at);
        else
            hg_write_bytes(writer, (const char *)at, 1);
        at++;
    }
    hg_write_bytes(writer, "\"", 1);
}

struct hg_text_file {
    int file;
    int error; /* errno of what failed first; 0: nothing */
};

static bool hg_text_bytes(void *data, const char *text, size_t length)
{
    struct hg_text_file *to = data;
    if (!ht_os_write(to->file, text, length))
        to->error = errno;
    return to->error == 0;
}

hearth_status hg_text_to_file(hearth_mutator *mutator, const char *path, hg_text_fn *text,
                              const char *call)
{
    if (path == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: path is NULL", call);
    hearth_status status = hg_mutator_ready(mutator, call);
    if (status != HEARTH_OK)
        return status;
    struct hg_text_file to = {ht_os_create(path), 0};
    if (to.file < 0)
        return ht_fail(HEARTH_ESYSTEM, "%s: %s: %s", call, path, strerror(errno));
    status = text(mutator, hg_text_bytes, &to);
    if (!ht_os_close(to.file) && to.error == 0)
        to.error = errno;
    if (to.error != 0)
        status = ht_fail(HEARTH_ESYSTEM, "%s: %s: %s", call, path, strerror(to.error));
    if (status != HEARTH_OK)
        ht_os_remove(path);
    return status;
}
