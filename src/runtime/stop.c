#include "pm/runtime/stop.h"

#include "pm/base/clock.h"
#include "pm/base/error.h"
#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const double look_interval_seconds = 1.0, echo_seconds = 1.0;

/* When the first signal came, in pm_clock_seconds; 0: none has. Written by the handler, in
   whichever thread it runs, so atomic where sig_atomic_t would do for one thread only. */
static _Atomic double first_signal_seconds;

static void handle(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    double now = pm_clock_seconds(), none = 0.0;
    if (!atomic_compare_exchange_strong(&first_signal_seconds, &none, now) &&
        now - none > echo_seconds)
        _exit(PM_EXIT_UNFINISHED);
    errno = saved;
}

void pm_stop_init(struct pm_stop *stop, const char *halt_file, double limit_seconds)
{
    PM_ASSERT(limit_seconds >= 0.0);
    double now = pm_clock_seconds();
    stop->halt_file = halt_file;
    stop->deadline_seconds = limit_seconds > 0.0 ? now + limit_seconds : INFINITY;
    atomic_init(&stop->look_seconds, now);
    atomic_init(&stop->reason, NULL);

    /* restarting: an interrupted read or write of a file must not fail for a signal */
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &action, NULL) != 0)
            pm_die("cannot catch signal %d: %s", signals[i], strerror(errno));
}

static bool halt_file_exists(struct pm_stop *stop, double now)
{
    if (!stop->halt_file || now < atomic_load(&stop->look_seconds)) return false;
    atomic_store(&stop->look_seconds, now + look_interval_seconds);
    return access(stop->halt_file, F_OK) == 0;
}

bool pm_stop_requested(struct pm_stop *stop)
{
    if (atomic_load(&stop->reason)) return true;
    double now = pm_clock_seconds();
    const char *reason = NULL;
    if (atomic_load(&first_signal_seconds) > 0.0)
        reason = "a signal came";
    else if (now >= stop->deadline_seconds)
        reason = "the time limit is reached";
    else if (halt_file_exists(stop, now))
        reason = "the halt file is there";
    if (reason) atomic_store(&stop->reason, reason); /* never over another thread's */
    return reason != NULL;
}

double pm_stop_seconds_left(const struct pm_stop *stop)
{
    return fmax(stop->deadline_seconds - pm_clock_seconds(), 0.0);
}

const char *pm_stop_reason(const struct pm_stop *stop)
{
    return atomic_load(&stop->reason);
}
