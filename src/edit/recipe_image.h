/** @file recipe_image.h  The part of a recipe that is about real pictures; recipe.c calls it. */
#ifndef PM_EDIT_RECIPE_IMAGE_H
#define PM_EDIT_RECIPE_IMAGE_H
#include "pm/edit/recipe.h"

/** Keys that mean something only beside "image". Ends with NULL. */
extern const char *const pm_recipe_image_keys[];

/** Fill in what a line with an image leaves out. */
void pm_recipe_image_resolve(json_t *line);

PM_MUST_CHECK bool pm_recipe_image_read(struct pm_image_recipe *out, const json_t *line,
                                        const char *where, struct pm_error *err);

/** A target's "restore". */
void pm_recipe_restore_resolve(json_t *target);
PM_MUST_CHECK bool pm_recipe_restore_read(struct pm_target_recipe *out, const json_t *target,
                                          const char *where, struct pm_error *err);
#endif
