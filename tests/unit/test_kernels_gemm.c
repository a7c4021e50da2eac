#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/pack.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* Sums of hundreds of products in float: some 2e-7, more where a lone sum comes near zero. */
static const double BOUND = 5e-6;

struct product {
    const float *a, *packed;
    size_t a_stride, c_stride, m, n, k;
    const struct pm_epilogue *epilogue;
    const float *in_place; /* [m, n]: the residual is c itself, which starts as this; or NULL */
};

static void run_product(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                        const void *inputs)
{
    const struct product *p = inputs;
    (void)scratch;
    float *c = guarded_floats(p->m * p->c_stride);
    struct pm_epilogue epilogue = p->epilogue ? *p->epilogue : (struct pm_epilogue){0};
    if (p->in_place) {
        for (size_t i = 0; i < p->m; i++)
            memcpy(c + i * p->c_stride, p->in_place + i * p->n, p->n * sizeof *c);
        epilogue.residual = c;
        epilogue.residual_stride = p->c_stride;
    }
    kernels->gemm(c, p->c_stride, p->a, p->a_stride, p->packed, p->m, p->n, p->k,
                  p->epilogue || p->in_place ? &epilogue : NULL);
    for (size_t i = 0; i < p->m; i++) {
        memcpy(out + i * p->n, c + i * p->c_stride, p->n * sizeof *out);
        for (size_t j = p->n; j < p->c_stride; j++) assert_true(isnan(c[i * p->c_stride + j]));
    }
    guarded_free(c, p->m * p->c_stride);
}

static float *packed_of(const float *b, size_t k, size_t n)
{
    float *packed = guarded_floats(pm_packed_floats(k, n));
    pm_pack(packed, b, k, n, n, 1);
    return packed;
}

/** @param extra  floats by which the strides are larger than the widths */
static void check_product(size_t m, size_t n, size_t k, size_t extra,
                          const struct pm_epilogue *epilogue, bool in_place)
{
    size_t a_stride = k + extra, c_stride = n + 2 * extra;
    float *a = guarded_random(m * a_stride, 1), *b = guarded_random(k * n, 2);
    float *packed = packed_of(b, k, n), *expected = guarded_floats(m * n);
    float *start = guarded_random(m * n, 3);
    for (size_t i = 0; i < m; i++) fill_nan(a + i * a_stride + k, extra);
    struct pm_epilogue plain = epilogue ? *epilogue : (struct pm_epilogue){0};
    if (in_place) {
        plain.residual = start;
        plain.residual_stride = n;
    }
    plain_gemm(expected, n, a, a_stride, b, m, n, k, &plain);
    struct product p = {.a = a,
                        .packed = packed,
                        .a_stride = a_stride,
                        .c_stride = c_stride,
                        .m = m,
                        .n = n,
                        .k = k,
                        .epilogue = epilogue,
                        .in_place = in_place ? start : NULL};
    check_on_every_isa(&(struct kernel_case){run_product, &p, m * n, expected, BOUND});
    guarded_free(a, m * a_stride);
    guarded_free(b, k * n);
    guarded_free(packed, pm_packed_floats(k, n));
    guarded_free(expected, m * n);
    guarded_free(start, m * n);
}

static void products_of_odd_shapes_agree_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t ms[] = {1, 7, 13, 50}, ns[] = {1, 4, 17, 48, 77}, ks[] = {1, 3, 40, 300};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 5; j++)
            for (size_t l = 0; l < 4; l++) check_product(ms[i], ns[j], ks[l], 0, NULL, false);
}

static void products_larger_than_every_block_agree_with_the_plain_kernel(void **state)
{
    (void)state;
    check_product(413, 33, 1000, 0, NULL, false);
    check_product(61, 250, 769, 0, NULL, false);
}

static void strides_larger_than_widths_leave_the_rest_alone(void **state)
{
    (void)state;
    check_product(13, 17, 40, 3, NULL, false);
    check_product(25, 64, 800, 5, NULL, false);
    check_product(7, 77, 9, 1, NULL, true);
}

static void epilogues_add_activate_and_add_in_this_order(void **state)
{
    (void)state;
    enum { M = 19, N = 45, LARGE_K = 900 };
    float *bias = guarded_random(N, 4), *residual = guarded_random(M * (N + 2), 5);
    static const size_t ks[] = {20, LARGE_K};
    for (size_t i = 0; i < 2; i++) {
        for (int activation = PM_IDENTITY; activation <= PM_QUICK_GELU; activation++) {
            struct pm_epilogue e = {.activation = (enum pm_activation)activation};
            check_product(M, N, ks[i], 0, &e, false);
            e.bias = bias;
            check_product(M, N, ks[i], 0, &e, false);
            check_product(M, N, ks[i], 0, &e, true);
            e.residual = residual;
            e.residual_stride = N + 2;
            check_product(M, N, ks[i], 0, &e, false);
            e.bias = NULL;
            check_product(M, N - 13, ks[i], 0, &e, false); /* whole panels */
        }
    }
    guarded_free(bias, N);
    guarded_free(residual, M * (N + 2));
}

static void a_row_has_the_same_bits_whatever_rows_are_beside_it(void **state)
{
    (void)state;
    enum { M = 205, N = 50, K = 777 };
    float *a = guarded_random(M * K, 6), *b = guarded_random(K * N, 7);
    float *packed = packed_of(b, K, N);
    for (size_t i = 0; isa_number(i); i++) {
        float *all = guarded_floats(M * N), *part = guarded_floats(M * N);
        isa_number(i)->gemm(all, N, a, K, packed, M, N, K, NULL);
        for (size_t rows = 1; rows <= 29; rows++) {
            size_t from = rows * 7 % (M - rows);
            isa_number(i)->gemm(part, N, a + from * K, K, packed, rows, N, K, NULL);
            assert_memory_equal(part, all + from * N, rows * N * sizeof *part);
        }
        guarded_free(all, M * N);
        guarded_free(part, M * N);
    }
    guarded_free(a, M * K);
    guarded_free(b, K * N);
    guarded_free(packed, pm_packed_floats(K, N));
}

static void a_column_has_the_same_bits_whatever_columns_are_beside_it(void **state)
{
    (void)state;
    enum { M = 14, N = 70, K = 500, FROM = 16 };
    float *a = guarded_random(M * K, 8), *b = guarded_random(K * N, 9);
    float *packed = packed_of(b, K, N);
    for (size_t i = 0; isa_number(i); i++) {
        float *all = guarded_floats(M * N), *part = guarded_floats(M * (N - FROM));
        isa_number(i)->gemm(all, N, a, K, packed, M, N, K, NULL);
        isa_number(i)->gemm(part, N - FROM, a, K, packed + FROM * K, M, N - FROM, K, NULL);
        for (size_t r = 0; r < M; r++)
            assert_memory_equal(part + r * (N - FROM), all + r * N + FROM,
                                (N - FROM) * sizeof *part);
        guarded_free(all, M * N);
        guarded_free(part, M * (N - FROM));
    }
    guarded_free(a, M * K);
    guarded_free(b, K * N);
    guarded_free(packed, pm_packed_floats(K, N));
}

static void products_agree_with_openblas(void **state)
{
    (void)state;
    enum { M = 100, N = 192, K = 576 };
    float *a = guarded_random(M * K, 10), *b = guarded_random(K * N, 11);
    float *packed = packed_of(b, K, N), *expected = guarded_floats(M * N);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1.0f, a, K, b, N, 0.0f,
                expected, N);
    struct product p = {
        .a = a, .packed = packed, .a_stride = K, .c_stride = N, .m = M, .n = N, .k = K};
    check_on_every_isa(&(struct kernel_case){run_product, &p, (size_t)M * N, expected, BOUND});
    guarded_free(a, M * K);
    guarded_free(b, K * N);
    guarded_free(packed, pm_packed_floats(K, N));
    guarded_free(expected, M * N);
}

static void a_packed_linear_is_torchs_transposed_weight(void **state)
{
    (void)state;
    enum { IN = 5, OUT = 18, M = 3 };
    struct pm_arena memory;
    pm_arena_init(&memory, 1 << 20);
    float *weight = guarded_random(OUT * IN, 12), *bias = guarded_random(OUT, 13);
    float *x = guarded_random(M * IN, 14), y[M * OUT], expected[M * OUT];
    struct pm_linear linear = pm_linear_pack(weight, bias, OUT, IN, PM_FP32, &memory);
    assert_int_equal(linear.in, IN);
    assert_int_equal(linear.out, OUT);
    assert_ptr_equal(linear.bias, bias);
    pm_kernels()->gemm(y, OUT, x, IN, linear.packed, M, OUT, IN, NULL);
    for (size_t i = 0; i < M * OUT; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < IN; k++)
            sum += (double)x[i / OUT * IN + k] * (double)weight[i % OUT * IN + k];
        expected[i] = (float)sum;
    }
    assert_true(relative_rms(y, expected, M * OUT) <= BOUND);
    guarded_free(weight, OUT * IN);
    guarded_free(bias, OUT);
    guarded_free(x, M * IN);
    pm_arena_free(&memory);
}

static void panels_are_padded_with_zeros(void **state)
{
    (void)state;
    static const float b[6] = {1, 2, 3, 4, 5, 6}; /* [2, 3] */
    float packed[2 * PM_PANEL];
    assert_int_equal(pm_packed_floats(2, 3), 2 * PM_PANEL);
    fill_nan(packed, 2 * PM_PANEL);
    pm_pack(packed, b, 2, 3, 3, 1);
    for (size_t i = 0; i < 2 * PM_PANEL; i++) {
        size_t row = i / PM_PANEL, column = i % PM_PANEL;
        assert_true(packed[i] == (column < 3 ? b[row * 3 + column] : 0.0f));
    }
}

static void the_best_set_is_one_that_this_cpu_runs(void **state)
{
    (void)state;
    assert_non_null(pm_kernels_named("baseline"));
    assert_null(pm_kernels_named("avx"));
    assert_null(pm_kernels_named(""));
    assert_ptr_equal(pm_kernels(), pm_kernels_named(pm_kernels()->isa));
    assert_ptr_equal(pm_kernels(), pm_kernels());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_odd_shapes_agree_with_the_plain_kernel),
        cmocka_unit_test(products_larger_than_every_block_agree_with_the_plain_kernel),
        cmocka_unit_test(strides_larger_than_widths_leave_the_rest_alone),
        cmocka_unit_test(epilogues_add_activate_and_add_in_this_order),
        cmocka_unit_test(a_row_has_the_same_bits_whatever_rows_are_beside_it),
        cmocka_unit_test(a_column_has_the_same_bits_whatever_columns_are_beside_it),
        cmocka_unit_test(products_agree_with_openblas),
        cmocka_unit_test(a_packed_linear_is_torchs_transposed_weight),
        cmocka_unit_test(panels_are_padded_with_zeros),
        cmocka_unit_test(the_best_set_is_one_that_this_cpu_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
