/** @file profile.h  Where a process's time goes, by kind of layer. */
#ifndef PM_KERNELS_PROFILE_H
#define PM_KERNELS_PROFILE_H
#include <stddef.h>

enum pm_profile_kind {
    PM_PROFILE_CONV_3X3,
    PM_PROFILE_CONV_OTHER, /* 1x1, and those that halve the image */
    PM_PROFILE_LINEAR,
    PM_PROFILE_SELF_ATTENTION,
    PM_PROFILE_CROSS_ATTENTION,
    PM_PROFILE_MAPS, /* the halves of attention whose maps are wanted, and their edits */
    PM_PROFILE_GROUP_NORM,
    PM_PROFILE_LAYER_NORM,
    PM_PROFILE_ACTIVATION,
    PM_PROFILE_MOVE,     /* enlarging, concatenating */
    PM_PROFILE_GRADIENT, /* all kernels of the way back */
    PM_PROFILE_KINDS
};

struct pm_profile {
    double seconds[PM_PROFILE_KINDS]; /* of the wall clock */
    double flops[PM_PROFILE_KINDS]; /* of products, counted as their plain form has them; else 0 */
    double calls[PM_PROFILE_KINDS];
};

const char *pm_profile_kind_name(enum pm_profile_kind kind);

/** From now on pm_kernels() gives a set that notes how long each call takes. Kernels are to be called
 *  from one thread, as the networks do; the results stay the same. */
void pm_profile_start(void);

/** What was noted so far; zeros where nothing was started. */
struct pm_profile pm_profile_so_far(void);
#endif
