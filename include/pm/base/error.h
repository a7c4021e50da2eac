/** @file error.h  How a function that can fail says so. */
#ifndef PM_BASE_ERROR_H
#define PM_BASE_ERROR_H
#include <stdbool.h>

enum pm_error_code {
    PM_OK,
    PM_E_INPUT,   /* what the user asked for cannot be done */
    PM_E_IO,      /* a file cannot be opened, read or written */
    PM_E_FORMAT,  /* a file is not what it should be */
    PM_E_NUMERIC, /* a computation gave no finite number */
    PM_E_MEMORY,  /* it would take more memory than there is */
};

enum { PM_ERROR_BYTES = 320 };

/** Why a call failed. The caller owns it, on its stack, zeroed with `= {0}`. */
struct pm_error {
    enum pm_error_code code;
    char message[PM_ERROR_BYTES]; /* a whole sentence, ready to print or to store, UTF-8 */
};

#define PM_MUST_CHECK __attribute__((warn_unused_result))

/** Fill @p err and return false: `return pm_fail(err, PM_E_IO, "cannot open %s", path);`
 *  The arguments may include err->message itself. Of a sentence that has no room, as with a long
 *  path, the middle is left out ("..."). */
bool pm_fail(struct pm_error *err, enum pm_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Pass a failure on. Only where nothing needs releasing; otherwise `goto done`. */
#define PM_TRY(call)                                                                               \
    do {                                                                                           \
        if (!(call)) return false;                                                                 \
    } while (0)

/** A broken contract is our bug: say where and abort the job. Never compiled out. */
#define PM_ASSERT(cond) ((cond) ? (void)0 : pm_bug(__FILE__, __LINE__, #cond))
_Noreturn void pm_bug(const char *file, int line, const char *what);

/** The machine failed us (memory, disk, MPI): print the sentence and end the job at once,
 *  with exit status PM_EXIT_MACHINE. Under MPI the launcher ends the other ranks. */
void pm_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
enum { PM_EXIT_MACHINE = 70 };
#endif
