/* How fast the kernels are at the networks' shapes, beside what they replace: products beside
 * OpenBLAS, Winograd's convolution beside the direct one, fused attention beside its arithmetic.
 *
 *     bench-kernels [ISA]
 *
 * OMP_NUM_THREADS=1 for one core. OpenBLAS is told the same number of threads; where the
 * environment sets OPENBLAS_CORETYPE it may be slower than it can be, so its choice is printed. */
#include "timing.h"

#include "pm/kernels/kernels.h"
#include "pm/kernels/pack.h"

#include <cblas.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <omp.h>
#include <stdio.h>
#include <string.h>

static const double LEAST_SECONDS = 0.15; /* of repeats; the fastest counts */

/** One thing to time. */
struct job {
    void (*run)(const struct job *job);
    const struct pm_kernels *kernels;
    struct pm_arena *scratch;
    float *out;
    const float *a, *b, *packed;
    const uint16_t *rounded;
    size_t m, n, k;
    const struct pm_conv *conv;
    size_t batch, side;
    struct pm_attention_shape shape;
};

/** The processor's, of one thread: what other programs take does not count. */
static double seconds(const struct job *job)
{
    double best = 1e30, total = 0.0;
    job->run(job);
    for (int i = 0; i < 3 || total < LEAST_SECONDS; i++) {
        double start = processor_seconds();
        job->run(job);
        double took = (processor_seconds() - start) / omp_get_max_threads();
        total += took;
        if (took < best) best = took;
    }
    return best;
}

#ifdef __x86_64__
enum { SUMS = 24, TURNS = 1 << 21 }; /* sums as in a tile of the kernels, in registers */

__attribute__((target("avx512f"))) static void run_fma_peak(const struct job *j)
{
    __m512 sum[SUMS];
    for (size_t i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)j->m);
    for (size_t turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 24
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], _mm512_set1_ps(0.5f), _mm512_set1_ps(1.0f));
    }
    for (size_t i = 0; i < SUMS; i++) __asm__ volatile("" : : "v"(sum[i]));
}

__attribute__((target("avx512f,avx512bf16"))) static void run_dot_peak(const struct job *j)
{
    const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f003f00); /* pairs of a half */
    __m512 sum[SUMS];
    for (size_t i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)j->m);
    for (size_t turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 24
        for (size_t i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
    }
    for (size_t i = 0; i < SUMS; i++) __asm__ volatile("" : : "v"(sum[i]));
}

/** What one thread could do at most, of numbers that never leave its registers. */
static void print_peaks(struct job job)
{
    if (!__builtin_cpu_supports("avx512f")) return;
    double vectors = (double)SUMS * TURNS / omp_get_max_threads(); /* seconds() is shared out */
    job.run = run_fma_peak;
    printf("peak of one thread: float32 %.0f", 32.0 * vectors / seconds(&job) / 1e9);
    job.run = run_dot_peak;
    if (__builtin_cpu_supports("avx512bf16"))
        printf(", bfloat16 %.0f", 64.0 * vectors / seconds(&job) / 1e9);
    printf(" GFLOP/s\n");
}
#else
static void print_peaks(struct job job)
{
    (void)job;
}
#endif

static float *random_floats(struct pm_arena *arena, size_t n)
{
    float *x = pm_arena_floats(arena, n);
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

static void run_gemm(const struct job *j)
{
    j->kernels->gemm(j->out, j->n, j->a, j->k, j->packed, j->m, j->n, j->k, NULL);
}

static void run_gemm_bf16(const struct job *j)
{
    j->kernels->gemm_bf16(j->out, j->n, j->a, j->k, j->rounded, j->m, j->n, j->k, NULL, j->scratch);
}

static void run_openblas(const struct job *j)
{
    int m = (int)j->m, n = (int)j->n, k = (int)j->k;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, j->a, k, j->b, n, 0.0f,
                j->out, n);
}

static void bench_gemm(struct job job, size_t m, size_t n, size_t k)
{
    struct pm_arena *arena = job.scratch;
    size_t mark = arena->used;
    float *b = random_floats(arena, k * n);
    float *packed = pm_arena_floats(arena, pm_packed_floats(k, n));
    pm_pack(packed, b, k, n, n, 1);
    job.out = pm_arena_floats(arena, m * n);
    job.a = random_floats(arena, m * k);
    job.b = b;
    job.packed = packed;
    job.m = m;
    job.n = n;
    job.k = k;
    double flops = 2.0 * (double)m * (double)n * (double)k;
    job.run = run_gemm;
    double ours = seconds(&job);
    job.run = run_openblas;
    double theirs = seconds(&job);
    uint16_t *rounded = pm_arena_bytes(arena, pm_packed_bf16_numbers(k, n) * sizeof *rounded);
    pm_pack_bf16(rounded, b, k, n, n, 1);
    job.rounded = rounded;
    job.run = run_gemm_bf16;
    double bf16 = seconds(&job);
    printf("%6zu %6zu %6zu  %8.1f  %8.1f  %5.2f  %8.1f\n", m, n, k, flops / ours / 1e9,
           flops / theirs / 1e9, theirs / ours, flops / bf16 / 1e9);
    arena->used = mark;
}

static void run_conv(const struct job *j)
{
    j->kernels->conv(j->out, j->a, j->conv, NULL, NULL, j->batch, j->side, j->side, j->scratch);
}

static void bench_conv(struct job job, size_t side, size_t in, size_t out)
{
    struct pm_arena *arena = job.scratch;
    size_t mark = arena->used, pixels = job.batch * side * side;
    float *weight = random_floats(arena, out * in * 9);
    struct pm_conv winograd = pm_conv_pack(weight, NULL, out, in, 3, 1, 1, 1, PM_FP32, arena);
    struct pm_conv direct = winograd;
    direct.by_winograd = false;
    job.out = pm_arena_floats(arena, pixels * out);
    job.a = random_floats(arena, pixels * in);
    job.side = side;
    job.run = run_conv;
    job.conv = &direct;
    double flops = 18.0 * (double)pixels * (double)in * (double)out;
    double plain = seconds(&job);
    job.conv = &winograd;
    double fast = seconds(&job);
    struct pm_conv rounded = pm_conv_pack(weight, NULL, out, in, 3, 1, 1, 1, PM_BF16, arena);
    job.conv = &rounded;
    double bf16 = seconds(&job);
    printf("%2zux%-3zu %6zu %6zu  %8.1f  %8.1f  %5.2f  %8.1f\n", side, side, in, out,
           flops / plain / 1e9, flops / fast / 1e9, plain / fast, flops / bf16 / 1e9);
    arena->used = mark;
}

static void run_attention(const struct job *j)
{
    j->kernels->attention(j->out, j->a, j->b, j->packed, &j->shape, j->scratch);
}

static void bench_attention(struct job job, size_t heads, size_t head_size, size_t queries,
                            size_t keys)
{
    struct pm_arena *arena = job.scratch;
    size_t mark = arena->used, width = heads * head_size;
    job.out = pm_arena_floats(arena, job.batch * queries * width);
    job.a = random_floats(arena, job.batch * queries * width);
    job.b = random_floats(arena, job.batch * keys * width);
    job.packed = random_floats(arena, job.batch * keys * width);
    job.shape = (struct pm_attention_shape){.batch = job.batch,
                                            .heads = heads,
                                            .head_size = head_size,
                                            .queries = queries,
                                            .keys = keys,
                                            .q_stride = width,
                                            .k_stride = width,
                                            .v_stride = width,
                                            .out_stride = width,
                                            .scale = 0.2f};
    job.run = run_attention;
    double took = seconds(&job);
    job.shape.precision = PM_BF16;
    double bf16 = seconds(&job);
    double flops = 4.0 * (double)(job.batch * queries * keys) * (double)width;
    printf("%6zu %6zu %6zu %6zu  %8.1f  %8.1f\n", heads, head_size, queries, keys,
           flops / took / 1e9, flops / bf16 / 1e9);
    arena->used = mark;
}

static void run_group_norm(const struct job *j)
{
    j->kernels->group_norm(j->out, j->a, j->b, j->b, j->batch, j->side * j->side, j->n, 16, 1e-5f,
                           PM_SILU, j->scratch);
}

static void run_layer_norm(const struct job *j)
{
    j->kernels->layer_norm(j->out, j->a, j->b, j->b, j->batch * j->side * j->side, j->n, 1e-5f);
}

static void run_geglu(const struct job *j)
{
    j->kernels->geglu(j->out, j->a, j->batch * j->side * j->side, j->n);
}

static void bench_rows(struct job job, size_t side, size_t channels)
{
    struct pm_arena *arena = job.scratch;
    size_t mark = arena->used, floats = job.batch * side * side * channels;
    job.out = pm_arena_floats(arena, floats);
    job.a = random_floats(arena, 2 * floats);
    job.b = random_floats(arena, channels);
    job.side = side;
    job.n = channels;
    job.run = run_group_norm;
    double group = seconds(&job);
    job.run = run_layer_norm;
    double layer = seconds(&job);
    job.run = run_geglu;
    double geglu = seconds(&job), each = 1e9 / (double)floats;
    printf("%2zux%-3zu %6zu  %8.3f  %8.3f  %8.3f\n", side, side, channels, group * each,
           layer * each, geglu * each);
    arena->used = mark;
}

int main(int argc, char **argv)
{
    const struct pm_kernels *kernels = argc > 1 ? pm_kernels_named(argv[1]) : pm_kernels();
    if (!kernels) {
        fprintf(stderr, "this CPU has no %s\n", argv[1]);
        return 1;
    }
    struct pm_arena arena;
    pm_arena_init(&arena, (size_t)4 << 30);
    struct job job = {.kernels = kernels, .scratch = &arena, .batch = 4};
    openblas_set_num_threads(omp_get_max_threads());
    printf("%s, %d threads; OpenBLAS for %s\n", kernels->isa, omp_get_max_threads(),
           openblas_get_corename());

    print_peaks(job);

    static const size_t products[][3] = {{1024, 128, 128},   {1024, 384, 128}, {1024, 1024, 128},
                                         {1024, 128, 512},   {256, 192, 192},  {256, 1536, 192},
                                         {1024, 64, 64},     {1024, 64, 576},  {1024, 128, 1152},
                                         {1024, 192, 1728},  {4, 256, 64},     {4096, 320, 320},
                                         {4096, 2560, 320},  {4096, 640, 640}, {4096, 1280, 1280},
                                         {1024, 1280, 1280}, {256, 1280, 1280}};
    printf("\nproducts, GFLOP/s\n     m      n      k      ours  OpenBLAS  ratio  bfloat16\n");
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        bench_gemm(job, products[i][0], products[i][1], products[i][2]);

    static const size_t convolutions[][3] = {
        {32, 64, 64},   {32, 192, 64},  {32, 128, 64},  {16, 64, 128},    {16, 128, 128},
        {16, 320, 128}, {8, 128, 192},  {8, 192, 192},  {8, 384, 192},    {32, 4, 64},
        {32, 64, 4},    {64, 320, 320}, {32, 640, 640}, {16, 1280, 1280}, {8, 1280, 1280}};
    printf("\n3x3 convolutions of 4 images, GFLOP/s of the direct form\n"
           "image      in    out    direct  Winograd  ratio  bfloat16\n");
    for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
        bench_conv(job, convolutions[i][0], convolutions[i][1], convolutions[i][2]);

    static const size_t attentions[][4] = {
        {4, 32, 256, 256},   {4, 32, 256, 77},  {4, 48, 64, 64},     {4, 48, 64, 77},
        {8, 40, 4096, 4096}, {8, 40, 4096, 77}, {8, 80, 1024, 1024}, {8, 160, 256, 256}};
    printf("\nattention, 4 samples, GFLOP/s of the two products\n"
           " heads   size  query   keys      ours  bfloat16\n");
    for (size_t i = 0; i < sizeof attentions / sizeof *attentions; i++)
        bench_attention(job, attentions[i][0], attentions[i][1], attentions[i][2],
                        attentions[i][3]);

    static const size_t rows[][2] = {{32, 64}, {16, 128}, {8, 192}, {64, 320}};
    printf("\n4 images, nanoseconds an element\nimage      C  group+silu  layer  geglu\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) bench_rows(job, rows[i][0], rows[i][1]);
    pm_arena_free(&arena);
    return 0;
}
