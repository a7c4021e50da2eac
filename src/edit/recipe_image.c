#include "recipe_image.h"

#include <stdio.h>
#include <string.h>

/* Image pixels: about one latent pixel of Stable Diffusion's, whose mask this softens. */
static const double RESTORE_FEATHER = 6.0, RESTORE_THRESHOLD = 0.3;

const char *const pm_recipe_image_keys[] = {"fit", "crop", "inversion", NULL};

static const char *const method_names[] = {"direct", "ddim", "negative-prompt", NULL};

enum { MAX_MARGIN = 1 << 20 };

void pm_recipe_image_resolve(json_t *line)
{
    if (!json_object_get(line, "image")) return;
    pm_json_set_missing(line, "fit", json_string("crop"));
    pm_json_set_missing(line, "inversion", json_string(method_names[PM_INVERSION_DIRECT]));
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
    int fit = 0, method = 0;
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
    PM_TRY(pm_json_choice(line, where, "inversion", method_names, &method, err));
    out->method = (enum pm_inversion_method)method;
    return true;
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
