/** @file plan_check.h  What `plan` looks for beyond what any run does before it begins.
 *
 *      struct plan_check check = plan_check_begin();
 *      PM_TRY(run_plan_make(&plan, …, plan_check_line, &check, err));
 *      plan_check_print(&check, &plan, &host);
 *      plan_check_end(&check);
 */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H
#include "run_memory.h"

#include <stdio.h>

struct plan_check {
    size_t too_large;    /* lines that need more memory than a host like this has */
    size_t pictures;     /* real pictures that were read */
    size_t bad_pictures; /* and of these those that cannot be used */
    size_t notes;        /* of what has no effect, as pm/edit/idle.h finds it */

    /* for plan_check.c only */
    FILE *sentences; /* to be printed; text is what it has written */
    char *text;
    size_t bytes;
    unsigned char *pixels; /* of a picture that is read; only whether it can be counts */
    char *last_picture;    /* lines of one picture follow each other */
};

/** End with plan_check_end. */
struct plan_check plan_check_begin(void);
run_plan_watch plan_check_line; /* self is the check */

/** Print what was found, each with its place, and the lines that are too large. */
void plan_check_print(struct plan_check *check, const struct run_plan *plan,
                      const struct run_memory *host);
void plan_check_end(struct plan_check *check);
#endif
