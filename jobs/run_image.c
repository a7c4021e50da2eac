#include "run_image.h"

#include "run_inversions.h"

#include "pm/base/log.h"
#include "pm/base/path.h"
#include "pm/data/image_fit.h"
#include "pm/data/image_metrics.h"

#include <stdio.h>
#include <string.h>

/* Below this the picture is another one, docs/inversion.md: what DDIM inversion under guidance gives
 * at its worst, and no working method. */
static const double FAILED_PSNR = 20.0;

/* FOLDER/PATH, FOLDER the manifest's; absolute paths stay. */
static bool image_path(char path[PATH_MAX], const char *manifest, const char *image,
                       struct pm_error *err)
{
    int folder = image[0] == '/' ? 0 : (int)(pm_path_name(manifest) - manifest);
    if (snprintf(path, PATH_MAX, "%.*s%s", folder, manifest, image) < PATH_MAX) return true;
    return pm_fail(err, PM_E_INPUT, "the path of the image %.100s... is too long", image);
}

/* Found, or made. */
static bool invert(struct run_image *out, struct run *r, const struct pm_recipe *recipe,
                   const struct pm_prepared *prepared, struct pm_error *err)
{
    const unsigned char *pixels = out->real.pixels;
    bool has_embeddings = recipe->image.method == PM_INVERSION_NULL_TEXT;
    out->key = run_inversions_key(r, recipe, prepared, pixels);
    if (run_inversions_find(&out->real.inversion, r, &out->key, has_embeddings)) {
        pm_log(PM_LOG_DEBUG, "%s: its inversion was there already", recipe->id);
        return true;
    }
    return pm_invert_image(&out->real.inversion, &r->settings, recipe, prepared, pixels,
                           &r->scratch, err);
}

struct pm_image_fit run_image_fit(const struct pm_image_recipe *image)
{
    return (struct pm_image_fit){.rule = image->must_fit ? PM_FIT_EXACT : PM_FIT_CROP,
                                 .crop = {image->left, image->right, image->top, image->bottom}};
}

bool run_image_load(unsigned char *pixels, const struct pm_config *config,
                    const struct pm_edit_settings *s, const struct pm_image_recipe *image,
                    struct pm_error *err)
{
    size_t factor = s->model->vae.factor;
    struct pm_image_fit fit = run_image_fit(image);
    char path[PATH_MAX];
    return image_path(path, config->manifest, image->path, err) &&
           pm_image_load_fitted(pixels, s->latent_height * factor, s->latent_width * factor, path,
                                &fit, err);
}

bool run_image_open(struct run_image *out, struct run *r, const struct pm_recipe *recipe,
                    const struct pm_prepared *prepared, struct pm_error *err)
{
    const struct pm_edit_settings *s = &r->settings;
    size_t mark = r->scratch.used, factor = s->model->vae.factor;
    size_t bytes = s->latent_height * factor * s->latent_width * factor * 3;
    unsigned char *pixels = pm_arena_bytes(&r->scratch, bytes);
    *out = (struct run_image){.real.pixels = pixels};
    bool ok = run_image_load(pixels, &r->config, s, &recipe->image, err) &&
              invert(out, r, recipe, prepared, err);
    if (!ok) r->scratch.used = mark;
    return ok;
}

void run_image_judge(struct run_image *image, const struct run *r, const struct pm_recipe *recipe,
                     const unsigned char *reconstruction)
{
    const struct pm_edit_settings *s = &r->settings;
    const char *id = recipe->id;
    enum pm_inversion_method method = recipe->image.method;
    size_t factor = s->model->vae.factor;
    double metrics[PM_IMAGE_METRICS];
    pm_image_measure(metrics, reconstruction, image->real.pixels, NULL, s->latent_height * factor,
                     s->latent_width * factor);
    double psnr = image->psnr = metrics[PM_PSNR];
    bool is_direct = method == PM_INVERSION_DIRECT; /* then all that is lost, the VAE has lost */
    if (psnr < FAILED_PSNR)
        pm_log(PM_LOG_WARNING,
               "%s: its reconstruction is at %.1f dB PSNR of the picture, below %g: %s", id, psnr,
               FAILED_PSNR,
               is_direct ? "the model's VAE cannot show this picture"
                         : "the inversion failed; \"inversion\": \"direct\" follows it exactly");
    else
        pm_log(PM_LOG_DEBUG, "%s: the reconstruction is at %.1f dB PSNR of the picture", id, psnr);
}

void run_image_payload(struct pm_store_payload *payload, const struct run_image *image,
                       const struct pm_store_shape *shape)
{
    if (shape->originals) {
        payload->original = image->real.pixels;
        payload->reconstruction_psnr = &image->psnr;
    }
    if (shape->inversions) {
        payload->inversion_key = &image->key;
        payload->inversion = image->real.inversion.latents;
        payload->embeddings = image->real.inversion.uncond;
    }
}
