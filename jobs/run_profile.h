/** @file run_profile.h  Where the time of a run went. */
#ifndef JOBS_RUN_PROFILE_H
#define JOBS_RUN_PROFILE_H

/** Print what pm_profile_start had noted, summed over the ranks, to stdout of rank 0. Collective.
 *  @param seconds  that this rank edited */
void run_profile_print(double seconds);
#endif
