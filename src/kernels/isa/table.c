/* The kernels of this instruction set. */
#include "isa.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define ENTRY(name) .name = PM_ISA_NAME(name),

extern const struct pm_kernels PM_ISA_NAME(kernels);
const struct pm_kernels PM_ISA_NAME(kernels) = {.isa = TEXT(PM_ISA), PM_EACH_KERNEL(ENTRY)};
