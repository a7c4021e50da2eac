/** @file lock.h  One run at a time on a store, without a person who has to clear up.
 *
 *  The lock is a small file beside the store that names its holder and that the holder rewrites
 *  every few seconds, in a thread of its own. Whoever finds one and is on the same host looks at
 *  the process; on another host he waits to see whether the lock changes: if not, its holder is
 *  dead, and the lock is taken over. So no clocks are compared and any number of hosts may share
 *  the file system.
 *
 *  A holder that was stopped for longer than silent_seconds finds its lost lock when it goes on. */
#ifndef PM_RUNTIME_LOCK_H
#define PM_RUNTIME_LOCK_H
#include "pm/base/error.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

enum { PM_LOCK_TEXT_BYTES = 256 };

/** Must stay where it is while it is held. All zero: not held. */
struct pm_lock {
    char path[PATH_MAX];
    char holder[PM_LOCK_TEXT_BYTES]; /* what the file begins with while it is ours */
    double beat_seconds;
    pthread_t thread; /* rewrites the file */
    atomic_bool is_held, is_lost;
};

struct pm_lock_times {
    double beat_seconds;   /* a holder rewrites its lock so often */
    double silent_seconds; /* a lock unchanged for so long is of a dead run */
};

/** 5 s and 20 s. */
struct pm_lock_times pm_lock_times_default(void);

/** Take the lock at @p path. May wait silent_seconds, said in a log line.
 *  @return true: pm_lock_release gives it back; false with PM_E_INPUT when another run holds it
 *  (err names host and process), PM_E_IO when the file cannot be written */
PM_MUST_CHECK bool pm_lock_take(struct pm_lock *lock, const char *path, struct pm_lock_times times,
                                struct pm_error *err);

/** @return true when another run has taken the lock over, since this one was stopped for too long.
 *  Any thread may ask. */
bool pm_lock_is_lost(struct pm_lock *lock);

/** Give it back, if it is still ours. Nothing happens where it is not held. */
void pm_lock_release(struct pm_lock *lock);
#endif
