#include "recipe_image.h"

#include <stdio.h>
#include <string.h>

/* Image pixels: about one latent pixel of Stable Diffusion's, whose mask this softens. */
static const double RESTORE_FEATHER = 6.0, RESTORE_THRESHOLD = 0.3;

const char *const pm_recipe_image_keys[] = {"fit", "crop", "inversion", NULL};

static const char *const method_names[] = {"direct", "ddim", "null-text", "negative-prompt", NULL};

/** The numbers of a null-text optimisation, by the names they have in a manifest. */
struct null_text_number {
    const char *key;
    size_t offset; /* in struct pm_null_text, of a double */
    double min, max;
};

static const struct null_text_number null_text_numbers[] = {
    {"learning_rate", offsetof(struct pm_null_text, learning_rate), 0.0, 100.0},
    {"learning_rate_decay", offsetof(struct pm_null_text, learning_rate_decay), 0.0, 1.0},
    {"epsilon", offsetof(struct pm_null_text, epsilon), 0.0, 1e6},
    {"epsilon_growth", offsetof(struct pm_null_text, epsilon_growth), 0.0, 1e6},
    {"beta1", offsetof(struct pm_null_text, beta1), 0.0, 0.999999},
    {"beta2", offsetof(struct pm_null_text, beta2), 0.0, 0.999999999},
    {"adam_epsilon", offsetof(struct pm_null_text, adam_epsilon), 1e-30, 1.0},
};
enum { NULL_TEXT_NUMBERS = sizeof null_text_numbers / sizeof *null_text_numbers };
enum { MAX_INNER_STEPS = 10000, MAX_MARGIN = 1 << 20 };

static double *number_at(struct pm_null_text *n, size_t i)
{
    return (double *)(void *)((char *)n + null_text_numbers[i].offset);
}

void pm_recipe_image_resolve(json_t *line)
{
    struct pm_null_text usual = pm_null_text_default();
    if (!json_object_get(line, "image")) return;
    pm_json_set_missing(line, "fit", json_string("crop"));
    pm_json_set_missing(line, "inversion", json_string(method_names[PM_INVERSION_DIRECT]));
    json_t *inversion = json_object_get(line, "inversion");
    if (json_is_string(inversion)) {
        json_object_set_new(line, "inversion", json_pack("{sO}", "method", inversion));
        inversion = json_object_get(line, "inversion");
    }
    const char *method = json_string_value(json_object_get(inversion, "method"));
    if (!method || strcmp(method, method_names[PM_INVERSION_NULL_TEXT]) != 0) return;
    pm_json_set_missing(inversion, "inner_steps", json_integer((json_int_t)usual.inner_steps));
    for (size_t i = 0; i < NULL_TEXT_NUMBERS; i++)
        pm_json_set_missing(inversion, null_text_numbers[i].key, json_real(*number_at(&usual, i)));
}

static bool read_inversion(struct pm_image_recipe *out, const json_t *inversion, const char *where,
                           struct pm_error *err)
{
    const char *known[NULL_TEXT_NUMBERS + 3] = {"method"};
    char place[PM_ERROR_BYTES + 16];
    int method = -1;
    snprintf(place, sizeof place, "%s.inversion", where);
    if (!json_is_object(inversion))
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"inversion\" is %s; a method's name or {\"method\": ...} is wanted",
                       where, pm_json_kind(inversion));
    PM_TRY(pm_json_choice(inversion, place, "method", method_names, &method, err));
    if (method < 0) return pm_fail(err, PM_E_INPUT, "%s: \"method\" is missing", place);
    out->method = (enum pm_inversion_method)method;
    out->null_text = pm_null_text_default();
    if (out->method == PM_INVERSION_NULL_TEXT) {
        known[1] = "inner_steps";
        for (size_t i = 0; i < NULL_TEXT_NUMBERS; i++) known[i + 2] = null_text_numbers[i].key;
    }
    PM_TRY(pm_json_check_keys(inversion, place, known, err));
    PM_TRY(pm_json_size(inversion, place, "inner_steps", 1, MAX_INNER_STEPS,
                        &out->null_text.inner_steps, err));
    for (size_t i = 0; i < NULL_TEXT_NUMBERS; i++)
        PM_TRY(pm_json_number(inversion, place, null_text_numbers[i].key, null_text_numbers[i].min,
                              null_text_numbers[i].max, number_at(&out->null_text, i), err));
    return true;
}

static bool read_margins(struct pm_image_recipe *out, const json_t *crop, const char *where,
                         struct pm_error *err)
{
    static const char *const sides[] = {"left", "right", "top", "bottom", NULL};
    size_t *const values[] = {&out->left, &out->right, &out->top, &out->bottom};
    char place[PM_ERROR_BYTES + 16];
    if (!crop) return true;
    snprintf(place, sizeof place, "%s.crop", where);
    PM_TRY(pm_json_check_keys(crop, place, sides, err));
    for (size_t i = 0; sides[i]; i++)
        PM_TRY(pm_json_size(crop, place, sides[i], 0, MAX_MARGIN, values[i], err));
    return true;
}

bool pm_recipe_image_read(struct pm_image_recipe *out, const json_t *line, const char *where,
                          struct pm_error *err)
{
    static const char *const fits[] = {"crop", "exact", NULL};
    static const char *const noise_keys[] = {"seed", "noise", NULL};
    int fit = 0;
    PM_TRY(pm_json_string(line, where, "image", &out->path, err));
    const char *const *without_effect = out->path ? noise_keys : pm_recipe_image_keys;
    for (size_t i = 0; without_effect[i]; i++)
        if (json_object_get(line, without_effect[i]))
            return pm_fail(err, PM_E_INPUT,
                           out->path ? "%s: \"%s\" has no effect: the noise that an \"image\" is "
                                       "edited from is its inversion"
                                     : "%s: \"%s\" has no effect without an \"image\"",
                           where, without_effect[i]);
    if (!out->path) return true;
    if (!*out->path) return pm_fail(err, PM_E_INPUT, "%s: \"image\" is empty", where);
    PM_TRY(pm_json_choice(line, where, "fit", fits, &fit, err));
    out->must_fit = fit == 1;
    PM_TRY(read_margins(out, json_object_get(line, "crop"), where, err));
    return read_inversion(out, json_object_get(line, "inversion"), where, err);
}

void pm_recipe_restore_resolve(json_t *target)
{
    json_t *restore = json_object_get(target, "restore");
    if (json_is_string(restore) && strcmp(json_string_value(restore), "mask") == 0) {
        json_object_set_new(target, "restore", json_object());
        restore = json_object_get(target, "restore");
    }
    if (!json_is_object(restore)) return;
    pm_json_set_missing(restore, "feather", json_real(RESTORE_FEATHER));
    if (!json_is_object(json_object_get(target, "local_blend")))
        pm_json_set_missing(restore, "threshold", json_real(RESTORE_THRESHOLD));
}

bool pm_recipe_restore_read(struct pm_target_recipe *out, const json_t *target, const char *where,
                            struct pm_error *err)
{
    static const char *const keys[] = {"feather", "threshold", NULL};
    const json_t *restore = json_object_get(target, "restore");
    char place[PM_ERROR_BYTES + 16];
    if (!restore || json_is_null(restore)) return true;
    if (!json_is_object(restore))
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"restore\" is \"mask\" or {\"feather\": pixels, \"threshold\": ...}",
                       where);
    snprintf(place, sizeof place, "%s.restore", where);
    out->restores = true;
    PM_TRY(pm_json_check_keys(restore, place, keys, err));
    if (out->has_blend && json_object_get(restore, "threshold"))
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"threshold\" has no effect beside a local_blend, whose mask is used",
                       place);
    PM_TRY(pm_json_number(restore, place, "threshold", 0.0, 1.0, &out->restore_threshold, err));
    return pm_json_number(restore, place, "feather", 0.0, 256.0, &out->restore_feather, err);
}
