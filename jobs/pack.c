/* promptmill pack STORE OUT: a smaller copy of a store. */
#include "store_look.h"
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"
#include "pm/data/store_pack.h"
#include "pm/runtime/exit_status.h"
#include "pm/runtime/lock.h"
#include "pm/runtime/stop.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "\nWrite a compressed copy of a store, to keep or to pass on. It reads like the store itself, "
    "with promptmill, h5py or h5dump, but cannot be written any more. Every checksum is verified "
    "on the way, and each picture that is damaged is named."
    "\vOUT appears when it is whole, or not at all; STORE is never changed, and refused "
    "while a run writes it. Exit status: 0 done, 2 "
    "damage found, 70 OUT cannot be written (a full disk), 85 stopped by a signal.";

static const struct argp_option option_table[] = {
    {"level", 'l', "N", 0, "of gzip, 1 (fast) to 9 (small), default 4", 0},
    {"force", 'f', NULL, 0, "replace OUT if it is there", 0},
    {"keep-going", 'k', NULL, 0, "make OUT though pictures are damaged; they are pending in it", 0},
    {0}};

struct arguments {
    const char *store, *out;
    struct pm_store_pack_options options;
};

/* With ARGP_NO_EXIT, argp_error returns: who calls it must say so with EINVAL. */
static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (flag) {
    case 'l':
        a->options.level = arg[0] >= '1' && arg[0] <= '9' && arg[1] == '\0' ? arg[0] - '0' : 0;
        if (a->options.level > 0) return 0;
        argp_error(state, "--level=%s: a whole number from 1 to 9 is wanted", arg);
        return EINVAL;
    case 'f':
        a->options.replaces = true;
        return 0;
    case 'k':
        a->options.keeps_going = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->out) {
            argp_error(state, "\"%s\": one store and one name for its copy are enough", arg);
            return EINVAL;
        }
        *(a->store ? &a->out : &a->store) = arg;
        return 0;
    case ARGP_KEY_END:
        if (a->out) return 0;
        argp_error(state, "a store and a name for its copy are wanted");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "STORE OUT", .doc = doc};

/* What is seen while it goes on. */
struct watch {
    struct pm_stop stop;
    double start_seconds, shown_seconds;
    bool terminal; /* stderr is one */
};

static void clear_line(const struct watch *watch)
{
    if (watch->terminal) fputs("\r\033[K", stderr);
}

static bool show_progress(void *context, uint64_t bytes_done, uint64_t bytes)
{
    static const double interval_seconds = 0.2;
    struct watch *watch = context;
    double now = pm_clock_seconds(), took = now - watch->start_seconds;
    if (watch->terminal && now - watch->shown_seconds >= interval_seconds) {
        watch->shown_seconds = now;
        fprintf(stderr, "\r%.0f %% of %.1f MB, %.1f MB/s\033[K",
                100.0 * (double)bytes_done / (double)bytes, (double)bytes / 1e6,
                (double)bytes_done / 1e6 / took);
    }
    return !pm_stop_requested(&watch->stop);
}

static void print_damaged(void *context, const struct pm_store *store, size_t entry,
                          const char *why)
{
    clear_line(context);
    store_print_entry("damaged", store, entry, why);
}

static void print_report(const struct arguments *a, const struct pm_store_pack_report *report,
                         double seconds)
{
    if (report->damaged > 0)
        pm_log(PM_LOG_WARNING, "%zu of %zu pictures are damaged; in %s they are pending",
               report->damaged, report->entries, a->out);
    printf("%s: %.2f MB, before %.2f MB, ratio %.2f, %.1f s\n", a->out,
           (double)report->bytes_after / 1e6, (double)report->bytes_before / 1e6,
           (double)report->bytes_before / (double)report->bytes_after, seconds);
}

/* A store that a run is writing is refused, and none begins meanwhile. Where no lock can be made, as in a
 * folder that may only be read, no run is there to make one either. */
static bool take_lock(struct pm_lock *lock, const char *store, struct pm_error *err)
{
    if (store_take_lock(lock, store, err)) return true;
    if (err->code != PM_E_IO || access(lock->path, F_OK) == 0) return false;
    *err = (struct pm_error){0};
    return true;
}

int verb_pack(int argc, char **argv)
{
    struct arguments a = {.options = pm_store_pack_options_default()};
    struct pm_store_pack_report report = {0};
    struct pm_lock lock = {0};
    struct pm_error err = {0};
    if (verb_arguments_help(&argp, argc, argv)) return PM_EXIT_DONE;
    if (!verb_arguments_read(&argp, argc, argv, &a, true)) return PM_EXIT_INPUT;
    struct watch watch = {.start_seconds = pm_clock_seconds(), .terminal = isatty(STDERR_FILENO)};
    pm_stop_init(&watch.stop, NULL, 0.0);
    a.options.damaged = print_damaged;
    a.options.progress = show_progress;
    a.options.context = &watch;
    bool ok =
        take_lock(&lock, a.store, &err) && pm_store_pack(a.store, a.out, &a.options, &report, &err);
    pm_lock_release(&lock);
    clear_line(&watch);
    if (ok) print_report(&a, &report, pm_clock_seconds() - watch.start_seconds);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    if (!ok && pm_stop_reason(&watch.stop)) return PM_EXIT_UNFINISHED;
    if (!ok && err.code == PM_E_IO && report.entries > 0) return PM_EXIT_MACHINE;
    if (report.damaged > 0) return PM_EXIT_SOME_FAILED;
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
