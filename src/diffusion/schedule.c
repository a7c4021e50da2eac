#include "pm/diffusion/schedule.h"

#include "pm/base/path.h"

#include <math.h>
#include <string.h>

/* Keys that would change the steps, where they are set. */
static bool refuse_unsupported(const json_t *config, const char *path, struct pm_error *err)
{
    static const char *const keys[] = {"trained_betas", "clip_sample", "thresholding", NULL};
    for (size_t i = 0; keys[i]; i++) {
        const json_t *value = json_object_get(config, keys[i]);
        if (value && !json_is_null(value) && !json_is_false(value))
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is not supported", path, keys[i]);
    }
    return true;
}

/* diffusers' classes whose models are trained on the same schedule: DDIM steps through it as it
 * does when it is made from their config. */
static const char *const known_classes[] = {"",
                                            "DDIMScheduler",
                                            "PNDMScheduler",
                                            "DDPMScheduler",
                                            "DEISMultistepScheduler",
                                            "DPMSolverMultistepScheduler",
                                            "DPMSolverSDEScheduler",
                                            "DPMSolverSinglestepScheduler",
                                            "EulerAncestralDiscreteScheduler",
                                            "EulerDiscreteScheduler",
                                            "HeunDiscreteScheduler",
                                            "KDPM2AncestralDiscreteScheduler",
                                            "KDPM2DiscreteScheduler",
                                            "LMSDiscreteScheduler",
                                            "UniPCMultistepScheduler",
                                            NULL};

static bool check_class(const char *class_name, const char *path, struct pm_error *err)
{
    for (size_t i = 0; known_classes[i]; i++)
        if (strcmp(known_classes[i], class_name) == 0) return true;
    return pm_fail(err, PM_E_FORMAT,
                   "%s: \"_class_name\" is \"%s\", whose schedule is not supported; DDIM's, "
                   "PNDM's, Euler's and DPM-Solver's are",
                   path, class_name);
}

static bool read_config(struct pm_schedule_config *c, const json_t *config, const char *path,
                        struct pm_error *err)
{
    static const char *const betas[] = {"linear", "scaled_linear", NULL};
    static const char *const predictions[] = {"epsilon", "v_prediction", NULL};
    static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
    int beta = PM_BETAS_LINEAR, prediction = PM_EPSILON, spacing = PM_LEADING;
    const char *class_name = "";
    bool skips_runge_kutta = false; /* PNDM's own default */
    PM_TRY(pm_json_string(config, path, "_class_name", &class_name, err));
    PM_TRY(check_class(class_name, path, err));
    *c = (struct pm_schedule_config){.sampler = strcmp(class_name, "PNDMScheduler") == 0 ? PM_PNDM
                                                                                         : PM_DDIM,
                                     .beta_start = 0.0001,
                                     .beta_end = 0.02,
                                     .train_timesteps = 1000};
    c->set_alpha_to_one = c->sampler == PM_DDIM; /* the classes' own defaults */
    PM_TRY(pm_json_choice(config, path, "beta_schedule", betas, &beta, err));
    PM_TRY(pm_json_number(config, path, "beta_start", 1e-8, 0.5, &c->beta_start, err));
    PM_TRY(pm_json_number(config, path, "beta_end", c->beta_start, 0.999, &c->beta_end, err));
    PM_TRY(pm_json_size(config, path, "num_train_timesteps", 2, PM_MAX_TRAIN_TIMESTEPS,
                        &c->train_timesteps, err));
    PM_TRY(pm_json_size(config, path, "steps_offset", 0, 1, &c->steps_offset, err));
    PM_TRY(pm_json_choice(config, path, "prediction_type", predictions, &prediction, err));
    PM_TRY(pm_json_choice(config, path, "timestep_spacing", spacings, &spacing, err));
    PM_TRY(pm_json_bool(config, path, "set_alpha_to_one", &c->set_alpha_to_one, err));
    PM_TRY(pm_json_bool(config, path, "rescale_betas_zero_snr", &c->rescales_to_zero_snr, err));
    PM_TRY(pm_json_bool(config, path, "skip_prk_steps", &skips_runge_kutta, err));
    PM_TRY(refuse_unsupported(config, path, err));
    c->begins_with_runge_kutta = c->sampler == PM_PNDM && !skips_runge_kutta;
    c->betas = (enum pm_betas)beta;
    c->prediction = (enum pm_prediction)prediction;
    c->spacing = (enum pm_spacing)spacing;
    return true;
}

bool pm_schedule_config_read(struct pm_schedule_config *out, const json_t *config, const char *path,
                             struct pm_error *err)
{
    if (!json_is_object(config))
        return pm_fail(err, PM_E_FORMAT, "%s: an object {...} is wanted, not %s", path,
                       pm_json_kind(config));
    return read_config(out, config, path, err);
}

bool pm_schedule_config_load(struct pm_schedule_config *out, const char *folder,
                             struct pm_error *err)
{
    char path[4096];
    json_t *config;
    PM_TRY(pm_path_join(path, sizeof path, folder, "scheduler_config.json", err));
    PM_TRY(pm_json_load_python(&config, path, 1 << 20, err));
    bool ok = pm_schedule_config_read(out, config, path, err);
    json_decref(config);
    return ok;
}

/* torch.linspace in float32: from both ends, each half from its own. */
static float linspace_32(float start, float end, size_t n, size_t i)
{
    float step = (end - start) / (float)(n - 1);
    return i < n / 2 ? start + step * (float)i : end - step * (float)(n - 1 - i);
}

/* alphas[n] → their cumulative products, in place: torch's cumprod accumulates float32 in double. */
static void accumulate(float *alphas, size_t n)
{
    double product = 1.0;
    for (size_t i = 0; i < n; i++) {
        product *= (double)alphas[i];
        alphas[i] = (float)product;
    }
}

/* The cumulative products stretched so that the last is 0 and the first stays (Lin et al. 2023,
 * arXiv 2305.08891, algorithm 1), by way of betas as diffusers has it. */
static void rescale_to_zero_snr(float *alpha_cumprod, size_t n)
{
    float first = sqrtf(alpha_cumprod[0]), last = sqrtf(alpha_cumprod[n - 1]), before = 1.0f;
    float scale = first / (first - last);
    for (size_t i = 0; i < n; i++) {
        float root = (sqrtf(alpha_cumprod[i]) - last) * scale;
        float beta = 1.0f - root * root / before;
        before = root * root;
        alpha_cumprod[i] = 1.0f - beta;
    }
    accumulate(alpha_cumprod, n);
}

static void fill_alphas(struct pm_schedule *s, const struct pm_schedule_config *c)
{
    bool scaled = c->betas == PM_BETAS_SCALED_LINEAR;
    float start = (float)(scaled ? sqrt(c->beta_start) : c->beta_start);
    float end = (float)(scaled ? sqrt(c->beta_end) : c->beta_end);
    for (size_t i = 0; i < c->train_timesteps; i++) {
        float beta = linspace_32(start, end, c->train_timesteps, i);
        if (scaled) beta *= beta;
        s->alpha_cumprod[i] = 1.0f - beta;
    }
    accumulate(s->alpha_cumprod, c->train_timesteps);
    if (c->rescales_to_zero_snr) rescale_to_zero_snr(s->alpha_cumprod, c->train_timesteps);
    s->final_alpha_cumprod = c->set_alpha_to_one ? 1.0f : s->alpha_cumprod[0];
}

/* The i-th of the spaced timesteps, ascending. numpy rounds halves to even, as rint does. */
static size_t spaced_timestep(const struct pm_schedule_config *c, size_t steps, size_t i)
{
    double train = (double)c->train_timesteps;
    switch (c->spacing) {
    case PM_LEADING:
        return i * (c->train_timesteps / steps) + c->steps_offset;
    case PM_TRAILING:
        return (size_t)rint(train - (double)(steps - 1 - i) * (train / (double)steps)) - 1;
    default:
        return steps == 1 ? 0 : (size_t)rint((double)i * (train - 1.0) / (double)(steps - 1));
    }
}

/* Where nothing of the picture is left, as after "rescale_betas_zero_snr", the noise does not tell
 * what to step to. */
static bool check_signal(const struct pm_schedule *s, size_t timestep, struct pm_error *err)
{
    float alpha = s->alpha_cumprod[timestep];
    if (alpha > 0.0f) return true;
    if (alpha == 0.0f && s->sampler == PM_DDIM && s->prediction == PM_V_PREDICTION) return true;
    return pm_fail(err, PM_E_INPUT,
                   "the betas of the model's scheduler_config.json leave nothing of the picture at "
                   "timestep %zu, from where %s; \"ddim\" with a model that predicts v can",
                   timestep,
                   s->sampler == PM_PNDM ? "\"pndm\" cannot step"
                                         : "a model that predicts the noise cannot go on");
}

bool pm_schedule_init(struct pm_schedule *out, const struct pm_schedule_config *config,
                      enum pm_sampler sampler, size_t steps, struct pm_error *err)
{
    if (steps < 1 || steps > config->train_timesteps)
        return pm_fail(err, PM_E_INPUT, "\"steps\" is %zu; it must be from 1 to the model's %zu",
                       steps, config->train_timesteps);
    if (sampler == PM_PNDM && steps < 2)
        return pm_fail(err, PM_E_INPUT, "\"steps\" is 1; PNDM needs at least 2");
    if (sampler == PM_PNDM && config->begins_with_runge_kutta)
        return pm_fail(err, PM_E_INPUT,
                       "the model's scheduler_config.json has PNDM begin with Runge-Kutta steps "
                       "(\"skip_prk_steps\" is not true), which are not supported; \"ddim\" is");
    *out = (struct pm_schedule){.sampler = sampler,
                                .prediction = config->prediction,
                                .steps = steps,
                                .evaluations = sampler == PM_PNDM ? steps + 1 : steps,
                                .stride = config->train_timesteps / steps,
                                .train_timesteps = config->train_timesteps};
    fill_alphas(out, config);
    for (size_t i = 0; i < out->evaluations; i++) {
        /* PNDM visits its second timestep twice */
        size_t visited = sampler == PM_PNDM && i > 1 ? i - 1 : i;
        size_t t = spaced_timestep(config, steps, steps - 1 - visited);
        if (t >= config->train_timesteps)
            return pm_fail(err, PM_E_INPUT,
                           "%zu steps visit timestep %zu, but the model has only %zu", steps, t,
                           config->train_timesteps);
        PM_TRY(check_signal(out, t, err));
        out->timesteps[i] = t;
    }
    PM_ASSERT(sampler != PM_PNDM || out->timesteps[1] + out->stride < config->train_timesteps);
    return true;
}

struct pm_schedule_state pm_schedule_state_make(const struct pm_schedule *schedule, size_t n,
                                                struct pm_arena *arena)
{
    struct pm_schedule_state state = {.held = 0};
    if (schedule->sampler != PM_PNDM) return state;
    for (size_t i = 0; i < 4; i++) state.outputs[i] = pm_arena_floats(arena, n);
    state.first_sample = pm_arena_floats(arena, n);
    return state;
}

/* ᾱ at t - stride, where t may be among the first. */
static float alpha_before(const struct pm_schedule *s, size_t t)
{
    return t >= s->stride ? s->alpha_cumprod[t - s->stride] : s->final_alpha_cumprod;
}

static void ddim_move(float *x, const float *model_output, enum pm_prediction prediction,
                      float alpha_from, float alpha_to, size_t n)
{
    float a = sqrtf(alpha_from), b = sqrtf(1.0f - alpha_from);
    float a_to = sqrtf(alpha_to), b_to = sqrtf(1.0f - alpha_to);
    for (size_t i = 0; i < n; i++) {
        float clean, noise;
        if (prediction == PM_EPSILON) {
            noise = model_output[i];
            clean = (x[i] - b * noise) / a;
        } else {
            clean = a * x[i] - b * model_output[i];
            noise = a * model_output[i] + b * x[i];
        }
        x[i] = a_to * clean + b_to * noise;
    }
}

/* The multistep combination for the outputs held, newest last. */
static void combine_outputs(float *combined, const struct pm_schedule_state *state, size_t n)
{
    float *const *e = state->outputs;
    for (size_t i = 0; i < n; i++) {
        switch (state->held) {
        case 1:
            combined[i] = e[0][i];
            break;
        case 2:
            combined[i] = (3.0f * e[1][i] - e[0][i]) / 2.0f;
            break;
        case 3:
            combined[i] = (23.0f * e[2][i] - 16.0f * e[1][i] + 5.0f * e[0][i]) / 12.0f;
            break;
        default:
            combined[i] =
                (55.0f * e[3][i] - 59.0f * e[2][i] + 37.0f * e[1][i] - 9.0f * e[0][i]) / 24.0f;
        }
    }
}

static void remember_output(struct pm_schedule_state *state, const float *model_output, size_t n)
{
    if (state->held == 4) {
        float *oldest = state->outputs[0];
        memmove(state->outputs, state->outputs + 1, 3 * sizeof *state->outputs);
        state->outputs[3] = oldest;
        state->held = 3;
    }
    memcpy(state->outputs[state->held++], model_output, n * sizeof *model_output);
}

/* x at one level → another, given the combined output. Formula (9) of Liu et al. 2022. */
static void pndm_move(float *x, const float *combined, const struct pm_schedule *s,
                      float alpha_from, float alpha_to, size_t n)
{
    float beta_from = 1.0f - alpha_from, beta_to = 1.0f - alpha_to;
    float scale = sqrtf(alpha_to / alpha_from);
    float denominator = alpha_from * sqrtf(beta_to) + sqrtf(alpha_from * beta_from * alpha_to);
    for (size_t i = 0; i < n; i++) {
        float noise = combined[i];
        if (s->prediction == PM_V_PREDICTION)
            noise = sqrtf(alpha_from) * noise + sqrtf(beta_from) * x[i];
        x[i] = scale * x[i] - (alpha_to - alpha_from) * noise / denominator;
    }
}

static void pndm_step(float *x, const float *model_output, const struct pm_schedule *s,
                      struct pm_schedule_state *state, size_t evaluation, size_t n)
{
    size_t t = s->timesteps[evaluation];
    float alpha_from = s->alpha_cumprod[t], alpha_to = alpha_before(s, t);
    float combined_block[256];
    if (evaluation == 1) { /* the first step again, with the mean of both ends' outputs */
        alpha_to = alpha_from;
        alpha_from = s->alpha_cumprod[t + s->stride];
        memcpy(x, state->first_sample, n * sizeof *x);
    } else {
        remember_output(state, model_output, n);
        if (evaluation == 0) memcpy(state->first_sample, x, n * sizeof *x);
    }
    for (size_t first = 0; first < n; first += 256) {
        size_t count = n - first < 256 ? n - first : 256;
        struct pm_schedule_state part = *state;
        for (size_t i = 0; i < 4; i++) part.outputs[i] += first;
        combine_outputs(combined_block, &part, count);
        for (size_t i = 0; evaluation == 1 && i < count; i++)
            combined_block[i] = (model_output[first + i] + combined_block[i]) / 2.0f;
        pndm_move(x + first, combined_block, s, alpha_from, alpha_to, count);
    }
}

void pm_schedule_step(float *x, const float *model_output, const struct pm_schedule *schedule,
                      struct pm_schedule_state *state, size_t evaluation, size_t n)
{
    PM_ASSERT(evaluation < schedule->evaluations);
    if (schedule->sampler == PM_PNDM) {
        pndm_step(x, model_output, schedule, state, evaluation, n);
        return;
    }
    size_t t = schedule->timesteps[evaluation];
    ddim_move(x, model_output, schedule->prediction, schedule->alpha_cumprod[t],
              alpha_before(schedule, t), n);
}

void pm_schedule_invert_step(float *x, const float *model_output,
                             const struct pm_schedule *schedule, size_t evaluation, size_t n)
{
    PM_ASSERT(schedule->sampler == PM_DDIM && evaluation < schedule->evaluations);
    size_t t = schedule->timesteps[evaluation];
    ddim_move(x, model_output, schedule->prediction, alpha_before(schedule, t),
              schedule->alpha_cumprod[t], n);
}
