/** @file stop.h  When to stop before the work is done: a signal, a time limit, a halt file.
 *
 *  A first SIGINT, SIGTERM or SIGUSR1 means: finish the edits in hand, hand out nothing more,
 *  exit with PM_EXIT_UNFINISHED. A second means: exit at once, with the same status; the store
 *  loses only the edits in hand. Signals within a second of the first are taken for its echoes,
 *  since a batch system may send one both to the launcher, which passes it on, and to the ranks.
 *
 *  Use SIGUSR1 under mpirun: it passes that on, but answers SIGTERM and SIGINT by killing the
 *  ranks a second later. Slurm sends it by `#SBATCH --signal=B:USR1@SECONDS`. */
#ifndef PM_RUNTIME_STOP_H
#define PM_RUNTIME_STOP_H
#include <stdatomic.h>
#include <stdbool.h>

struct pm_stop {
    const char *halt_file;        /* NULL: none; borrowed */
    double deadline_seconds;      /* pm_clock_seconds; infinite: none */
    _Atomic double look_seconds;  /* when to look for the halt file again */
    _Atomic(const char *) reason; /* "the time limit is reached"; NULL: go on */
};

/** Catch the signals, from now on. To be called after MPI is started, which has its own handlers.
 *  One is enough for a rank. A halt file that is there already stops the run at once.
 *  @param halt_file       stop when a file of this name exists; NULL: none. Rank 0 should be the
 *                         only one to look, for the file system's sake
 *  @param limit_seconds   stop that long after this call; 0: no limit. An edit in hand is still
 *                         finished, so leave time for the longest */
void pm_stop_init(struct pm_stop *stop, const char *halt_file, double limit_seconds);

/** @return true, once and for all, when there is a reason to stop. Cheap: looks for the file once
 *  a second at most. Any thread may ask. */
bool pm_stop_requested(struct pm_stop *stop);

/** @return until the time limit is reached; infinite without one, never below 0 */
double pm_stop_seconds_left(const struct pm_stop *stop);

/** @return why, to follow "stopping: "; NULL as long as there is no reason */
const char *pm_stop_reason(const struct pm_stop *stop);
#endif
