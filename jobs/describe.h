/** @file describe.h  Edits, and what a store keeps of them, in words, for people. */
#ifndef DESCRIBE_H
#define DESCRIBE_H
#include "pm/data/store.h"
#include "pm/edit/recipe.h"

enum { DESCRIBE_BYTES = 512 };

/** "replace · cross 0.8 · self 0.4 · red ×2 · blend ball→cube". Cut where it would be too long. */
void describe_target(char text[DESCRIBE_BYTES], const struct pm_target_recipe *target);

/** What a store of this shape keeps of each picture, to stdout: a line for pictures and latents, one for each
 *  dataset of attention maps. */
void describe_print_kept(const struct pm_store_shape *shape);

/** The recipe that a store holds. @return true, *out owned by the caller (pm_recipe_free) */
PM_MUST_CHECK bool describe_read_recipe(struct pm_recipe *out, const char *json, const char *id,
                                        struct pm_error *err);
#endif
