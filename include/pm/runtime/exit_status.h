/** @file exit_status.h  What the program's exit status says, to people and to batch scripts.
 *
 *  All ranks end with the same status, so that mpirun and srun pass it on. */
#ifndef PM_RUNTIME_EXIT_STATUS_H
#define PM_RUNTIME_EXIT_STATUS_H
#include "pm/base/error.h" /* PM_EXIT_MACHINE, 70: the machine failed; mend it, then run again */

enum {
    PM_EXIT_DONE = 0,        /* everything asked for is there */
    PM_EXIT_INPUT = 1,       /* bad input or usage; nothing was computed */
    PM_EXIT_SOME_FAILED = 2, /* finished, but some edits failed; the store says which and why */
    PM_EXIT_UNFINISHED = 85, /* told to stop before the end: run the same command again */
};
#endif
