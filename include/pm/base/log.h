/** @file log.h  All printing for people that is not a verb's own answer.
 *
 *  A line is `promptmill: text`, and with more than one rank `promptmill[rank 3]: text`, on
 *  stderr. Not thread-safe beyond what stdio gives: one call writes one whole line. */
#ifndef PM_BASE_LOG_H
#define PM_BASE_LOG_H
#include "pm/base/error.h"

enum pm_log_level { PM_LOG_ERROR, PM_LOG_WARNING, PM_LOG_INFO, PM_LOG_DEBUG };

/** Set once at start. @param rank  shown before each line when @p ranks > 1 */
void pm_log_init(enum pm_log_level level, int rank, int ranks);

/** From now on, every line goes to this file, with its time and level, and to stderr only what is a
 *  warning or an error. What the file holds already is kept. The file stays open to the end.
 *  @return false with PM_E_IO when it cannot be written */
PM_MUST_CHECK bool pm_log_to_file(const char *path, struct pm_error *err);

void pm_log(enum pm_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** @return the level named "error", "warning", "info" or "debug"; -1 for any other name */
int pm_log_level_from_name(const char *name);
#endif
