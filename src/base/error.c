#include "pm/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pm_fail(struct pm_error *err, enum pm_error_code code, const char *format, ...)
{
    char text[PM_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (wanted >= (int)sizeof text) {
        /* cut at a character's start, so that the message stays UTF-8 */
        size_t end = sizeof text - sizeof "...";
        while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
        strcpy(text + end, "...");
    }
    err->code = code;
    memcpy(err->message, text, sizeof text);
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
