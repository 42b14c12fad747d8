/* examples/lisp/main.c - runs files of expressions, or reads them from standard input.
 *
 * usage: lisp [FILE...]
 * Without files every value is printed. Status 1 at the first error in a file. */
#include "lisp.h"

#include <stdlib.h>

static char *slurp(FILE *file)
{
    size_t length = 0, room = 4096;
    char *text = malloc(room);
    while (text != NULL) {
        length += fread(text + length, 1, room - length - 1, file);
        if (length < room - 1)
            break;
        char *more = realloc(text, room *= 2);
        if (more == NULL)
            free(text);
        text = more;
    }
    if (text != NULL)
        text[length] = '\0';
    return text;
}

static bool run(struct lisp *l, const char *text, bool shows)
{
    l->at = text;
    for (;;) {
        value expression = lisp_read(l);
        if (expression == NULL && l->error[0] == '\0')
            return true;
        value result = expression != NULL ? lisp_eval(l, expression, NIL) : NULL;
        if (result == NULL) {
            fprintf(stderr, "error: %s\n", l->error);
            return false;
        }
        if (shows) {
            lisp_print(result, stdout);
            putchar('\n');
        }
    }
}

static bool run_file(struct lisp *l, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = file != NULL ? slurp(file) : NULL;
    if (file != NULL)
        fclose(file);
    if (text == NULL)
        fprintf(stderr, "%s cannot be read\n", path);
    bool fine = text != NULL && run(l, text, false);
    free(text);
    return fine;
}

int main(int count, char **argument)
{
    struct lisp l;
    if (!lisp_start(&l, NULL)) {
        fprintf(stderr, "error: %s\n", l.error);
        return 1;
    }
    bool fine = true;
    for (int i = 1; i < count && fine; i++)
        fine = run_file(&l, argument[i]);
    if (count == 1) {
        char *text = slurp(stdin);
        fine = text != NULL && run(&l, text, true);
        free(text);
    }
    lisp_end(&l);
    return fine ? 0 : 1;
}
