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
    /* CONFIG_RUN */
    bool retries_failed;    /* --retry-failed */
    const char *log_folder; /* --log-folder; NULL: none */
    bool profiles;          /* --profile-time */
    /* CONFIG_GET */
    const char *key; /* --get; NULL: all */
    /* CONFIG_PLAN */
    const char *shown_id; /* --show; NULL: none */
    /* CONFIG_SUBMIT */
    bool is_dry;        /* --dry-run */
    bool keeps_going;   /* --keep-going */
    const char *script; /* --script; NULL: the one that comes with the program */
    size_t parts;       /* --parts; 0: no array */
    double hours;       /* --hours */
    char **rest;        /* [rest_count] what comes after CONFIG; borrowed from argv */
    size_t rest_count;
};

/** Which flags a verb takes beside those of the config. With CONFIG_SUBMIT, all that comes after
 *  CONFIG is handed out in rest. */
enum config_flags { CONFIG_RUN = 1, CONFIG_GET = 2, CONFIG_SUBMIT = 4, CONFIG_PLAN = 8 };

/** Is --help among the arguments? Known without MPI, which takes its time to start. */
bool config_options_ask_for_help(int argc, char **argv);

/** Parse with argp. On wrong usage, prints it (if @p speaks: one rank is enough) and returns
 *  false; --help prints and sets *helped. @param flags  which the verb takes */
bool config_options_parse(struct config_options *out, int argc, char **argv, const char *doc,
                          unsigned flags, bool speaks, bool *helped);

/** The flag that gives a config's key: "threads" for "limits.threads". */
const char *config_options_flag(const char *key);
#endif
