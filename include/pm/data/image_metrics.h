/** @file image_metrics.h  How far a picture is from another: MSE, PSNR and SSIM, over all of it and
 *  over the edited and the unedited part.
 *
 *  Of a part there are two conventions. PIE-Bench's, under its names (`psnr_unedit_part`): both
 *  pictures are multiplied by the part's mask and compared as a whole, so that zeros outside count
 *  as equal; a small part looks better than it is. And the mean over the part's own pixels
 *  (`psnr_outside_mask`). They are not comparable with each other. */
#ifndef PM_DATA_IMAGE_METRICS_H
#define PM_DATA_IMAGE_METRICS_H
#include <stddef.h>
#include <stdint.h>

enum pm_image_metric {
    PM_MSE,
    PM_PSNR,
    PM_SSIM,
    PM_MSE_EDIT_PART, /* PIE-Bench: times the mask */
    PM_PSNR_EDIT_PART,
    PM_SSIM_EDIT_PART,
    PM_MSE_UNEDIT_PART, /* PIE-Bench: times 1 - mask */
    PM_PSNR_UNEDIT_PART,
    PM_SSIM_UNEDIT_PART,
    PM_MSE_INSIDE_MASK,
    PM_PSNR_INSIDE_MASK,
    PM_SSIM_INSIDE_MASK,
    PM_MSE_OUTSIDE_MASK,
    PM_PSNR_OUTSIDE_MASK,
    PM_SSIM_OUTSIDE_MASK,
    PM_IMAGE_METRICS
};

/** "mse", "psnr_unedit_part", "ssim_outside_mask", …: what each is called in tables. */
extern const char *const pm_image_metric_names[PM_IMAGE_METRICS];

/** Measure @p image against @p reference, as numbers from 0 to 1 (bytes / 255).
 *
 *  MSE is the mean over pixels and colours; PSNR is -10 log10(MSE) in dB, infinite where the two
 *  are equal. SSIM is Wang et al. 2004 with a Gaussian window of 11x11, sigma 1.5, K1 = .01, K2 = .03,
 *  without the sample correction, each colour by itself, over the windows that lie wholly in the
 *  picture. It belongs to a part by its window's centre.
 *
 *  NaN where there is nothing to measure: a part that is empty, or everything about parts when
 *  there is no mask; SSIM, where no whole window has its centre there.
 *  @param out    [PM_IMAGE_METRICS]
 *  @param image, reference  [height, width, 3]
 *  @param mask   [height, width]  not 0 is edited; NULL: none
 *  Source: torchmetrics (PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure, data_range 1) as
 *  PnPInversion's matrics_calculator.py uses it, up to version 1.4; from 1.5 on it counts windows
 *  that reach over the picture's edge, mirrored. scikit-image's structural_similarity with
 *  gaussian_weights and without use_sample_covariance gives the same as we do. */
void pm_image_measure(double out[PM_IMAGE_METRICS], const uint8_t *image, const uint8_t *reference,
                      const uint8_t *mask, size_t height, size_t width);
#endif
