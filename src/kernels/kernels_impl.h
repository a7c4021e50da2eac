/** @file kernels_impl.h  Private to src/kernels. */
#ifndef PM_KERNELS_KERNELS_IMPL_H
#define PM_KERNELS_KERNELS_IMPL_H
#include "pm/kernels/kernels.h"

/** What pm_kernels() gives from now on. @param kernels  borrowed for the process's life */
void pm_kernels_use(const struct pm_kernels *kernels);
#endif
