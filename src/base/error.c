#include "pm/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Inside a character of UTF-8. */
static bool is_inside(const char *at)
{
    return ((unsigned char)*at & 0xC0) == 0x80;
}

/* Where something went wrong is at a sentence's begin, why at its end: what has no room loses its middle. */
static void copy_or_cut(char out[PM_ERROR_BYTES], const char *sentence)
{
    enum { HEAD = PM_ERROR_BYTES / 2, TAIL = PM_ERROR_BYTES - HEAD - (int)sizeof "..." };
    size_t length = strlen(sentence), head = HEAD;
    if (length < PM_ERROR_BYTES) {
        memcpy(out, sentence, length + 1);
        return;
    }
    const char *tail = sentence + length - TAIL;
    while (head > 0 && is_inside(sentence + head)) head--;
    while (is_inside(tail)) tail++;
    snprintf(out, PM_ERROR_BYTES, "%.*s...%s", (int)head, sentence, tail);
}

bool pm_fail(struct pm_error *err, enum pm_error_code code, const char *format, ...)
{
    char *sentence;
    va_list args;
    va_start(args, format);
    if (vasprintf(&sentence, format, args) < 0)
        pm_die("no memory to say what is wrong: %s", format);
    va_end(args);
    err->code = code;
    copy_or_cut(err->message, sentence);
    free(sentence);
    return false;
}

_Noreturn void pm_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: bug: expected %s\n", file, line, what);
    abort();
}

void pm_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("promptmill: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    fflush(stdout);
    _exit(PM_EXIT_MACHINE); /* at once: HDF5 and MPI, closed in order, would wait for other ranks */
}
