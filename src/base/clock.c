#include "pm/base/clock.h"

#include "pm/base/error.h"

#include <time.h>

double pm_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

long pm_clock_nap(long nanoseconds, long longest)
{
    PM_ASSERT(0 < nanoseconds && nanoseconds < 1000000000);
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
    return nanoseconds < longest / 2 ? 2 * nanoseconds : longest;
}
