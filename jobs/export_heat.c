#include "export_heat.h"

#include "pm/runtime/agree.h"

#include <stdlib.h>
#include <string.h>

/* The capture's name as people write it. */
static const char *name_of(const struct pm_store_capture *c)
{
    return strrchr(c->path, '/') + 1;
}

static bool is_kept_apart(const struct pm_store_capture *c)
{
    return c->layers > 0 && c->heads > 0;
}

/* Is capture a to be taken rather than b, which is of the same size? What is kept apart by layer and
 * head, of more steps, of tokens rather than words. */
static bool is_better(const struct export_heat *h, const struct pm_store_capture_counts *all,
                      size_t a, size_t b)
{
    const struct pm_store_capture *x = &h->export->shape->captures[a],
                                  *y = &h->export->shape->captures[b];
    if (all[a].layers != all[b].layers) return all[a].layers > all[b].layers;
    if (all[a].steps != all[b].steps) return all[a].steps > all[b].steps;
    if (x->is_of_words != y->is_of_words) return y->is_of_words;
    if (is_kept_apart(x) != is_kept_apart(y)) return is_kept_apart(x);
    return false;
}

static void add_capture(struct export_heat *h, size_t capture,
                        const struct pm_store_capture_counts *all)
{
    h->captures[h->capture_count] = capture;
    h->counts[h->capture_count++] = all[capture];
}

/* The best of each size. */
static bool choose_captures(struct export_heat *h, const struct pm_store_capture_counts *all,
                            struct pm_error *err)
{
    const struct pm_store_shape *s = h->export->shape;
    for (size_t i = 0; i < s->capture_count; i++) {
        const struct pm_store_capture *c = &s->captures[i];
        /* DAAM leaves the middle of the network out */
        bool is_best = !c->is_self && !all[i].is_before && !all[i].is_mid;
        for (size_t j = 0; is_best && j < s->capture_count; j++) {
            const struct pm_store_capture *d = &s->captures[j];
            if (j == i || d->is_self || all[j].is_before || d->height != c->height ||
                d->width != c->width)
                continue;
            bool is_worse = is_better(h, all, j, i);
            is_best = !is_worse && (j > i || is_better(h, all, i, j));
        }
        if (is_best) add_capture(h, i, all);
    }
    return h->capture_count > 0 ||
           pm_fail(err, PM_E_INPUT,
                   "%s keeps no cross-attention that heat maps could be made of; see \"capture\" "
                   "in docs/config.md",
                   h->export->options->store);
}

static bool find_capture(size_t *out, const struct export *x, const char *name, bool is_self,
                         struct pm_error *err)
{
    for (size_t i = 0; i < x->shape->capture_count; i++) {
        const struct pm_store_capture *c = &x->shape->captures[i];
        if (strcmp(name_of(c), name) != 0) continue;
        *out = i;
        return c->is_self == is_self || pm_fail(err, PM_E_INPUT, "%s is a capture of %s-attention",
                                                c->path, c->is_self ? "self" : "cross");
    }
    return pm_fail(err, PM_E_INPUT,
                   "%s has no capture \"%s\"; `promptmill show` with an id lists "
                   "them",
                   x->options->store, name);
}

static bool take_named_captures(struct export_heat *h, const struct pm_store_capture_counts *all,
                                struct pm_error *err)
{
    char *names = strdup(h->export->options->heat.maps), *rest = names, *name;
    if (!names) pm_die("no memory for names");
    bool ok = true;
    while (ok && (name = strsep(&rest, ","))) {
        size_t capture;
        ok = find_capture(&capture, h->export, name, false, err);
        for (size_t i = 0; ok && i < h->capture_count; i++)
            if (h->captures[i] == capture)
                ok = pm_fail(err, PM_E_INPUT, "--maps names \"%s\" twice", name);
        if (ok) add_capture(h, capture, all);
    }
    free(names);
    return ok;
}

static bool choose_self(struct export_heat *h, struct pm_error *err)
{
    const struct export *x = h->export;
    const struct pm_store_shape *s = x->shape;
    h->self = SIZE_MAX;
    if (x->options->heat.propagations == 0) return true;
    if (x->options->heat.self) {
        PM_TRY(find_capture(&h->self, x, x->options->heat.self, true, err));
    } else {
        for (size_t i = 0; i < s->capture_count; i++) {
            const struct pm_store_capture *c = &s->captures[i];
            if (c->is_self &&
                (h->self == SIZE_MAX ||
                 c->height * c->width > s->captures[h->self].height * s->captures[h->self].width))
                h->self = i;
        }
        if (h->self == SIZE_MAX)
            return pm_fail(err, PM_E_INPUT,
                           "%s keeps no self-attention to propagate heat maps by: it wants a "
                           "capture of \"kind\": \"self\"",
                           x->options->store);
    }
    h->height = s->captures[h->self].height;
    h->width = s->captures[h->self].width;
    return true;
}

static bool choose(struct export_heat *h, struct pm_error *err)
{
    const struct export *x = h->export;
    struct pm_store_capture_counts all[PM_STORE_MAX_CAPTURES];
    for (size_t i = 0; i < x->shape->capture_count; i++)
        PM_TRY(pm_store_read_capture_counts(&all[i], x->store, i, err));
    PM_TRY(x->options->heat.maps ? take_named_captures(h, all, err) : choose_captures(h, all, err));
    h->height = h->counts[0].latent_height;
    h->width = h->counts[0].latent_width;
    PM_TRY(choose_self(h, err));
    const struct pm_store_capture *first = &x->shape->captures[h->captures[0]];
    for (size_t i = 1; i < h->capture_count; i++) {
        const struct pm_store_capture *c = &x->shape->captures[h->captures[i]];
        if (c->is_of_words != first->is_of_words || h->counts[i].steps != h->counts[0].steps)
            return pm_fail(err, PM_E_INPUT,
                           "%s and %s differ in their steps or in that one has maps of tokens, "
                           "one of words: no heat map is of both; choose by --maps",
                           first->path, c->path);
    }
    if (first->is_of_words && x->options->heat.shares)
        return pm_fail(err, PM_E_INPUT, "--share-tokens wants maps of tokens; %s has words",
                       first->path);
    h->columns = first->is_of_words ? x->shape->words : x->shape->tokens;
    return true;
}

static bool split_words(struct export_heat *h, struct pm_error *err)
{
    const char *text = h->export->options->heat.words;
    if (!text) return true;
    h->word_memory = strdup(text);
    if (!h->word_memory) pm_die("no memory for words");
    for (char *rest = h->word_memory, *word; (word = strsep(&rest, ","));) {
        if (h->word_count == EXPORT_MAX_WORDS)
            return pm_fail(err, PM_E_INPUT, "--words: at most %d words", EXPORT_MAX_WORDS);
        if (!*word) return pm_fail(err, PM_E_INPUT, "--words \"%.80s\": a word is empty", text);
        for (size_t i = 0; i < h->word_count; i++)
            if (strcmp(h->words[i], word) == 0)
                return pm_fail(err, PM_E_INPUT, "--words names \"%.80s\" twice", word);
        h->words[h->word_count++] = word;
    }
    return true;
}

bool export_heat_begin(struct export_heat *out, const struct export *x, struct pm_error *err)
{
    *out = (struct export_heat){.export = x};
    bool ok = choose(out, err) && split_words(out, err);
    return pm_agree(MPI_COMM_WORLD, ok, err) && export_words_check(out, err);
}

void export_heat_free(struct export_heat *heat)
{
    free(heat->word_memory);
    *heat = (struct export_heat){0};
}

json_t *export_heat_describe(const struct export_heat *h)
{
    const struct export_heat_options *o = &h->export->options->heat;
    const struct pm_store_shape *s = h->export->shape;
    json_t *maps = json_array(), *words = json_array();
    for (size_t i = 0; i < h->capture_count; i++)
        json_array_append_new(maps, json_string(name_of(&s->captures[h->captures[i]])));
    for (size_t i = 0; i < h->word_count; i++)
        json_array_append_new(words, json_string(h->words[i]));
    json_t *out =
        json_pack("{s:o, s:o, s:s, s:b, s:I, s:I}", "maps", maps, "words", words, "time",
                  o->time == PM_HEAT_SUM_OF_STEPS ? "sum" : "mean", "share_tokens", (int)o->shares,
                  "propagate", (json_int_t)o->propagations, "guide", (json_int_t)o->guide_radius);
    if (!out) pm_die("no memory to describe heat maps");
    if (h->self != SIZE_MAX)
        json_object_set_new(out, "self", json_string(name_of(&s->captures[h->self])));
    return out;
}
