/** @file export_options.h  The arguments of `promptmill export`. */
#ifndef EXPORT_OPTIONS_H
#define EXPORT_OPTIONS_H
#include "export.h"

#include <argp.h>

struct export_arguments {
    const char *format; /* its name */
    export_format *write;
    unsigned given; /* a bit for each of the options that not every format has */
    struct export_options options;
};

struct export_arguments export_arguments_default(void);

/** For verb_run_on_ranks, with a struct export_arguments. */
extern const struct argp export_argp;
#endif
