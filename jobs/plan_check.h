/** @file plan_check.h  What `plan` looks for beyond what any run does before it begins.
 *
 *      struct plan_check check = plan_check_begin(true);
 *      PM_TRY(run_plan_make(&plan, …, plan_check_line, &check, err));
 *      plan_check_print(&check, &plan, &host);
 *      plan_check_end(&check);
 */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H
#include "run_memory.h"

/** A sentence about a line, its place at the beginning. */
struct plan_finding {
    size_t item;
    char *sentence; /* owned */
};

struct plan_check {
    size_t too_large;    /* lines that need more memory than a host like this has */
    size_t pictures;     /* real pictures and masks that were read */
    size_t bad_pictures; /* and of these those that cannot be used */
    size_t notes;        /* of what has no effect */

    /* for plan_check.c only */
    bool reads_pictures;
    struct plan_finding *findings; /* [finding_count] in the order of the lines; owned */
    size_t finding_count;
    size_t smallest_map;   /* pixels, of self-attention; 0: not looked up yet */
    unsigned char *pixels; /* of a picture that is read; only whether it can be counts */
    char *last_picture;    /* lines of one picture, or one mask, follow each other */
    char *last_mask;
};

/** @param reads_pictures  false: their size is not known. End with plan_check_end. */
struct plan_check plan_check_begin(bool reads_pictures);
run_plan_watch plan_check_line; /* self is the check */

/** Print the problems of the plan and what was found, line by line, then the lines that are too large.
 *  @param host  NULL: none is */
void plan_check_print(struct plan_check *check, const struct run_plan *plan,
                      const struct run_memory *host);

/** Print what there is of one line. @return how much of it cannot be done */
size_t plan_check_print_line(const struct plan_check *check, const struct run_plan *plan,
                             size_t item);
void plan_check_end(struct plan_check *check);
#endif
