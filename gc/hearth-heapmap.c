/* gc/hearth-heapmap.c - the program that draws what hearth_heap_map writes, as SVG, or as PNG with rsvg-convert.
 *
 * Four pictures side by side, by kind, by size class, by age and by residency; a row is a chunk of 4 MiB, a cell one
 * of its 64 blocks, and the rows of a memory node stand together. A map comes from a file; whatever it holds, the
 * program ends with a message or a picture. Exit status: 0, 1 when something cannot be read or written, or is no
 * map, 2 for wrong arguments. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hearth/status.h"

static const char usage[] =
    "usage: hearth-heapmap [--rows N] [--output FILE.svg|FILE.png] [MAP]\n"
    "Draws a heap map, which hearth_heap_map_file(mutator, MAP) has written; without MAP it is\n"
    "read from standard input, without --output the SVG goes to standard output.\n"
    "  --output FILE  picture to write; PNG needs rsvg-convert (Debian: librsvg2-bin)\n"
    "  --rows N       most chunks drawn of a node, 1 to 4096 (default 64)\n"
    "  --version      print hearth's version\n"
    "  --help         print this\n";

enum { BLOCKS = 64, VIEWS = 4, CELL_W = 5, CELL_H = 10, ROW_H = 12, LEFT = 70, TOP = 50, GAP = 24 };
enum { PANEL_W = BLOCKS * CELL_W, NODES = 64, UNKNOWN = -3, MIXED = -2, NOWHERE = -1 };

enum what { NOTHING, HEAD, FREE, COLD, CELLS, LARGE };

struct block {
    enum what what;
    bool leaf;
    unsigned cell, cells; /* bytes, and how many                                    */
    unsigned age[4];      /* objects: young, middle, old, frozen                    */
    int where;            /* system's node of its pages                             */
    unsigned resident;    /* pages                                                  */
};

struct row {
    uint64_t address;
    struct block block[BLOCKS];
};

struct node {
    int number, os_node;
    uint64_t live, used; /* bytes, blocks                                               */
    struct row *row;
    size_t rows, room;
};

struct map {
    struct node node[NODES];
    int nodes;
    size_t line; /* being read */
};

/* --- reading ------------------------------------------------------------------------------------------ */

static bool wrong(const struct map *map, const char *line, const char *why)
{
    fprintf(stderr, "hearth-heapmap: line %zu: %s: %.60s\n", map->line, why, line);
    return false;
}

/* The number behind " name " in the line. */
static bool field(const char *line, const char *name, uint64_t *value)
{
    char key[24];
    snprintf(key, sizeof key, " %s ", name);
    const char *at = strstr(line, key);
    char *end;
    if (at == NULL || at[strlen(key)] < '0' || at[strlen(key)] > '9')
        return false;
    *value = strtoull(at + strlen(key), &end, 10);
    return *end == ' ' || *end == '\0';
}

static bool read_pages(const char *line, struct block *block)
{
    const char *at = strstr(line, " pages ");
    if (at == NULL || strlen(at) < 10)
        return false;
    at += 7;
    block->where = *at == '-' ? NOWHERE : *at == '*' ? MIXED : *at == '?' ? UNKNOWN : atoi(at);
    at = strchr(at, ' ');
    if (at == NULL || block->where < UNKNOWN || block->where > 1023)
        return false;
    block->resident = (unsigned)strtoul(at + 1, NULL, 10);
    return true;
}

static struct row *new_row(struct node *node, uint64_t address)
{
    if (node->rows == node->room) {
        size_t room = node->room * 2 + 16;
        struct row *rows = realloc(node->row, room * sizeof *rows);
        if (rows == NULL) {
            fprintf(stderr, "hearth-heapmap: no memory for %zu rows\n", room);
            exit(1);
        }
        node->row = rows;
        node->room = room;
    }
    struct row *row = &node->row[node->rows++];
    memset(row, 0, sizeof *row);
    row->address = address;
    return row;
}

static bool read_node(struct map *map, const char *line)
{
    uint64_t number, os_node, live, used;
    if (map->nodes == NODES || sscanf(line, "node %" SCNu64, &number) != 1 ||
        !field(line, "system", &os_node) || !field(line, "live", &live) ||
        !field(line, "blocks", &used) || number >= NODES || os_node > 1023)
        return wrong(map, line, "no node");
    map->node[map->nodes++] =
        (struct node){.number = (int)number, .os_node = (int)os_node, .live = live, .used = used};
    return true;
}

static bool read_chunk(struct map *map, struct node *node, const char *line)
{
    uint64_t address;
    struct block head = {.what = HEAD};
    if (sscanf(line, "chunk %" SCNu64, &address) != 1 || !read_pages(line, &head))
        return wrong(map, line, "no chunk");
    struct row *row = new_row(node, address);
    for (int i = 0; i < 4; i++)
        row->block[i] = head;
    return true;
}

/* What all large objects have: kind, blocks and age. */
static bool read_large(const char *line, struct block *block, uint64_t *blocks)
{
    uint64_t age;
    *block = (struct block){.what = LARGE, .leaf = strstr(line, " large leaf ") != NULL};
    if (!field(line, "blocks", blocks) || *blocks == 0 || !field(line, "age", &age) || age > 3)
        return false;
    block->age[age] = 1;
    return true;
}

static bool read_cells(const char *line, struct block *block)
{
    static const char *const ages[] = {"young", "middle", "old", "frozen"};
    uint64_t cell, cells, count, all = 0;
    if (!field(line, "cell", &cell) || cell == 0 || cell > 65536 || !field(line, "cells", &cells) ||
        cells == 0 || cells > 4096)
        return false;
    *block = (struct block){.what = CELLS,
                            .leaf = strstr(line, " small leaf ") != NULL,
                            .cell = (unsigned)cell,
                            .cells = (unsigned)cells};
    for (int i = 0; i < 4; i++) {
        if (!field(line, ages[i], &count) || count > cells)
            return false;
        block->age[i] = (unsigned)count;
        all += count;
    }
    return all <= cells;
}

static bool read_block(struct map *map, struct node *node, const char *line)
{
    unsigned index;
    char word[16];
    uint64_t blocks = 1;
    if (node->rows == 0 || sscanf(line, "block %u %15s", &index, word) != 2 || index < 4 ||
        index >= BLOCKS)
        return wrong(map, line, "no block of a chunk");
    struct block *at = node->row[node->rows - 1].block, block = {.what = NOTHING};
    bool good = true;
    if (strcmp(word, "free") == 0 || strcmp(word, "cold") == 0)
        block.what = word[0] == 'f' ? FREE : COLD;
    else if (strcmp(word, "small") == 0)
        good = read_cells(line, &block);
    else if (strcmp(word, "large") == 0)
        good = read_large(line, &block, &blocks);
    else if (strcmp(word, "tail") == 0 && at[index - 1].what == LARGE)
        block = at[index - 1];
    else
        good = false;
    if (!good || !read_pages(line, &block))
        return wrong(map, line, "no such block");
    at[index] = block;
    return true;
}

/* A large object of chunks of its own; its parts, a row each, follow. */
static bool read_span(struct map *map, struct node *node, const char *line)
{
    struct block block;
    uint64_t address, blocks;
    if (sscanf(line, "span %" SCNu64, &address) != 1 || !read_large(line, &block, &blocks) ||
        blocks > (uint64_t)1 << 32)
        return wrong(map, line, "no span");
    for (uint64_t i = 0; i < (blocks + BLOCKS - 1) / BLOCKS; i++) {
        struct row *row = new_row(node, address + i * (4 << 20));
        for (uint64_t b = 0; b < BLOCKS && i * BLOCKS + b < blocks; b++)
            row->block[b] = block;
        if (i == (1 << 20))
            return wrong(map, line, "span too long");
    }
    return true;
}

/* Where one chunk of the span lies. Of chunks that were reserved and hold nothing there is no row. */
static bool read_part(struct map *map, struct node *node, const char *line, size_t span)
{
    uint64_t index;
    struct block pages = {.what = NOTHING};
    if (sscanf(line, "part %" SCNu64, &index) != 1 || span == 0 || !read_pages(line, &pages))
        return wrong(map, line, "no part of a span");
    if (span - 1 + index >= node->rows)
        return true;
    struct block *block = node->row[span - 1 + index].block;
    for (int b = 0; b < BLOCKS; b++) {
        block[b].where = pages.where;
        block[b].resident = pages.resident / BLOCKS;
    }
    return true;
}

static bool read_line(struct map *map, const char *line, size_t *span)
{
    if (strncmp(line, "node ", 5) == 0) {
        *span = 0;
        return read_node(map, line);
    }
    if (map->nodes == 0)
        return wrong(map, line, "a node should come first");
    struct node *node = &map->node[map->nodes - 1];
    if (strncmp(line, "block ", 6) == 0)
        return read_block(map, node, line);
    if (strncmp(line, "part ", 5) == 0)
        return read_part(map, node, line, *span);
    if (strncmp(line, "chunk ", 6) == 0)
        return read_chunk(map, node, line);
    if (strncmp(line, "span ", 5) != 0)
        return wrong(map, line, "unknown");
    *span = node->rows + 1;
    return read_span(map, node, line);
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const struct row *)a)->address, y = ((const struct row *)b)->address;
    return x < y ? -1 : x > y;
}

static bool read_map(FILE *file, struct map *map)
{
    char line[512];
    size_t span = 0;
    bool end = false;
    while (!end && fgets(line, sizeof line, file) != NULL) {
        map->line++;
        line[strcspn(line, "\n")] = '\0';
        if (map->line == 1 && strcmp(line, "hearth-heap-map 1") != 0)
            return wrong(map, line, "this is no heap map of version 1");
        end = strcmp(line, "end") == 0;
        if (map->line > 1 && !end && !read_line(map, line, &span))
            return false;
    }
    if (!end || map->nodes == 0)
        return wrong(map, "", "the map does not end");
    for (int n = 0; n < map->nodes; n++)
        if (map->node[n].rows > 0)
            qsort(map->node[n].row, map->node[n].rows, sizeof(struct row), by_address);
    return true;
}

/* --- drawing ------------------------------------------------------------------------------------------ */

static const char *const age_colour[] = {"#f6d743", "#f08a24", "#8c3b16", "#5a9bd4"};
static const char *const age_name[] = {"young", "survived once", "old", "frozen"};
static const char *const node_colour[] = {"#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd",
                                          "#8c564b", "#17becf", "#bcbd22", "#e377c2"};

static unsigned objects(const struct block *b)
{
    return b->age[0] + b->age[1] + b->age[2] + b->age[3];
}

/* Between white and a colour, by a share. */
static void shade(char *text, unsigned colour, double share)
{
    unsigned part[3];
    share = 0.2 + 0.8 * share;
    for (int i = 0; i < 3; i++)
        part[i] = (unsigned)(255 - (255 - (colour >> (16 - 8 * i) & 255)) * share + 0.5);
    sprintf(text, "#%02x%02x%02x", part[0], part[1], part[2]);
}

static void kind_colour(const struct block *b, char *text)
{
    if (b->what == CELLS)
        shade(text, b->leaf ? 0x1b9e4b : 0x1f5fb4, (double)objects(b) / b->cells);
    else
        strcpy(text, b->what == LARGE  ? (b->leaf ? "#e6ab02" : "#d95f02")
                     : b->what == HEAD ? "#888888"
                     : b->what == FREE ? "#d8d8d8"
                                       : "#f2f2f2");
}

/* From light to dark by the logarithm of the cell's size: 16 bytes to 32 KiB. */
static void class_colour(const struct block *b, char *text)
{
    static const unsigned step[] = {0xfde725, 0x90d743, 0x35b779, 0x21918c, 0x31688e, 0x443983};
    if (b->what != CELLS) {
        kind_colour(b, text);
        if (b->what == LARGE)
            strcpy(text, "#440154");
        return;
    }
    double at = (log2((double)b->cell) - 4) / 11 * 5;
    at = at < 0 ? 0 : at > 4.999 ? 4.999 : at;
    unsigned i = (unsigned)at, part[3];
    for (int c = 0; c < 3; c++) {
        double low = step[i] >> (16 - 8 * c) & 255, high = step[i + 1] >> (16 - 8 * c) & 255;
        part[c] = (unsigned)(low + (high - low) * (at - i));
    }
    sprintf(text, "#%02x%02x%02x", part[0], part[1], part[2]);
}

static void where_colour(const struct block *b, char *text)
{
    strcpy(text, b->where == NOWHERE   ? "#ffffff"
                 : b->where == UNKNOWN ? "#aaaaaa"
                 : b->where == MIXED   ? "#ff00aa"
                                       : node_colour[b->where % 8]);
}

static void rectangle(FILE *out, double x, double y, double w, double h, const char *colour)
{
    fprintf(out, "<rect x=\"%.4g\" y=\"%.6g\" width=\"%.4g\" height=\"%.3g\" fill=\"%s\"/>\n", x, y,
            w, h, colour);
}

/* The ages of a block stand on each other, as high as their share of its cells. */
static void draw_ages(FILE *out, const struct block *b, double x, double y)
{
    double bottom = y + CELL_H, whole = b->what == LARGE ? 1 : b->cells;
    if (b->what != CELLS && b->what != LARGE)
        return;
    for (int i = 3; i >= 0; i--) {
        double h = CELL_H * b->age[i] / whole;
        if (h > 0)
            rectangle(out, x, bottom - h, CELL_W - 1, h, age_colour[i]);
        bottom -= h;
    }
}

static void draw_block(FILE *out, const struct block *b, int view, double x, double y, int os_node)
{
    char colour[16] = "#eeeeee";
    if (b->what == NOTHING)
        return;
    if (view == 0)
        kind_colour(b, colour);
    else if (view == 1)
        class_colour(b, colour);
    else if (view == 3)
        where_colour(b, colour);
    rectangle(out, x, y, CELL_W - 1, CELL_H, colour);
    if (view == 2)
        draw_ages(out, b, x, y);
    if (view == 3 && b->where >= 0 && b->where != os_node)
        rectangle(out, x, y + CELL_H - 3, CELL_W - 1, 3, "#ff0000");
}

static void text(FILE *out, double x, double y, const char *style, const char *words)
{
    fprintf(out, "<text x=\"%.6g\" y=\"%.6g\" %s>%s</text>\n", x, y, style, words);
}

/* A coloured square and what it means; returns where the next line is. */
static double legend(FILE *out, double x, double y, const char *colour, const char *words)
{
    rectangle(out, x, y, 10, 10, colour);
    text(out, x + 15, y + 9, "", words);
    return y + 15;
}

static void legend_kinds(FILE *out, double x, double y)
{
    y = legend(out, x, y, "#1f5fb4", "cells with references; the paler, the emptier");
    y = legend(out, x, y, "#1b9e4b", "cells without");
    y = legend(out, x, y, "#d95f02", "large object with references");
    y = legend(out, x, y, "#e6ab02", "large object without");
    y = legend(out, x, y, "#d8d8d8", "free");
    y = legend(out, x, y, "#f2f2f2", "free, memory given back or never used");
    legend(out, x, y, "#888888", "marks and block headers");
}

static void legend_classes(FILE *out, double x, double y)
{
    for (unsigned size = 32; size <= 32768; size *= 4) {
        struct block b = {.what = CELLS, .cell = size};
        char colour[16], words[32];
        class_colour(&b, colour);
        snprintf(words, sizeof words, "cells of %u bytes", size);
        y = legend(out, x, y, colour, words);
    }
    legend(out, x, y, "#440154", "large object");
}

static void legend_pages(FILE *out, const struct map *map, double x, double y)
{
    for (int n = 0; n < map->nodes && n < 8; n++) {
        char words[48];
        bool seen = false;
        for (int before = 0; before < n; before++) /* fake nodes share one */
            seen |= map->node[before].os_node == map->node[n].os_node;
        snprintf(words, sizeof words, "on the system's node %d", map->node[n].os_node);
        if (!seen)
            y = legend(out, x, y, node_colour[map->node[n].os_node % 8], words);
    }
    y = legend(out, x, y, "#ff0000", "red foot: not the node it belongs to");
    y = legend(out, x, y, "#ff00aa", "on several nodes");
    y = legend(out, x, y, "#ffffff", "not resident");
    legend(out, x, y, "#aaaaaa", "not known");
}

static double panel_x(int view)
{
    return LEFT + view * (PANEL_W + GAP);
}

/* A node's rows in all views; returns where the next begins. */
static double draw_node(FILE *out, const struct node *node, double y, size_t most)
{
    char words[160];
    size_t rows = node->rows < most ? node->rows : most;
    int length =
        snprintf(words, sizeof words,
                 "node %d (system's %d): %zu chunks, %.1f MB in use, %.1f MB live", node->number,
                 node->os_node, node->rows, (double)node->used / 16, (double)node->live / 1048576);
    if (rows < node->rows)
        snprintf(words + length, sizeof words - (size_t)length, "; %zu chunks are not shown",
                 node->rows - rows);
    text(out, 10, y + 12, "font-weight=\"bold\"", words);
    y += 20;
    for (size_t r = 0; r < rows; r++, y += ROW_H) {
        snprintf(words, sizeof words, "%" PRIx64, node->row[r].address >> 22);
        text(out, LEFT - 6, y + 9, "text-anchor=\"end\" fill=\"#777777\" font-size=\"9\"", words);
        for (int view = 0; view < VIEWS; view++)
            for (int b = 0; b < BLOCKS; b++)
                draw_block(out, &node->row[r].block[b], view, panel_x(view) + b * CELL_W, y,
                           node->os_node);
    }
    return y + 14;
}

static void draw(FILE *out, const struct map *map, size_t most)
{
    static const char *const title[] = {"kind", "size class", "age", "residency"};
    double width = panel_x(VIEWS), height = TOP + 150, y = TOP;
    for (int n = 0; n < map->nodes; n++)
        height += 34 + (double)(map->node[n].rows < most ? map->node[n].rows : most) * ROW_H;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n",
            width, height);
    rectangle(out, 0, 0, width, height, "#fcfcfc");
    text(out, 10, 18, "font-size=\"14\"",
         "hearth heap map: a row is a chunk of 4 MiB (its address / 4 MiB), a cell a block of 64 "
         "KiB");
    for (int view = 0; view < VIEWS; view++)
        text(out, panel_x(view), 40, "font-size=\"13\" font-weight=\"bold\"", title[view]);
    for (int n = 0; n < map->nodes; n++)
        y = draw_node(out, &map->node[n], y, most);
    legend_kinds(out, panel_x(0), y + 10);
    legend_classes(out, panel_x(1), y + 10);
    for (int i = 0; i < 4; i++)
        legend(out, panel_x(2), y + 10 + i * 15, age_colour[i], age_name[i]);
    legend(out, panel_x(2), y + 70, "#eeeeee", "free");
    legend_pages(out, map, panel_x(3), y + 10);
    fprintf(out, "</svg>\n");
}

/* --- the program -------------------------------------------------------------------------------------- */

static bool write_svg(const char *path, const struct map *map, size_t rows)
{
    FILE *out = path != NULL ? fopen(path, "w") : stdout;
    if (out != NULL)
        draw(out, map, rows);
    if (out == NULL || fflush(out) != 0 || ferror(out) || (path != NULL && fclose(out) != 0)) {
        fprintf(stderr, "hearth-heapmap: %s: %s\n", path != NULL ? path : "standard output",
                strerror(errno));
        return false;
    }
    return true;
}

/* By way of an SVG beside it. */
static bool write_png(const char *path, const struct map *map, size_t rows)
{
    char svg[4096];
    int status = -1;
    if ((size_t)snprintf(svg, sizeof svg, "%s.svg", path) >= sizeof svg ||
        !write_svg(svg, map, rows))
        return false;
    pid_t child = fork();
    if (child == 0) {
        execlp("rsvg-convert", "rsvg-convert", "--output", path, svg, (char *)NULL);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    unlink(svg);
    if (child < 0 || status != 0)
        fprintf(stderr, "hearth-heapmap: %s: %s\n", path,
                child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127
                    ? "PNG needs rsvg-convert (Debian: librsvg2-bin); SVG does not"
                    : "rsvg-convert failed");
    return child > 0 && status == 0;
}

struct arguments {
    const char *map, *output, *answer;
    size_t rows;
};

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.rows = 64};
    for (int i = 1; i < argc && argv[i] != NULL; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--help") == 0) {
            a->answer = usage;
        } else if (strcmp(word, "--version") == 0) {
            a->answer = HEARTH_VERSION "\n";
        } else if (strcmp(word, "--output") == 0 && value != NULL) {
            a->output = argv[++i];
        } else if (strcmp(word, "--rows") == 0 && value != NULL) {
            a->rows = strtoul(argv[++i], NULL, 10);
            if (a->rows < 1 || a->rows > 4096) {
                fprintf(stderr, "hearth-heapmap: --rows: '%s' is no number from 1 to 4096\n",
                        value);
                return false;
            }
        } else if (word[0] == '-' || a->map != NULL) {
            fprintf(stderr, "hearth-heapmap: what is '%s'?\n%s", word, usage);
            return false;
        } else {
            a->map = word;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct map map;
    struct arguments a;
    if (!read_arguments(argc, argv, &a))
        return 2;
    if (a.answer != NULL)
        return fputs(a.answer, stdout) < 0 || fflush(stdout) != 0;
    FILE *file = a.map != NULL ? fopen(a.map, "r") : stdin;
    if (file == NULL) {
        fprintf(stderr, "hearth-heapmap: %s: %s\n", a.map, strerror(errno));
        return 1;
    }
    size_t length = a.output != NULL ? strlen(a.output) : 0;
    bool png = length > 4 && strcmp(a.output + length - 4, ".png") == 0;
    bool good = read_map(file, &map) &&
                (png ? write_png(a.output, &map, a.rows) : write_svg(a.output, &map, a.rows));
    for (int n = 0; n < map.nodes; n++)
        free(map.node[n].row);
    if (file != stdin)
        fclose(file);
    return good ? 0 : 1;
}
