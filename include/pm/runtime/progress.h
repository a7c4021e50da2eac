/** @file progress.h  How far a run is and how long it will take, in one line for people:
 *
 *       37/100 edits, 2 failed, 412 edits/h, 9 min left
 *
 *  On a terminal the line is rewritten in place; into a file or a pipe, which is what stderr is
 *  under mpirun, a log line goes every 10 s at first and every minute later. Time left is what
 *  the remaining cost takes at the rate so far; so a long edit may cost more than a short one.
 *
 *  For one rank. Not thread-safe: the queue's callbacks (reported, tick) may call it, or the
 *  main thread before and after. */
#ifndef PM_RUNTIME_PROGRESS_H
#define PM_RUNTIME_PROGRESS_H
#include <stdbool.h>
#include <stddef.h>

struct pm_progress {
    size_t total, done, failed;            /* edits that this run has to do, did, could not do */
    double total_cost, finished_cost;      /* in any unit, as UNet passes; failed ones count too */
    double start_seconds;                  /* pm_clock_seconds */
    double line_seconds, interval_seconds; /* next log line after the start, next one after it */
    bool terminal;                         /* stderr is one */
};

enum { PM_PROGRESS_BYTES = 160 }; /* enough for every line */

/** Begin, with nothing done. The clock starts here. */
void pm_progress_init(struct pm_progress *progress, size_t total, double total_cost);

/** Count @p done and @p failed more edits, which were estimated to cost @p cost. */
void pm_progress_add(struct pm_progress *progress, size_t done, size_t failed, double cost);

/** Show the line, if it is time for one. To be called a few times a second, or not at all by
 *  who wants silence: a terminal's line does not ask the log level. */
void pm_progress_print(struct pm_progress *progress);

/** Clear the terminal's line and log the last one. */
void pm_progress_finish(struct pm_progress *progress);

/** The line itself. There is no rate before something is finished, and when everything is, the
 *  time it took stands for the time left. @param text  [size] output, cut when too small */
void pm_progress_format(char *text, size_t size, const struct pm_progress *progress,
                        double elapsed_seconds);
#endif
