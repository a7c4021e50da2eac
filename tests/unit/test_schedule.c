#include "test.h"

#include "temporary.h"

#include "pm/diffusion/schedule.h"

#include <string.h>

/* As published Stable Diffusion models have it. */
static const struct pm_schedule_config stable = {.sampler = PM_DDIM,
                                                 .betas = PM_BETAS_SCALED_LINEAR,
                                                 .beta_start = 0.00085,
                                                 .beta_end = 0.012,
                                                 .train_timesteps = 1000,
                                                 .steps_offset = 1};

static bool load(struct pm_schedule_config *config, const char *json, struct pm_error *err)
{
    temporary_write_text("scheduler_config.json", json);
    return pm_schedule_config_load(config, temporary_path(""), err);
}

static void assert_refused(const char *json, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_schedule_config config;
    assert_fails(load(&config, json, &err), err, sentence);
    assert_non_null(strstr(err.message, "scheduler_config.json"));
}

static void an_empty_config_has_the_classes_defaults(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule_config c;
    memset(&c, 0xFF, sizeof c);
    assert_ok(load(&c, "{}", &err), err);
    assert_true(c.sampler == PM_DDIM && c.betas == PM_BETAS_LINEAR && c.set_alpha_to_one);
    assert_true(c.beta_start == 0.0001 && c.beta_end == 0.02 && c.train_timesteps == 1000);
    assert_true(c.steps_offset == 0 && c.prediction == PM_EPSILON && c.spacing == PM_LEADING);
    assert_ok(load(&c, "{\"_class_name\": \"PNDMScheduler\"}", &err), err);
    assert_true(c.sampler == PM_PNDM && !c.set_alpha_to_one);
    assert_ok(load(&c, "{\"_class_name\": \"EulerDiscreteScheduler\"}", &err), err);
    assert_int_equal(c.sampler, PM_DDIM);
}

static void a_config_that_is_not_built_is_refused(void **state)
{
    (void)state;
    assert_refused("[]", "an object {...} is wanted");
    assert_refused("{\"beta_schedule\": \"squaredcos_cap_v2\"}",
                   "must be one of \"linear\", \"scaled_linear\"");
    assert_refused("{\"prediction_type\": \"sample\"}", "\"epsilon\", \"v_prediction\"");
    assert_refused("{\"timestep_spacing\": \"log\"}", "\"leading\", \"trailing\", \"linspace\"");
    assert_refused("{\"beta_start\": 0.5, \"beta_end\": 0.4}",
                   "\"beta_end\" is 0.4; it must be from 0.5");
    assert_refused("{\"num_train_timesteps\": 5000}", "must be from 2 to 4096");
    assert_refused("{\"steps_offset\": 2}", "must be from 0 to 1");
    assert_refused("{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}",
                   "\"_class_name\" is \"FlowMatchEulerDiscreteScheduler\", whose schedule is not");
    assert_refused("{\"rescale_betas_zero_snr\": 1}", "\"rescale_betas_zero_snr\"");
    assert_refused("{\"trained_betas\": [0.1]}", "\"trained_betas\" is not supported");
    assert_refused("{\"clip_sample\": true}", "\"clip_sample\" is not supported");
    assert_refused("{\"thresholding\": true}", "\"thresholding\" is not supported");
    struct pm_error err = {0};
    struct pm_schedule_config config;
    assert_fails(pm_schedule_config_load(&config, temporary_path("none"), &err), err,
                 "none/scheduler_config.json");
}

static void steps_that_cannot_be_made_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule schedule;
    struct pm_schedule_config config = stable;
    assert_fails(pm_schedule_init(&schedule, &config, PM_DDIM, 0, &err), err,
                 "\"steps\" is 0; it must be from 1 to the model's 1000");
    assert_fails(pm_schedule_init(&schedule, &config, PM_DDIM, 1001, &err), err,
                 "\"steps\" is 1001");
    assert_fails(pm_schedule_init(&schedule, &config, PM_PNDM, 1, &err), err,
                 "PNDM needs at least 2");
    assert_fails(pm_schedule_init(&schedule, &config, PM_DDIM, 1000, &err), err,
                 "1000 steps visit timestep 1000, but the model has only 1000");
    config.steps_offset = 0;
    assert_ok(pm_schedule_init(&schedule, &config, PM_DDIM, 1000, &err), err);
    assert_int_equal(schedule.timesteps[0], 999);
    assert_int_equal(schedule.timesteps[999], 0);
}

static void a_pndm_that_begins_with_runge_kutta_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule schedule;
    struct pm_schedule_config c;
    assert_ok(load(&c, "{\"_class_name\": \"PNDMScheduler\"}", &err), err);
    assert_fails(pm_schedule_init(&schedule, &c, PM_PNDM, 10, &err), err,
                 "Runge-Kutta steps (\"skip_prk_steps\" is not true)");
    assert_ok(pm_schedule_init(&schedule, &c, PM_DDIM, 10, &err), err);
    assert_ok(load(&c, "{\"_class_name\": \"PNDMScheduler\", \"skip_prk_steps\": true}", &err),
              err);
    assert_ok(pm_schedule_init(&schedule, &c, PM_PNDM, 10, &err), err);
}

static void pure_noise_is_left_by_ddim_and_v_alone(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule s;
    struct pm_schedule_config config = stable;
    config.rescales_to_zero_snr = true;
    assert_ok(pm_schedule_init(&s, &config, PM_DDIM, 10, &err), err); /* from 901 on */
    assert_true(s.alpha_cumprod[999] == 0.0f && s.alpha_cumprod[998] > 0.0f);
    config.spacing = PM_TRAILING;
    assert_fails(pm_schedule_init(&s, &config, PM_DDIM, 10, &err), err,
                 "nothing of the picture at timestep 999, from where a model that predicts the");
    config.prediction = PM_V_PREDICTION;
    assert_fails(pm_schedule_init(&s, &config, PM_PNDM, 10, &err), err, "\"pndm\" cannot step");
    assert_ok(pm_schedule_init(&s, &config, PM_DDIM, 10, &err), err);
    config.beta_start = config.beta_end = 1e-8; /* no noise at all in float32 */
    assert_fails(pm_schedule_init(&s, &config, PM_DDIM, 10, &err), err, "nothing of the picture");
}

/* For every sampler, spacing and many step counts: what the step functions rely on. */
static void timesteps_descend_within_the_models_own(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule s;
    struct pm_schedule_config config = stable;
    for (int spacing = PM_LEADING; spacing <= PM_LINSPACE; spacing++)
        for (int sampler = PM_DDIM; sampler <= PM_PNDM; sampler++)
            for (size_t steps = 2; steps < 1000; steps += 7) {
                config.spacing = (enum pm_spacing)spacing;
                assert_ok(pm_schedule_init(&s, &config, (enum pm_sampler)sampler, steps, &err),
                          err);
                assert_int_equal(s.evaluations, sampler == PM_PNDM ? steps + 1 : steps);
                assert_true(s.timesteps[0] < 1000);
                for (size_t i = 1; i < s.evaluations; i++)
                    if (sampler == PM_PNDM && i == 2)
                        assert_int_equal(s.timesteps[2], s.timesteps[1]);
                    else
                        assert_true(s.timesteps[i] < s.timesteps[i - 1]);
            }
}

static void linspace_takes_both_ends(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule s;
    struct pm_schedule_config config = stable;
    config.spacing = PM_LINSPACE;
    assert_ok(pm_schedule_init(&s, &config, PM_DDIM, 5, &err), err);
    static const size_t expected[] = {999, 749, 500, 250, 0}; /* 499.5 goes to the even 500 */
    for (size_t i = 0; i < 5; i++) assert_int_equal(s.timesteps[i], expected[i]);
}

enum { N = 301 }; /* more than a block of the step's own */

static void run(float *x, const float *output, const struct pm_schedule *s, size_t n)
{
    struct pm_arena arena;
    pm_arena_init(&arena, 1 << 20);
    struct pm_schedule_state memory = pm_schedule_state_make(s, n, &arena);
    for (size_t i = 0; i < s->evaluations; i++) pm_schedule_step(x, output, s, &memory, i, n);
    pm_arena_free(&arena);
}

/* Its outputs are combined with weights that sum to 1, so equal outputs make it DDIM. */
static void pndm_with_a_constant_output_is_ddim(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule ddim, pndm;
    float x[N], y[N], noise[N];
    fill_random(x, N, 1);
    memcpy(y, x, sizeof x);
    fill_random(noise, N, 2);
    assert_ok(pm_schedule_init(&ddim, &stable, PM_DDIM, 20, &err), err);
    assert_ok(pm_schedule_init(&pndm, &stable, PM_PNDM, 20, &err), err);
    run(x, noise, &ddim, N);
    run(y, noise, &pndm, N);
    assert_true(relative_rms(x, y, N) < 1e-5);
}

static void an_element_does_not_depend_on_the_others(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule s;
    for (int sampler = PM_DDIM; sampler <= PM_PNDM; sampler++) {
        float x[N], output[N];
        fill_random(x, N, 3);
        fill_random(output, N, 4);
        float alone = x[N - 2];
        assert_ok(pm_schedule_init(&s, &stable, (enum pm_sampler)sampler, 7, &err), err);
        run(x, output, &s, N);
        run(&alone, output + N - 2, &s, 1);
        assert_memory_equal(&alone, x + N - 2, sizeof alone);
    }
}

static void an_inverted_step_is_undone_by_a_step(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule s;
    struct pm_schedule_state unused = {0};
    assert_ok(pm_schedule_init(&s, &stable, PM_DDIM, 50, &err), err);
    float start[N], x[N], noise[N];
    fill_random(start, N, 5);
    fill_random(noise, N, 6);
    for (size_t i = 0; i < s.evaluations; i += 7) {
        memcpy(x, start, sizeof x);
        pm_schedule_invert_step(x, noise, &s, i, N);
        assert_true(max_difference(x, start, N) > 1e-3);
        pm_schedule_step(x, noise, &s, &unused, i, N);
        assert_true(max_difference(x, start, N) < 1e-5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_config_has_the_classes_defaults),
        cmocka_unit_test(a_config_that_is_not_built_is_refused),
        cmocka_unit_test(steps_that_cannot_be_made_are_refused),
        cmocka_unit_test(a_pndm_that_begins_with_runge_kutta_is_refused),
        cmocka_unit_test(pure_noise_is_left_by_ddim_and_v_alone),
        cmocka_unit_test(timesteps_descend_within_the_models_own),
        cmocka_unit_test(linspace_takes_both_ends),
        cmocka_unit_test(pndm_with_a_constant_output_is_ddim),
        cmocka_unit_test(an_element_does_not_depend_on_the_others),
        cmocka_unit_test(an_inverted_step_is_undone_by_a_step),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
