/** @file config_options.h  The arguments of the verbs that take a config: CONFIG and the flags that
 *  override it. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H
#include "pm/base/log.h"
#include "pm/data/config.h"

enum { MAX_OVERRIDES = 32 };

struct config_options {
    const char *config_path;
    struct pm_config_override overrides[MAX_OVERRIDES];
    size_t override_count;
    enum pm_log_level log_level;
    bool retries_failed; /* --retry-failed */
};

/** Is --help among the arguments? Known without MPI, which takes its time to start. */
bool config_options_ask_for_help(int argc, char **argv);

/** Parse with argp. On wrong usage, prints it (if @p speaks: one rank is enough) and returns
 *  false; --help prints and sets *helped. */
bool config_options_parse(struct config_options *out, int argc, char **argv, const char *doc,
                          bool speaks, bool *helped);
#endif
