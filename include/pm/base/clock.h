/** @file clock.h  Time that never jumps, and naps for those who wait. */
#ifndef PM_BASE_CLOCK_H
#define PM_BASE_CLOCK_H

/** @return seconds since some fixed moment of this machine, never going back */
double pm_clock_seconds(void);

/** The first nap of a wait, in nanoseconds. */
enum { PM_NAP_FIRST = 10000 };

/** Sleep @p nanoseconds, or less when a signal comes. @return how long to sleep the next time:
 *  twice as long, at most @p longest, so that a short wait ends soon and a long one costs nothing:
 *
 *      long nap = PM_NAP_FIRST;
 *      while (!arrived()) nap = pm_clock_nap(nap, longest); */
long pm_clock_nap(long nanoseconds, long longest);
#endif
