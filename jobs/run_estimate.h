/** @file run_estimate.h  How long will an edit take? As long as those done took, by what they cost. */
#ifndef RUN_ESTIMATE_H
#define RUN_ESTIMATE_H
#include <stdbool.h>

/** All zero: nothing is done yet. */
struct run_estimate {
    double seconds; /* of all ranks together */
    double cost;    /* UNet samples */
};

void run_estimate_add(struct run_estimate *estimate, double cost, double seconds);

/** Would an edit of this cost end in time? A tenth is added to what those done say; before any is done, the
 *  answer is yes.
 *  @param seconds_left  infinite: there is no deadline */
bool run_estimate_fits(const struct run_estimate *estimate, double cost, double seconds_left);
#endif
