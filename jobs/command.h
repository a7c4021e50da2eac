/** @file command.h  Another program, without a shell. */
#ifndef COMMAND_H
#define COMMAND_H
#include "pm/base/error.h"

#include <stddef.h>

/** What a command did. */
struct command_result {
    char *output; /* of its stdout, at most 1 MiB; owned (free) */
    int status;   /* its exit status; 128 + the signal that ended it */
};

struct command_options {
    double seconds;    /* it is killed after so long; 0: never */
    bool hides_errors; /* its stderr is thrown away; else it is ours */
};

/** Run a program, found along PATH, and wait for it.
 *  @param arguments  its name first; ends with NULL
 *  @return true when it has ended, whatever its status; false when it could not be started or had to
 *  be killed: err says which */
PM_MUST_CHECK bool command_run(struct command_result *out, const char *const *arguments,
                               const struct command_options *options, struct pm_error *err);

/** Print a command as a person would type it into a shell. */
void command_print(const char *const *arguments);

/** A list of arguments that grows. All zero: empty. */
struct command_list {
    char **arguments; /* owned; ends with NULL once there is one */
    size_t count;
};

/** Append a copy, printf-like. */
void command_add(struct command_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void command_list_free(struct command_list *list);
#endif
