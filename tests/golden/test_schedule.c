#include "golden.h"

#include "temporary.h"

#include "pm/diffusion/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a case's largest value: coefficients are float32, as the reference's are. */
static const double TOLERANCE = 1e-5;

/** A case of scheduler.json or scheduler_configs.json with the schedule made for it. */
struct schedule_case {
    const struct golden *golden;
    const json_t *json;
    const char *name;
    bool inverts;
    struct pm_schedule schedule;
};

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The file as its scheduler wrote it, or made of the case's parameters.
 * @return owned by the caller (free) */
static char *scheduler_config(const struct schedule_case *c, bool pndm)
{
    const char *text = json_string_value(json_object_get(c->json, "file"));
    if (text) return strdup(text);
    json_t *file = json_deep_copy(json_object_get(c->golden->json, "betas"));
    json_object_update_missing(file, (json_t *)c->json);
    json_object_set_new(file, "_class_name", json_string(pndm ? "PNDMScheduler" : "DDIMScheduler"));
    char *made = json_dumps(file, 0);
    json_decref(file);
    return made;
}

/* The case's parameters, written as a model's scheduler_config.json and read by the loader. */
static void make_schedule(struct schedule_case *c)
{
    struct pm_error err = {0};
    struct pm_schedule_config config;
    const char *sampler_name = json_string_value(json_object_get(c->json, "sampler"));
    bool pndm = sampler_name ? strcmp(sampler_name, "PNDM") == 0 : has_prefix(c->name, "pndm");
    char *text = scheduler_config(c, pndm);
    temporary_write_text("scheduler_config.json", text);
    free(text);
    assert_ok(pm_schedule_config_load(&config, temporary_path(""), &err), err);
    if (!sampler_name) assert_int_equal(config.sampler, pndm ? PM_PNDM : PM_DDIM);
    size_t steps = (size_t)json_integer_value(json_object_get(c->json, "steps"));
    assert_ok(pm_schedule_init(&c->schedule, &config, pndm ? PM_PNDM : PM_DDIM, steps, &err), err);
}

static void for_each_case_of(const char *name, size_t count,
                             void (*check)(const struct schedule_case *))
{
    struct golden golden = golden_open("%s", name);
    size_t i;
    json_t *json;
    assert_int_equal(json_array_size(json_object_get(golden.json, "cases")), count);
    json_array_foreach(json_object_get(golden.json, "cases"), i, json)
    {
        struct schedule_case c = {.golden = &golden,
                                  .json = json,
                                  .name = json_string_value(json_object_get(json, "name"))};
        c.inverts = has_prefix(c.name, "invert");
        make_schedule(&c);
        check(&c);
    }
    golden_close(&golden);
}

static void for_each_case(void (*check)(const struct schedule_case *))
{
    for_each_case_of("scheduler", 32, check);
    for_each_case_of("scheduler_configs", 11, check);
}

static void check_timesteps(const struct schedule_case *c)
{
    const json_t *expected = json_object_get(c->json, "timesteps");
    size_t n = c->schedule.evaluations;
    assert_int_equal(json_array_size(expected), n);
    for (size_t i = 0; i < n; i++) /* an inversion's are listed as it goes: ascending */
        assert_int_equal(c->schedule.timesteps[c->inverts ? n - 1 - i : i],
                         json_integer_value(json_array_get(expected, i)));
}

static void every_case_visits_the_references_timesteps(void **state)
{
    (void)state;
    for_each_case(check_timesteps);
}

static void check_alphas(const struct schedule_case *c)
{
    size_t n;
    char own[64];
    snprintf(own, sizeof own, "%s.alphas_cumprod", c->name);
    bool has_own = pm_safetensors_find(&c->golden->tensors, own);
    float *expected = golden_floats(c->golden, &n, "%s", has_own ? own : "alphas_cumprod");
    assert_int_equal(n, c->schedule.train_timesteps);
    double difference = max_difference(c->schedule.alpha_cumprod, expected, n);
    double bound = has_own ? 3e-7 : 1e-7; /* rescaled: more roundings */
    if (!(difference < bound)) fail_msg("%s: ᾱ differs by %g", c->name, difference);
    const json_t *last = json_object_get(c->json, "final_alpha_cumprod");
    double final_alpha = last ? json_number_value(last) : (double)expected[0];
    assert_true(fabs((double)c->schedule.final_alpha_cumprod - final_alpha) < 1e-7);
    test_free(expected);
}

static void alphas_are_the_references(void **state)
{
    (void)state;
    for_each_case(check_alphas);
}

static double largest(const float *x, size_t n)
{
    double max = 0.0;
    for (size_t i = 0; i < n; i++) max = fmax(max, fabs((double)x[i]));
    return max;
}

static void check_steps(const struct schedule_case *c)
{
    struct pm_arena arena;
    pm_arena_init(&arena, 1 << 20);
    size_t n, total, evaluations = c->schedule.evaluations;
    float *x = golden_floats(c->golden, &n, "x_T");
    float *outputs = golden_floats(c->golden, NULL, "model_output");
    float *expected = golden_floats(c->golden, &total, "%s.out", c->name);
    struct pm_schedule_state memory = pm_schedule_state_make(&c->schedule, n, &arena);
    double bound = TOLERANCE * largest(expected, total);
    assert_int_equal(total, evaluations * n);
    for (size_t i = 0; i < evaluations; i++) {
        if (c->inverts)
            pm_schedule_invert_step(x, outputs + i * n, &c->schedule, evaluations - 1 - i, n);
        else
            pm_schedule_step(x, outputs + i * n, &c->schedule, &memory, i, n);
        double difference = max_difference(x, expected + i * n, n);
        if (!(difference < bound))
            fail_msg("%s, step %zu differs by %g of %g", c->name, i, difference, bound);
    }
    test_free(x);
    test_free(outputs);
    test_free(expected);
    pm_arena_free(&arena);
}

static void every_step_of_every_case_is_the_references(void **state)
{
    (void)state;
    for_each_case(check_steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_visits_the_references_timesteps),
        cmocka_unit_test(alphas_are_the_references),
        cmocka_unit_test(every_step_of_every_case_is_the_references),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
