/** @file calibrate.h  What a run's edits cost in time, from a few seconds' measuring. */
#ifndef CALIBRATE_H
#define CALIBRATE_H
#include "pm/edit/edit_image.h"

struct calibration {
    size_t height, width; /* latents that were measured with: the run's, or smaller ones, from which
                               the arithmetic tells the run's */
    double sample_seconds;  /* of the UNet, with the threads of one rank */
    double picture_seconds; /* to decode one; 0 where none is */
};

/** Measure the engine on this host, with latents as large as are sure to take seconds only. */
void calibrate(struct calibration *out, const struct pm_edit_settings *settings, size_t threads);
#endif
