/** @file plan_show.h  A line of the manifest as a person would draw it: which token takes whose place. */
#ifndef PLAN_SHOW_H
#define PLAN_SHOW_H
#include "run_plan.h"

/** Print its prompts, aligned, and what rules where, for each target that can be done:
 *
 *      edits.jsonl:1  ball-to-cube
 *        targets[0], replace
 *          source  a  red  ball  on  a  meadow
 *                  |  |    :     |   |  |
 *          target  a  red  cube  on  a  meadow
 */
void plan_show_line(const struct run_plan_line *line, const struct pm_edit_settings *settings);
#endif
