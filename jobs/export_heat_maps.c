/* promptmill export --as heat-maps: for each picture a folder with the picture, each word's heat map as
 * a grey picture and laid over it, and the heat maps as numbers. */
#include "export_heat.h"
#include "export_tree.h"

#include "pm/data/heat_map.h"
#include "pm/data/npy.h"
#include "pm/runtime/agree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char RECORD[] = "words.json"; /* written last: with it, a folder is whole */

struct writing {
    struct export *export;
    struct export_heat heat;
};

/* "03-ball.png", of the prompt's fourth word or the third that is named. */
static void word_path(char path[PATH_MAX], const char *folder, const struct export_word *word,
                      const char *ending)
{
    char safe[PM_SAFE_NAME_BYTES];
    pm_safe_name(safe, word->text);
    snprintf(path, PATH_MAX, "%s/%02zu-%s%s", folder, word->number, safe, ending);
}

static bool write_word(struct writing *w, const struct export_words *words, size_t i,
                       const float *heat, const char *folder, struct pm_error *err)
{
    char name[PATH_MAX], path[PATH_MAX];
    size_t width = words->picture.width, height = words->picture.height, pixels = width * height;
    uint8_t *grey = malloc(pixels);
    struct pm_image overlay;
    if (!grey) pm_die("no memory for a picture");
    for (size_t p = 0; p < pixels; p++) grey[p] = (uint8_t)lrintf(heat[p] * 255.0f);
    word_path(name, folder, &words->list[i], ".png");
    bool ok = export_path(path, w->export, name, err) &&
              pm_image_write_byte_png(grey, width, height, NULL, path, err);
    free(grey);
    PM_TRY(ok);
    pm_image_init(&overlay, width, height);
    memcpy(overlay.pixels, words->picture.pixels, pixels * 3);
    pm_heat_map_overlay(&overlay, heat);
    word_path(name, folder, &words->list[i], ".overlay.png");
    ok = export_path(path, w->export, name, err) && pm_image_write_png(&overlay, path, err);
    pm_image_free(&overlay);
    return ok;
}

/* What the folder's numbers are. */
static char *describe(const struct writing *w, const struct export_words *words,
                      const struct pm_store_item *item, size_t entry)
{
    json_t *list = json_array();
    for (size_t i = 0; i < words->count; i++) {
        json_t *tokens = json_array();
        for (size_t t = 0; t < PM_TOKENS; t++)
            if (words->list[i].has_token[t])
                json_array_append_new(tokens, json_integer((json_int_t)t));
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:o}", "word", words->list[i].text, "number",
                                        (json_int_t)words->list[i].number, "tokens", tokens));
    }
    json_t *json =
        json_pack("{s:s, s:I, s:i, s:I, s:s, s:o, s:o}", "id", item->id, "entry", (json_int_t)entry,
                  "target", words->prompt.target, "seed", (json_int_t)item->seed, "prompt",
                  words->prompt.text, "words", list, "settings", export_heat_describe(&w->heat));
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    if (!text) pm_die("no memory to describe heat maps");
    json_decref(json);
    return text;
}

static bool write_folder(struct writing *w, const struct export_words *words,
                         const struct pm_store_item *item, size_t entry, const char *name,
                         struct pm_error *err)
{
    char path[PATH_MAX], below[EXPORT_NAME + 32];
    size_t shape[] = {words->count, w->heat.height, w->heat.width};
    size_t pixels = words->picture.width * words->picture.height;
    float *large = export_words_enlarge(words, &w->heat);
    snprintf(below, sizeof below, "%s/picture.png", name);
    bool ok = export_write_picture(w->export, &words->picture, below, EXPORT_PNG_PICTURES, err);
    for (size_t i = 0; ok && i < words->count; i++)
        ok = write_word(w, words, i, large + i * pixels, name, err);
    free(large);
    snprintf(below, sizeof below, "%s/heat.npy", name);
    ok = ok && export_path(path, w->export, below, err) &&
         pm_npy_write(path, words->heat, shape, 3, err);
    PM_TRY(ok);
    char *text = describe(w, words, item, entry);
    snprintf(below, sizeof below, "%s/%s", name, RECORD);
    ok = export_write_text(w->export, text, below, err);
    free(text);
    return ok;
}

static bool write_picture(void *self, const struct pm_store_item *item, size_t item_number,
                          size_t entry, const char *name, struct pm_error *err)
{
    struct writing *w = self;
    struct export_words words;
    char record[EXPORT_NAME + 32];
    snprintf(record, sizeof record, "%s/%s", name, RECORD);
    if (export_has_file(w->export, record)) {
        w->export->found++;
        return true;
    }
    bool ok = export_words_read(&words, &w->heat, item, item_number, entry, true, err) &&
              write_folder(w, &words, item, entry, name, err);
    export_words_free(&words);
    return ok;
}

bool export_heat_maps(struct export *x, struct pm_error *err)
{
    struct writing w = {.export = x};
    bool ok = export_heat_begin(&w.heat, x, err);
    if (ok) {
        json_t *settings = export_heat_describe(&w.heat);
        ok = export_claim_folder(x, "heat-maps", settings, err);
        json_decref(settings);
    }
    ok = ok && pm_agree(MPI_COMM_WORLD, export_each_picture(x, write_picture, &w, err), err);
    export_heat_free(&w.heat);
    if (ok) export_tree_report(x);
    return ok;
}
