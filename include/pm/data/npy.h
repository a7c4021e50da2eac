/** @file npy.h  Arrays as NumPy's .npy files. Source: NumPy's numpy.lib.format, version 1.0. */
#ifndef PM_DATA_NPY_H
#define PM_DATA_NPY_H
#include "pm/base/error.h"

#include <stddef.h>

/** Write f32 numbers, row-major. The file appears when it is whole. @param shape  [rank], 1 to 8 axes
 *  @return false with PM_E_IO and the path */
PM_MUST_CHECK bool pm_npy_write(const char *path, const float *values, const size_t *shape,
                                size_t rank, struct pm_error *err);
#endif
