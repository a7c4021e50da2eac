/** @file scenes_model.h  models/scenes and what an edit of it needs, loaded once for a test program. */
#ifndef SCENES_MODEL_H
#define SCENES_MODEL_H
#include "pm/diffusion/schedule.h"
#include "pm/model/model.h"

extern struct pm_model model;
extern struct pm_schedule ddim, pndm;
extern struct pm_arena scratch; /* NaN, so that memory read unwritten is seen */

/** For the setup of a group of tests, which free_scenes undoes. OpenMP gets one thread: more only wait
 *  for each other at this size. @param steps  of the schedules, at least 2 @return 0, or -1: it is said why */
int load_scenes(size_t steps);
int free_scenes(void **state);
#endif
