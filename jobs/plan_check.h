/** @file plan_check.h  What `plan` looks for beyond what any run does before it begins. */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H
#include "run_memory.h"

/** Lines, or of `idle` sentences. */
struct plan_findings {
    size_t too_large;    /* more memory than a host like this has */
    size_t pictures;     /* real pictures that were read */
    size_t bad_pictures; /* and of these those that cannot be used */
    size_t idle;         /* what has no effect, as pm/edit/idle.h finds it */
};

/** Go through all lines that can be done and print what is found, each with its place. */
struct plan_findings plan_check(const struct run_plan *plan, const struct run_memory *host);
#endif
