/** @file run_image.h  The real picture of an item: read, fitted, inverted, and judged. */
#ifndef RUN_IMAGE_H
#define RUN_IMAGE_H
#include "run_store.h"

/** A real picture in a rank's hands. */
struct run_image {
    struct pm_real_image real;
    struct pm_store_inversion_key key; /* of its inversion */
    double psnr;                       /* of its reconstruction, once it is judged */
};

/** How a recipe wants its picture, and its mask, cut and resized. */
struct pm_image_fit run_image_fit(const struct pm_image_recipe *image);

/** Read and fit a real picture. @param pixels  [height, width, 3] of the run's pictures
 *  @param image  whose path is seen from the manifest's folder */
PM_MUST_CHECK bool run_image_load(unsigned char *pixels, const struct pm_config *config,
                                  const struct pm_edit_settings *settings,
                                  const struct pm_image_recipe *image, struct pm_error *err);

/** @param recipe  has an image, whose path is seen from the manifest's folder
 *  @return true, *out in the run's scratch; false: the picture cannot be used, and nothing is taken
 *  from the scratch */
PM_MUST_CHECK bool run_image_open(struct run_image *out, struct run *run,
                                  const struct pm_recipe *recipe,
                                  const struct pm_prepared *prepared, struct pm_error *err);

/** Measure how near the reconstruction came to the picture, and log it, as a warning where the
 *  inversion failed. @param reconstruction  [height, width, 3] */
void run_image_judge(struct run_image *image, const struct run *run, const struct pm_recipe *recipe,
                     const unsigned char *reconstruction);

/** What the store keeps of the picture beside its source's entry, into that entry's payload. */
void run_image_payload(struct pm_store_payload *payload, const struct run_image *image,
                       const struct pm_store_shape *shape);
#endif
