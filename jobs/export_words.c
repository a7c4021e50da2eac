#include "export_heat.h"
#include "store_look.h"

#include "pm/control/words.h"
#include "pm/data/guided_filter.h"
#include "pm/data/heat_map.h"
#include "pm/runtime/agree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float GUIDE_EPSILON =
    1e-3f; /* colours that differ by less than 8 of 255 are one thing */

static float *allocate(size_t count)
{
    float *out = malloc((count + 1) * sizeof *out);
    if (!out) pm_die("no memory for %zu numbers of maps", count);
    return out;
}

/* The stored prompt's tokens as words are found among. */
static void tokens_of(struct pm_tokens *out, const struct pm_store_prompt *prompt)
{
    memset(out, 0, sizeof *out);
    out->count = prompt->tokens < PM_TOKENS ? prompt->tokens : PM_TOKENS;
    for (size_t t = 0; t < out->count; t++) {
        out->ids[t] = prompt->token_id[t];
        out->word[t] = (int16_t)prompt->token_word[t];
    }
}

static void add_word(struct export_words *w, const char *text, size_t number,
                     const struct pm_token_set *tokens)
{
    struct export_word *word = &w->list[w->count++];
    *word = (struct export_word){.text = strdup(text), .number = number};
    if (!word->text) pm_die("no memory for a word");
    memcpy(word->has_token, tokens->has, sizeof word->has_token);
}

/* A named word's tokens, wherever it is in the prompt: as DAAM has it. */
static bool find_tokens(struct pm_token_set *set, const struct pm_store_prompt *prompt,
                        const char *text)
{
    struct pm_tokens tokens;
    struct pm_error absent;
    tokens_of(&tokens, prompt);
    return pm_words_find(set, prompt->text, &tokens, text, &absent);
}

/* Take it if it is there. */
static void take_word(struct export_words *w, const char *text, size_t number)
{
    struct pm_token_set set;
    if (find_tokens(&set, &w->prompt, text)) add_word(w, text, number, &set);
}

static void take_prompt(struct export_words *w)
{
    for (size_t i = 0; i < w->prompt.words; i++) {
        struct pm_token_set set = {0};
        for (size_t t = 0; t < w->prompt.tokens && t < PM_TOKENS; t++) {
            set.has[t] = w->prompt.token_word[t] == (int32_t)i;
            set.count += set.has[t];
        }
        if (set.count > 0) add_word(w, w->prompt.word[i], i + 1, &set);
    }
}

/* Is a word in one of a line's prompts? */
static bool line_has(bool *has, const struct export *x, const struct pm_store_item *item,
                     const char *text, struct pm_error *err)
{
    *has = false;
    for (size_t t = 0; !*has && t < item->entries; t++) {
        struct pm_store_prompt prompt;
        struct pm_token_set unused;
        PM_TRY(pm_store_read_prompt(&prompt, x->store, item->first_entry + t, err));
        *has = find_tokens(&unused, &prompt, text);
        pm_store_prompt_free(&prompt);
    }
    return true;
}

/* "meta": {"words": [...]} of the line: those that are in this picture's prompt. */
static bool take_line(struct export_words *w, const struct export *x, const json_t *words,
                      const struct pm_store_item *item, struct pm_error *err)
{
    if (!json_is_array(words) || json_array_size(words) > EXPORT_MAX_WORDS)
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"words\" of its \"meta\" is to be a list of at most %d words",
                       item->id, EXPORT_MAX_WORDS);
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *text = json_string_value(json_array_get(words, i));
        size_t before = w->count;
        bool is_elsewhere = true;
        if (!text || !*text)
            return pm_fail(err, PM_E_INPUT,
                           "%s: \"words\"[%zu] of its \"meta\" is %s; a word is wanted", item->id,
                           i, text ? "empty" : pm_json_kind(json_array_get(words, i)));
        take_word(w, text, i + 1);
        if (w->count == before) PM_TRY(line_has(&is_elsewhere, x, item, text, err));
        if (!is_elsewhere)
            return pm_fail(
                err, PM_E_INPUT,
                "%s: \"words\" of its \"meta\" has \"%.80s\", which is in none of its prompts",
                item->id, text);
    }
    return true;
}

static bool choose_words(struct export_words *w, const struct export_heat *h,
                         const struct pm_store_item *item, bool takes_all, struct pm_error *err)
{
    size_t most = w->prompt.words > EXPORT_MAX_WORDS ? w->prompt.words : EXPORT_MAX_WORDS;
    w->list = calloc(most, sizeof *w->list);
    if (!w->list) pm_die("no memory for %zu words", most);
    for (size_t i = 0; i < h->word_count; i++) take_word(w, h->words[i], i + 1);
    if (h->word_count > 0) return true;
    json_t *recipe;
    PM_TRY(pm_json_parse(&recipe, item->recipe, strlen(item->recipe), item->id, err));
    const json_t *words = json_object_get(json_object_get(recipe, "meta"), "words");
    bool ok = words != NULL || takes_all ||
              pm_fail(err, PM_E_INPUT,
                      "%s: nothing says which words are things: --words, or the line's \"meta\": "
                      "{\"words\": [...]}",
                      item->id);
    if (ok && words) ok = take_line(w, h->export, words, item, err);
    if (ok && !words) take_prompt(w);
    json_decref(recipe);
    return ok;
}

/* The maps of a capture with what they are means of. @return values, owned by the caller */
static bool read_maps(struct pm_heat_maps *out, const struct export_heat *h, size_t i, size_t entry,
                      struct pm_error *err)
{
    const struct export *x = h->export;
    const struct pm_store_capture *c = &x->shape->captures[h->captures[i]];
    const struct pm_store_capture_counts *all = &h->counts[i];
    float *values = allocate(pm_store_attention_floats(x->store, h->captures[i]));
    *out = (struct pm_heat_maps){.values = values,
                                 .steps = c->steps ? c->steps : 1,
                                 .layers = c->layers ? c->layers : 1,
                                 .heads = c->heads ? c->heads : 1,
                                 .height = c->height,
                                 .width = c->width,
                                 .columns = h->columns,
                                 .all_steps = all->steps,
                                 .all_layers = all->layers,
                                 .all_heads = all->heads};
    return pm_store_read_attention(values, x->store, h->captures[i], entry, err);
}

/* Each word's map, the mean of its columns'. */
static void merge(struct export_words *w, const struct export_heat *h, const float *heat)
{
    bool of_words = h->export->shape->captures[h->captures[0]].is_of_words;
    size_t pixels = h->height * h->width;
    w->heat = allocate(w->count * pixels);
    for (size_t i = 0; i < w->count; i++) {
        size_t columns[PM_TOKENS], count = 0;
        int32_t before = -1;
        for (size_t t = 0; t < w->prompt.tokens && t < PM_TOKENS; t++) {
            int32_t word = w->prompt.token_word[t];
            if (!w->list[i].has_token[t] || (of_words && word == before)) continue;
            columns[count++] = of_words ? (size_t)word : t;
            before = word;
        }
        pm_word_heat_merge(w->heat + i * pixels, heat, pixels, columns, count);
    }
}

static bool propagate(struct export_words *w, const struct export_heat *h, size_t entry,
                      struct pm_error *err)
{
    const struct export *x = h->export;
    if (h->self == SIZE_MAX) return true;
    size_t pixels = h->height * h->width, floats = pm_store_attention_floats(x->store, h->self);
    float *maps = allocate(floats), *affinity = allocate(pixels * pixels);
    bool ok = pm_store_read_attention(maps, x->store, h->self, entry, err);
    if (ok) {
        pm_word_heat_affinity(affinity, maps, floats / (pixels * pixels), pixels);
        pm_word_heat_propagate(w->heat, w->count, affinity, pixels, x->options->heat.propagations);
    }
    free(maps);
    free(affinity);
    return ok;
}

static bool compute(struct export_words *w, const struct export_heat *h, size_t entry,
                    struct pm_error *err)
{
    struct pm_heat_maps maps[PM_STORE_MAX_CAPTURES] = {0};
    const struct export_heat_options *o = &h->export->options->heat;
    size_t pixels = h->height * h->width;
    float *heat = allocate(h->columns * pixels);
    bool ok = true;
    for (size_t i = 0; ok && i < h->capture_count; i++) ok = read_maps(&maps[i], h, i, entry, err);
    if (ok) {
        pm_word_heat_of_maps(heat, h->height, h->width, maps, h->capture_count, o->time);
        if (o->shares) /* of the prompt's own tokens, without begin and end */
            pm_word_heat_share(heat, h->columns, pixels, 1,
                               w->prompt.tokens > 1 ? w->prompt.tokens - 1 : 1);
        merge(w, h, heat);
    }
    for (size_t i = 0; i < h->capture_count; i++) free((void *)maps[i].values);
    free(heat);
    return ok && propagate(w, h, entry, err);
}

bool export_words_read(struct export_words *out, const struct export_heat *heat,
                       const struct pm_store_item *item, size_t item_number, size_t entry,
                       bool takes_all, struct pm_error *err)
{
    const struct export *x = heat->export;
    *out = (struct export_words){0};
    PM_TRY(pm_store_read_prompt(&out->prompt, x->store, entry, err));
    pm_image_init(&out->picture, x->shape->image_width, x->shape->image_height);
    PM_TRY(entry == item->first_entry
               ? store_read_before(out->picture.pixels, x->store, item_number, entry, err)
               : pm_store_read_image(out->picture.pixels, x->store, entry, err));
    return choose_words(out, heat, item, takes_all, err) && compute(out, heat, entry, err);
}

void export_words_free(struct export_words *words)
{
    for (size_t i = 0; i < words->count; i++) free(words->list[i].text);
    free(words->list);
    free(words->heat);
    pm_image_free(&words->picture);
    if (words->prompt.memory) pm_store_prompt_free(&words->prompt);
    *words = (struct export_words){0};
}

float *export_words_enlarge(const struct export_words *w, const struct export_heat *heat)
{
    size_t height = w->picture.height, width = w->picture.width, pixels = height * width;
    size_t radius = heat->export->options->heat.guide_radius;
    float *large = allocate(w->count * pixels);
    for (size_t i = 0; i < w->count; i++) {
        pm_heat_map_interpolate(large + i * pixels, height, width,
                                w->heat + i * heat->height * heat->width, heat->height,
                                heat->width);
        pm_heat_map_normalize(large + i * pixels, pixels, PM_HEAT_MIN_TO_MAX);
    }
    if (radius == 0) return large;
    pm_guided_filter(large, w->count, &w->picture, radius, GUIDE_EPSILON);
    for (size_t i = 0; i < w->count; i++)
        pm_heat_map_normalize(large + i * pixels, pixels, PM_HEAT_MIN_TO_MAX);
    return large;
}

/* This rank's part of the items that are asked for. */
static void share_of(size_t *first, size_t *end, const struct export *x)
{
    size_t count = x->options->id_count ? x->options->id_count : x->shape->items;
    *first = count * (size_t)x->rank / (size_t)x->ranks;
    *end = count * (size_t)(x->rank + 1) / (size_t)x->ranks;
}

static bool open_item(struct pm_store_item *item, size_t *number, const struct export *x, size_t i,
                      struct pm_error *err)
{
    *number = i;
    if (x->options->id_count > 0)
        PM_TRY(store_find_item(number, x->store, x->options->ids[i], err));
    return pm_store_read_item(item, x->store, *number, err);
}

static bool visit_item(struct export *x, const struct pm_store_item *item, size_t number,
                       export_picture *visit, void *self, struct pm_error *err)
{
    char name[EXPORT_NAME], safe[PM_SAFE_NAME_BYTES];
    pm_safe_name(safe, item->id);
    for (size_t t = 0; t < item->entries; t++) {
        enum export_fate fate;
        size_t entry = item->first_entry + t;
        PM_TRY(export_judge(&fate, x, item, t, err));
        x->left_out += fate == EXPORT_NOT_DONE;
        x->rejected += fate == EXPORT_REJECTED;
        if (fate != EXPORT_KEPT) continue;
        snprintf(name, sizeof name, "%05zu-%s", entry, safe);
        PM_TRY(visit(self, item, number, entry, name, err));
    }
    return true;
}

bool export_each_picture(struct export *x, export_picture *visit, void *self, struct pm_error *err)
{
    size_t first, end;
    bool ok = true;
    share_of(&first, &end, x);
    for (size_t i = first; ok && i < end; i++) {
        struct pm_store_item item;
        size_t number;
        PM_TRY(open_item(&item, &number, x, i, err));
        ok = visit_item(x, &item, number, visit, self, err);
        pm_store_item_free(&item);
    }
    return ok;
}

/* How many of this rank's prompts have each word. */
static bool count_words(unsigned long long counts[EXPORT_MAX_WORDS], const struct export_heat *h,
                        struct pm_error *err)
{
    size_t first, end;
    share_of(&first, &end, h->export);
    for (size_t i = first; i < end; i++) {
        struct pm_store_item item;
        size_t number;
        PM_TRY(open_item(&item, &number, h->export, i, err));
        size_t entry = item.first_entry, last = entry + item.entries;
        pm_store_item_free(&item);
        for (; entry < last; entry++) {
            struct pm_store_prompt prompt;
            struct pm_token_set unused;
            PM_TRY(pm_store_read_prompt(&prompt, h->export->store, entry, err));
            for (size_t w = 0; w < h->word_count; w++)
                counts[w] += find_tokens(&unused, &prompt, h->words[w]);
            pm_store_prompt_free(&prompt);
        }
    }
    return true;
}

bool export_words_check(const struct export_heat *heat, struct pm_error *err)
{
    unsigned long long mine[EXPORT_MAX_WORDS] = {0}, all[EXPORT_MAX_WORDS];
    if (heat->word_count == 0) return true;
    PM_TRY(pm_agree(MPI_COMM_WORLD, count_words(mine, heat, err), err));
    MPI_Allreduce(mine, all, (int)heat->word_count, MPI_UNSIGNED_LONG_LONG, MPI_SUM,
                  MPI_COMM_WORLD);
    for (size_t w = 0; w < heat->word_count; w++)
        if (all[w] == 0)
            return pm_fail(err, PM_E_INPUT, "--words: no prompt of %s has \"%.80s\"",
                           heat->export->options->store, heat->words[w]);
    return true;
}
