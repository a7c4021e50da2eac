/** @file test.h  What every test includes: cmocka, and checks for numbers and ranks. */
#ifndef TEST_H
#define TEST_H
/* cmocka.h needs the others before it */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/** Every rank fails together, so that a failed check never leaves a collective waiting. */
#define assert_on_all_ranks(comm, cond)                                                            \
    do {                                                                                           \
        int mine_ = !!(cond), all_;                                                                \
        MPI_Allreduce(&mine_, &all_, 1, MPI_INT, MPI_LAND, (comm));                                \
        if (!mine_) print_error("%s:%d: here: " #cond "\n", __FILE__, __LINE__);                   \
        assert_true(all_);                                                                         \
    } while (0)

/** A call that returns bool and fills `err` must succeed; its sentence is shown otherwise. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if (!(call)) fail_msg(#call ": %s", (err).message);                                        \
    } while (0)

/** The call must fail, and the sentence must have @p text in it. */
#define assert_fails(call, err, text)                                                              \
    do {                                                                                           \
        if (call) fail_msg(#call " succeeded");                                                    \
        if (!strstr((err).message, (text))) fail_msg("message is: %s", (err).message);             \
    } while (0)

/** @return max |a - b|; NaN anywhere counts as infinite */
double max_difference(const float *a, const float *b, size_t n);

/** @return sqrt(sum (a-b)^2 / sum b^2); NaN anywhere counts as infinite */
double relative_rms(const float *a, const float *b, size_t n);

/** Numbers in [-1, 1), a function of @p seed alone. */
void fill_random(float *x, size_t n, unsigned seed);

/** NaN everywhere, so that an output left unwritten is seen. */
void fill_nan(float *x, size_t n);
#endif
