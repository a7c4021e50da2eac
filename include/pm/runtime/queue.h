/** @file queue.h  Who computes what: one list of items, handed out one at a time.
 *
 *      struct pm_queue *queue = pm_queue_open(comm, items, count, &callbacks);
 *      struct pm_work work;
 *      while (pm_queue_next(queue, &work)) {
 *          ...
 *          pm_queue_report(queue, &(struct pm_work_result){.index = work.index, .done = 1});
 *      }
 *      pm_queue_close(queue);
 *
 *  Rank 0 owns the list; a manager thread beside its own computing answers every rank, rank 0
 *  too, by messages. So an answer takes milliseconds however long rank 0's own item takes,
 *  which a counter in one-sided memory cannot promise: without asynchronous progress it is
 *  served only when rank 0 next calls MPI. All who wait sleep.
 *
 *  Threads: MPI_THREAD_MULTIPLE is needed. A queue's functions are called by one thread a rank.
 *  The callbacks run in the manager thread, one at a time: what they touch must not be touched
 *  elsewhere between open and close, and they must not call HDF5. */
#ifndef PM_RUNTIME_QUEUE_H
#define PM_RUNTIME_QUEUE_H
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

struct pm_queue;

/** An item in the hand of a rank. */
struct pm_work {
    size_t index;     /* as in the list given to pm_queue_open */
    const char *text; /* [bytes] what rank 0 says of it, a '\0' behind; owned by the queue, which
                         keeps it until the next pm_queue_next or pm_queue_close */
    size_t bytes;
};

/** What became of an item. */
struct pm_work_result {
    size_t index;
    size_t done, failed; /* targets */
    double seconds;      /* spent on it */
};

/** Rank 0's side. All but payload may be NULL. */
struct pm_queue_callbacks {
    void *self; /* handed to each; borrowed */
    /** Set *text to what the rank that gets item @p index is to know, at most INT_MAX bytes, from
     *  malloc; the queue frees it. NULL will do for 0 bytes. Called as the item is handed out. */
    void (*payload)(void *self, size_t index, char **text, size_t *bytes);
    /** A result has arrived. */
    void (*reported)(void *self, const struct pm_work_result *result);
    /** @return true to hand out nothing more; asked before each item, not again once true */
    bool (*stop)(void *self);
    /** @return true to pass over an item, which nobody will get; asked once, before it would be
     *  handed out */
    bool (*skips)(void *self, size_t index);
    /** Items that a rank is given before others, as long as there are any: those of its group. The
     *  groups are 0 .. groups - 1; 0 groups: none, and the next two are not called. */
    size_t groups;
    size_t (*item_group)(void *self, size_t index);
    size_t (*rank_group)(void *self, int rank);
    /** Called about five times a second, also while nothing else happens. */
    void (*tick)(void *self);
};

/** Start handing out. Collective over @p comm, of which a duplicate is taken.
 *  @param items      [count] what to hand out, in that order, so the dearest first; borrowed until
 *                    close. Rank 0's counts; other ranks may give NULL and 0
 *  @param callbacks  copied; rank 0's counts, NULL elsewhere
 *  @return the queue, owned by the caller until pm_queue_close */
struct pm_queue *pm_queue_open(MPI_Comm comm, const size_t *items, size_t count,
                               const struct pm_queue_callbacks *callbacks);

/** Get the next item, each of the list once and for one rank only. Not collective.
 *  @return false, now and ever after, when there is none left or the queue was stopped */
bool pm_queue_next(struct pm_queue *queue, struct pm_work *work);

/** Tell rank 0 what became of an item. Not collective. */
void pm_queue_report(struct pm_queue *queue, const struct pm_work_result *result);

/** Have nothing more handed out to any rank; items in hand are finished. Not collective. */
void pm_queue_stop(struct pm_queue *queue);

/** Wait for all ranks to come here; by then every report has been handed to `reported`. A rank
 *  may come before it was told that nothing is left: the others do the rest. Collective. */
void pm_queue_close(struct pm_queue *queue);
#endif
