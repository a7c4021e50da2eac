#include "pm/runtime/progress.h"

#include "pm/base/clock.h"
#include "pm/base/error.h"
#include "pm/base/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SPAN_BYTES = 48, DEFAULT_COLUMNS = 80 };
static const double first_interval_seconds = 10.0, longest_interval_seconds = 60.0;
static const double interval_growth = 1.5;

void pm_progress_init(struct pm_progress *progress, size_t total, double total_cost)
{
    *progress = (struct pm_progress){
        .total = total,
        .total_cost = total_cost,
        .start_seconds = pm_clock_seconds(),
        .line_seconds = first_interval_seconds,
        .interval_seconds = first_interval_seconds,
        .terminal = isatty(STDERR_FILENO), /* mpirun makes stdout one even when it is a file */
    };
}

void pm_progress_add(struct pm_progress *progress, size_t done, size_t failed, double cost)
{
    progress->done += done;
    progress->failed += failed;
    progress->finished_cost += cost;
}

/* Two units at most, each rounded: "45 s", "9 min", "3 h 20 min", "2 d 5 h". */
static void format_span(char text[SPAN_BYTES], double seconds)
{
    double minutes = round(seconds / 60.0), hours = round(seconds / 3600.0);
    if (round(seconds) < 60.0)
        snprintf(text, SPAN_BYTES, "%.0f s", round(seconds));
    else if (minutes < 60.0)
        snprintf(text, SPAN_BYTES, "%.0f min", minutes);
    else if (fmod(minutes, 60.0) == 0.0 && minutes < 24.0 * 60.0)
        snprintf(text, SPAN_BYTES, "%.0f h", minutes / 60.0);
    else if (minutes < 24.0 * 60.0)
        snprintf(text, SPAN_BYTES, "%.0f h %.0f min", floor(minutes / 60.0), fmod(minutes, 60.0));
    else if (fmod(hours, 24.0) == 0.0)
        snprintf(text, SPAN_BYTES, "%.0f d", hours / 24.0);
    else
        snprintf(text, SPAN_BYTES, "%.0f d %.0f h", floor(hours / 24.0), fmod(hours, 24.0));
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

void pm_progress_format(char *text, size_t size, const struct pm_progress *progress,
                        double elapsed_seconds)
{
    PM_ASSERT(size > 0);
    size_t finished = progress->done + progress->failed;
    int digits = snprintf(NULL, 0, "%zu", progress->total);
    text[0] = '\0';
    append(text, size, "%*zu/%zu edit%s", digits, finished, progress->total,
           progress->total == 1 ? "" : "s");
    if (progress->failed > 0) append(text, size, ", %zu failed", progress->failed);
    if (finished == 0 || !(elapsed_seconds > 0.0)) return;

    double rate = (double)finished / elapsed_seconds * 3600.0;
    append(text, size, ", %.*f edits/h", rate < 9.95 ? 1 : 0, rate);

    char span[SPAN_BYTES];
    if (finished >= progress->total) {
        format_span(span, elapsed_seconds);
        append(text, size, ", took %s", span);
        return;
    }
    double left = fmax(0.0, progress->total_cost - progress->finished_cost);
    double left_seconds = left / progress->finished_cost * elapsed_seconds;
    if (!isfinite(left_seconds)) return; /* what is finished was free: nothing to go by */
    format_span(span, left_seconds);
    append(text, size, ", %s left", span);
}

/* The cursor is left at the start of the line, so that a log line writes over it. */
static void rewrite_line(const char *text)
{
    struct winsize window;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    int columns = known ? window.ws_col : DEFAULT_COLUMNS;
    fprintf(stderr, "\r%.*s\033[K\r", columns - 1, text);
    fflush(stderr);
}

void pm_progress_print(struct pm_progress *progress)
{
    char text[PM_PROGRESS_BYTES];
    double elapsed = pm_clock_seconds() - progress->start_seconds;
    pm_progress_format(text, sizeof text, progress, elapsed);
    if (progress->terminal) {
        rewrite_line(text);
    } else if (elapsed >= progress->line_seconds) {
        pm_log(PM_LOG_INFO, "%s", text);
        progress->line_seconds = elapsed + progress->interval_seconds;
        progress->interval_seconds =
            fmin(interval_growth * progress->interval_seconds, longest_interval_seconds);
    }
}

void pm_progress_finish(struct pm_progress *progress)
{
    char text[PM_PROGRESS_BYTES];
    pm_progress_format(text, sizeof text, progress, pm_clock_seconds() - progress->start_seconds);
    if (progress->terminal) rewrite_line("");
    pm_log(PM_LOG_INFO, "%s", text);
}
