/** @file info_print.h  What `promptmill info` tells of a model that will run. */
#ifndef INFO_PRINT_H
#define INFO_PRINT_H
#include "run_plan.h"

/** @param model     measured
 *  @param config    of a run with it that says no more than the sizes
 *  @param settings  that come of it */
void info_print(const struct pm_model *model, const struct pm_config *config,
                const struct pm_edit_settings *settings);
#endif
