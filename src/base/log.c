#include "pm/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
    enum pm_log_level level;
    int rank, ranks;
} log_state = {PM_LOG_INFO, 0, 1};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void pm_log_init(enum pm_log_level level, int rank, int ranks)
{
    log_state.level = level;
    log_state.rank = rank;
    log_state.ranks = ranks;
}

void pm_log(enum pm_log_level level, const char *format, ...)
{
    if (level > log_state.level) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
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
