/** @file gradient_case.h  What a test of a kernel's way back has to go through: its plain twin
 *  against finite differences of the plain kernel, then itself against its twin. */
#ifndef GRADIENT_CASE_H
#define GRADIENT_CASE_H
#include "kernel_case.h"

/** One kernel at one set of sizes; grad_x and x are alike, grad_out and out too. */
struct gradient_case {
    void (*plain)(float *out, const float *x, const void *inputs);
    void (*plain_backward)(float *grad_x, const float *grad_out, const float *x,
                           const void *inputs);
    void (*backward)(float *grad_x, const float *grad_out, const float *x,
                     const struct pm_kernels *kernels, struct pm_arena *scratch,
                     const void *inputs);
    const void *inputs;
    size_t x_floats, out_floats;
    double bound; /* of the relative rms difference to the twin */
};

/** At random x and grad_out. Fails the running test where they do not agree. */
void check_gradient(const struct gradient_case *c);
#endif
