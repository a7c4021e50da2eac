/* promptmill merge OUT STORE...: one store of the parts' stores. */
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/data/store_merge.h"
#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "\nMerge the stores of a run's parts (run --part, submit --parts) into one: the one that a "
    "single run would have made. A store of another run is refused, and so are two that have the "
    "same edit."
    "\vOUT appears when it is whole, or not at all; the others are only read. Exit status: 0 all "
    "done, 2 some edits failed, 85 some are left (parts are missing or not finished), 70 OUT "
    "cannot "
    "be written.";

static const struct argp_option option_table[] = {
    {"force", 'f', NULL, 0, "replace OUT if it is there", 0}, {0}};

struct arguments {
    const char *out;
    const char **stores; /* [count] */
    size_t count;
    bool replaces;
};

/* With ARGP_NO_EXIT, argp_error returns: who calls it must say so with EINVAL. */
static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (flag) {
    case 'f':
        a->replaces = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!a->out)
            a->out = arg;
        else
            a->stores[a->count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (a->count > 0) return 0;
        argp_error(state, "a name for the merged store is wanted, and the stores to merge");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int merge(const struct arguments *a)
{
    struct pm_store_merge_report report;
    struct pm_error err = {0};
    if (!pm_store_merge(a->out, a->stores, a->count, a->replaces, &report, &err)) {
        fprintf(stderr, "promptmill: %s\n", err.message);
        return err.code == PM_E_IO && report.entries > 0 ? PM_EXIT_MACHINE : PM_EXIT_INPUT;
    }
    printf("%s: %zu pictures: %zu done, %zu failed, %zu left\n", a->out, report.entries,
           report.done, report.failed, report.left);
    if (report.left > 0) return PM_EXIT_UNFINISHED;
    return report.failed > 0 ? PM_EXIT_SOME_FAILED : PM_EXIT_DONE;
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "OUT STORE...", .doc = doc};

int verb_merge(int argc, char **argv)
{
    if (verb_arguments_help(&argp, argc, argv)) return PM_EXIT_DONE;
    struct arguments a = {.stores = calloc((size_t)argc + 1, sizeof *a.stores)};
    if (!a.stores) pm_die("no memory for %d arguments", argc);
    bool ok = verb_arguments_read(&argp, argc, argv, &a, true);
    int status = ok ? merge(&a) : PM_EXIT_INPUT;
    free(a.stores);
    return status;
}
