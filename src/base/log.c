#include "pm/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct {
    enum pm_log_level level;
    int rank, ranks;
    FILE *file; /* NULL: none */
} log_state = {PM_LOG_INFO, 0, 1, NULL};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void pm_log_init(enum pm_log_level level, int rank, int ranks)
{
    log_state.level = level;
    log_state.rank = rank;
    log_state.ranks = ranks;
}

bool pm_log_to_file(const char *path, struct pm_error *err)
{
    PM_ASSERT(!log_state.file);
    log_state.file = fopen(path, "ae");
    if (!log_state.file)
        return pm_fail(err, PM_E_IO, "cannot write the log %s: %s", path, strerror(errno));
    return true;
}

/* "2026-02-28T13:07:41Z warning: ..." */
static void print_to_file(enum pm_log_level level, const char *text)
{
    char moment[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(log_state.file, "%s %s: %s\n", moment, level_names[level], text);
    fflush(log_state.file); /* a rank may be killed at any moment */
}

void pm_log(enum pm_log_level level, const char *format, ...)
{
    if (level > log_state.level) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_state.file) print_to_file(level, text);
    if (log_state.file && level > PM_LOG_WARNING) return;
    const char *mark = level == PM_LOG_WARNING ? "warning: " : "";
    if (log_state.ranks > 1)
        fprintf(stderr, "promptmill[rank %d]: %s%s\n", log_state.rank, mark, text);
    else
        fprintf(stderr, "promptmill: %s%s\n", mark, text);
}

int pm_log_level_from_name(const char *name)
{
    for (int i = 0; i < (int)(sizeof level_names / sizeof *level_names); i++)
        if (strcmp(name, level_names[i]) == 0) return i;
    return -1;
}
