#include "plan_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CELL_BYTES = 128, MOST_WIDTH = 96 };

/** Tokens of both prompts that belong together, or of one that has no other: [source, source_end) and
 *  [target, target_end). */
struct column {
    size_t source, source_end, target, target_end;
    char mark;
    char source_text[CELL_BYTES], target_text[CELL_BYTES];
    size_t width;
};

/** The columns of one target. */
struct drawing {
    struct column columns[2 * PM_TOKENS];
    size_t count;
    const struct pm_tokenizer *tokenizer;
    const struct pm_tokens *source, *target;
};

/* Take a character from text. @return its columns on a terminal; what cannot be printed is a "?" */
static size_t take_character(char out[8], const char **text)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)*text, -1, &c);
    bool is_sound = n > 0 && c >= ' ' && c != 0x7F && utf8proc_charwidth(c) > 0;
    size_t bytes = n > 0 ? (size_t)n : 1;
    strcpy(out, "?");
    if (is_sound) {
        memcpy(out, *text, bytes);
        out[bytes] = '\0';
    }
    *text += bytes;
    return is_sound ? (size_t)utf8proc_charwidth(c) : 1;
}

static bool is_text(const char *bytes)
{
    utf8proc_int32_t c;
    for (utf8proc_ssize_t n; *bytes; bytes += n)
        if ((n = utf8proc_iterate((const utf8proc_uint8_t *)bytes, -1, &c)) <= 0) return false;
    return true;
}

/* The tokens [first, end) of one word: "cac-tus"; without the dashes where a character is parted. */
static void join_word(char word[CELL_BYTES], const struct pm_tokenizer *tokenizer,
                      const struct pm_tokens *tokens, size_t first, size_t end)
{
    bool has_dashes = true;
    for (size_t t = first; t < end; t++)
        has_dashes = has_dashes && is_text(pm_token_text(tokenizer, tokens->ids[t]));
    word[0] = '\0';
    for (size_t t = first; t < end; t++) {
        size_t used = strlen(word);
        snprintf(word + used, CELL_BYTES - used, "%s%s", t > first && has_dashes ? "-" : "",
                 pm_token_text(tokenizer, tokens->ids[t]));
    }
}

/* What can be printed of the tokens [first, end), word by word. @return its width */
static size_t fill_cell(char cell[CELL_BYTES], const struct pm_tokenizer *tokenizer,
                        const struct pm_tokens *tokens, size_t first, size_t end)
{
    size_t width = 0, used = 0;
    cell[0] = '\0';
    for (size_t t = first, next; t < end; t = next) {
        char word[CELL_BYTES];
        for (next = t + 1; next < end && tokens->word[next] == tokens->word[t];) next++;
        join_word(word, tokenizer, tokens, t, next);
        if (used > 0) {
            strcpy(cell + used++, " ");
            width++;
        }
        for (const char *rest = word; *rest && used + 16 < CELL_BYTES;) {
            width += take_character(cell + used, &rest);
            used += strlen(cell + used);
        }
        if (used + 32 >= CELL_BYTES) break;
    }
    return width;
}

static void fill_column(struct column *c, const struct drawing *d)
{
    size_t above = fill_cell(c->source_text, d->tokenizer, d->source, c->source, c->source_end);
    size_t below = fill_cell(c->target_text, d->tokenizer, d->target, c->target, c->target_end);
    if (c->source == c->source_end && c->mark == ':')
        above = strlen(strcpy(c->source_text, "(padding)"));
    c->width = above > below ? above : below;
}

/* Does a side of a column go on with the word of the column before? */
static bool goes_on(const struct pm_tokens *tokens, size_t first, size_t end, size_t before,
                    size_t before_end)
{
    if (first == end || before == before_end) return first == end && before == before_end;
    return first == before_end && tokens->word[first] == tokens->word[before_end - 1];
}

static void add_column(struct drawing *d, struct column new)
{
    struct column *last = d->count > 0 ? &d->columns[d->count - 1] : NULL;
    if (last &&
        last->mark == new.mark &&goes_on(d->source, new.source, new.source_end, last->source,
                                         last->source_end) &&
        goes_on(d->target, new.target, new.target_end, last->target, last->target_end)) {
        if (new.source < new.source_end) last->source_end = new.source_end;
        if (new.target < new.target_end) last->target_end = new.target_end;
        return;
    }
    d->columns[d->count++] = new;
}

static bool same_tokens(const struct drawing *d, size_t source, size_t source_end, size_t target,
                        size_t target_end)
{
    size_t n = source_end - source;
    return n == target_end - target && memcmp(&d->source->ids[source], &d->target->ids[target],
                                              n * sizeof *d->source->ids) == 0;
}

/** The source tokens that a target token comes from: [first, end). */
struct origin {
    size_t first, end;
};

/* Draw from the target's tokens' origins, without start and end. */
static void add_columns(struct drawing *d, const struct origin *origins)
{
    size_t i = 1, j = 1, sources = d->source->count - 1, targets = d->target->count - 1;
    while (j < targets) {
        struct origin o = origins[j];
        size_t end = j + 1;
        if (o.first == o.end) {
            add_column(d, (struct column){.mark = '+', .target = j, .target_end = end});
            j = end;
            continue;
        }
        /* those that share an origin stand together */
        for (; end < targets && origins[end].first < o.end && origins[end].first < origins[end].end;
             end++)
            if (origins[end].end > o.end) o.end = origins[end].end;
        for (; i < o.first && i < sources; i++)
            add_column(d, (struct column){.mark = '-', .source = i, .source_end = i + 1});
        size_t last = o.end < sources ? o.end : sources, first = o.first > i ? o.first : i;
        if (first > last) first = last;
        add_column(d, (struct column){.mark = same_tokens(d, first, last, j, end) ? '|' : ':',
                                      .source = first,
                                      .source_end = last,
                                      .target = j,
                                      .target_end = end});
        i = last > i ? last : i;
        j = end;
    }
    for (; i < sources; i++)
        add_column(d, (struct column){.mark = '-', .source = i, .source_end = i + 1});
}

static void find_origins(struct origin *origins, const struct pm_recipe *recipe,
                         const struct pm_target_recipe *target, const struct pm_tokens *source,
                         const struct pm_tokens *tokens)
{
    static float map[PM_TOKENS * PM_TOKENS];
    int from[PM_TOKENS];
    float alpha[PM_TOKENS];
    struct pm_error err = {0};
    memset(map, 0, sizeof map);
    if (target->edit == PM_EDIT_REPLACE) {
        bool is_aligned = pm_align_replace(map, recipe->source, source, target->prompt, tokens,
                                           target->mapper, &err);
        PM_ASSERT(is_aligned); /* the target was prepared */
    } else {                   /* reweight's prompts are the same */
        pm_align_refine(from, alpha, source, tokens);
        for (size_t n = 0; n < PM_TOKENS; n++)
            if (from[n] >= 0) map[(size_t)from[n] * PM_TOKENS + n] = 1.0f;
    }
    for (size_t n = 0; n < PM_TOKENS; n++) {
        origins[n] = (struct origin){0, 0};
        for (size_t w = 0; w < PM_TOKENS; w++) {
            if (map[w * PM_TOKENS + n] == 0.0f) continue;
            if (origins[n].end == 0) origins[n].first = w;
            origins[n].end = w + 1;
        }
    }
}

static void print_cell(const char *text, size_t width)
{
    size_t used = 0;
    for (const char *rest = text; *rest;) {
        char character[8];
        used += take_character(character, &rest);
    }
    printf("  %s%*s", text, width > used ? (int)(width - used) : 0, "");
}

/* Line by line, as wide as a terminal. */
static void print_columns(const struct drawing *d)
{
    for (size_t first = 0, end; first < d->count; first = end) {
        size_t width = 0;
        for (end = first; end < d->count; end++) {
            width += d->columns[end].width + 2;
            if (end > first && width > MOST_WIDTH) break;
        }
        for (int row = 0; row < 3; row++) {
            printf("    %s", row == 0 ? "source" : row == 1 ? "      " : "target");
            for (size_t i = first; i < end; i++) {
                const struct column *c = &d->columns[i];
                const char mark[] = {c->mark, '\0'};
                print_cell(row == 0   ? c->source_text
                           : row == 1 ? mark
                                      : c->target_text,
                           i + 1 < end ? c->width : 0);
            }
            printf("\n");
        }
    }
}

static void print_steps(size_t begin, size_t end, size_t steps)
{
    if (end > steps) end = steps;
    if (begin >= end)
        printf("in no step");
    else
        printf("in steps %zu to %zu of %zu", begin, end - 1, steps);
}

/* Words named with a window or a factor: each once, by its first token. */
static void print_cross(const struct pm_target_recipe *target,
                        const struct pm_prepared_target *prepared, size_t evaluations)
{
    printf("    cross-attention  the source's ");
    print_steps(prepared->map.begin[0], prepared->map.end[0], evaluations);
    printf("\n");
    for (size_t i = 0; i < target->cross_words.count; i++) {
        struct pm_token_set set;
        struct pm_error err = {0};
        const char *word = target->cross_words.words[i];
        size_t n = 0;
        if (!pm_words_find(&set, target->prompt, &prepared->tokens, word, &err)) continue;
        while (!set.has[n]) n++;
        printf("                     for \"%s\" ", word);
        print_steps(prepared->map.begin[n], prepared->map.end[n], evaluations);
        printf("\n");
    }
    for (size_t i = 0; i < target->equalizer.count; i++)
        printf("                     \"%s\" times %g\n", target->equalizer.words[i],
               target->equalizer_values[i]);
}

/* The words that tokens are of, as the drawing has them. */
static void print_words(const struct pm_token_set *set, const struct pm_tokens *tokens,
                        const struct pm_tokenizer *tokenizer)
{
    bool is_first = true;
    for (size_t t = 0, end; t < tokens->count; t = end) {
        char cell[CELL_BYTES];
        end = t + 1;
        if (!set->has[t]) continue;
        while (end < tokens->count && set->has[end] && tokens->word[end] == tokens->word[t]) end++;
        fill_cell(cell, tokenizer, tokens, t, end);
        printf("%s\"%s\"", is_first ? "" : ", ", cell);
        is_first = false;
    }
    if (is_first) printf("nothing");
}

static void print_mask(const struct pm_prepared_target *prepared, const struct pm_tokens *source,
                       const struct pm_tokenizer *tokenizer)
{
    const struct pm_local_blend *b = &prepared->blend;
    if (!prepared->has_mask) return;
    printf("    may change       where attention is above %g: in the source to ",
           (double)b->threshold);
    print_words(&b->source, source, tokenizer);
    printf(", in the target to ");
    print_words(&b->target, &prepared->tokens, tokenizer);
    if (prepared->blends) printf("; from step %zu on", b->start_step);
    printf("\n");
    if (!b->subtracts) return;
    printf("                     but not above %g: in the source to ",
           (double)b->subtract_threshold);
    print_words(&b->subtract_source, source, tokenizer);
    printf(", in the target to ");
    print_words(&b->subtract_target, &prepared->tokens, tokenizer);
    printf("\n");
}

static void show_target(const struct run_plan_line *line, size_t i,
                        const struct pm_edit_settings *s)
{
    const struct pm_target_recipe *target = &line->recipe.targets[i];
    const struct pm_prepared_target *prepared = &line->prepared.targets[i];
    struct origin origins[PM_TOKENS];
    if (prepared->error.code != PM_OK) return;
    struct drawing *d = calloc(1, sizeof *d);
    if (!d) pm_die("no memory for a drawing");
    d->tokenizer = s->model->tokenizer;
    d->source = &line->prepared.source;
    d->target = &prepared->tokens;
    find_origins(origins, &line->recipe, target, d->source, d->target);
    add_columns(d, origins);
    for (size_t c = 0; c < d->count; c++) fill_column(&d->columns[c], d);
    printf("  targets[%zu], %s; tokens: %zu of the source, %zu of the target\n", i,
           pm_edit_name(target->edit), d->source->count, d->target->count);
    print_columns(d);
    print_cross(target, prepared, s->schedule->evaluations);
    printf("    self-attention   the source's ");
    print_steps(prepared->self_begin, prepared->self_end, s->schedule->evaluations);
    printf("\n");
    print_mask(prepared, d->source, d->tokenizer);
    free(d);
}

void plan_show_line(const struct run_plan_line *line, const struct pm_edit_settings *settings)
{
    printf("%s  %s\n", line->place, line->id);
    if (line->error.code != PM_OK) return;
    if (line->recipe.target_count == 0)
        printf("  \"%s\": %zu tokens\n", line->recipe.source, line->prepared.source.count);
    for (size_t i = 0; i < line->recipe.target_count; i++) show_target(line, i, settings);
}
