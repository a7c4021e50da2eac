/** @file run_image.h  The real picture of an item: read, fitted, inverted, and judged. */
#ifndef RUN_IMAGE_H
#define RUN_IMAGE_H
#include "run_store.h"

/** @param recipe  has an image, whose path is seen from the manifest's folder
 *  @return true, *out in the run's scratch; false: the picture cannot be used, and nothing is taken
 *  from the scratch */
PM_MUST_CHECK bool run_image_open(struct pm_real_image *out, struct run *run,
                                  const struct pm_recipe *recipe,
                                  const struct pm_prepared *prepared, struct pm_error *err);

/** Log how near the reconstruction came to the picture, as a warning where the inversion failed.
 *  @param reconstruction  NULL: no pictures are kept */
void run_image_judge(const struct run *run, const char *id, const unsigned char *original,
                     const unsigned char *reconstruction);
#endif
