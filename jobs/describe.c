#include "describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append(char text[DESCRIBE_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(char text[DESCRIBE_BYTES], const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, DESCRIBE_BYTES - used, format, args);
    va_end(args);
}

static void append_window(char text[DESCRIBE_BYTES], struct pm_window window)
{
    if (window.begin > 0.0)
        append(text, "%g–%g", window.begin, window.end);
    else
        append(text, "%g", window.end);
}

static void append_words(char text[DESCRIBE_BYTES], const struct pm_word_list *list)
{
    for (size_t i = 0; i < list->count; i++) append(text, "%s%s", i ? "+" : "", list->words[i]);
}

static void append_blend(char text[DESCRIBE_BYTES], const struct pm_word_list *source,
                         const struct pm_word_list *target)
{
    append_words(text, source);
    bool same = source->count == target->count;
    for (size_t i = 0; same && i < source->count; i++)
        same = strcmp(source->words[i], target->words[i]) == 0;
    if (same) return;
    append(text, "→");
    append_words(text, target);
}

void describe_target(char text[DESCRIBE_BYTES], const struct pm_target_recipe *target)
{
    text[0] = '\0';
    append(text, "%s · cross ", pm_edit_name(target->edit));
    append_window(text, target->cross);
    for (size_t i = 0; i < target->cross_words.count; i++) {
        append(text, ", %s ", target->cross_words.words[i]);
        append_window(text, target->cross_windows[i]);
    }
    append(text, " · self ");
    append_window(text, target->self);
    for (size_t i = 0; i < target->equalizer.count; i++)
        append(text, " · %s ×%g", target->equalizer.words[i], target->equalizer_values[i]);
    if (target->mapper == PM_MAPPER_REFERENCE) append(text, " · reference mapper");
    if (!target->has_blend) return;
    append(text, " · blend ");
    append_blend(text, &target->blend.source, &target->blend.target);
    if (target->blend.subtract_source.count == 0) return;
    append(text, " minus ");
    append_blend(text, &target->blend.subtract_source, &target->blend.subtract_target);
}

static void append_axis(char text[DESCRIBE_BYTES], size_t length, const char *name)
{
    if (length)
        append(text, ", %zu %s%s", length, name, length == 1 ? "" : "s");
    else
        append(text, ", mean of %ss", name);
}

static void print_capture(const struct pm_store_capture *c)
{
    static const char *const numbers[] = {"f32", "f16", "u8"};
    char text[DESCRIBE_BYTES] = "";
    append(text, "%s of %zux%zu pixels", c->is_self ? "self-attention" : "cross-attention",
           c->width, c->height);
    if (!c->is_self) append(text, " to %s", c->is_of_words ? "words" : "tokens");
    append_axis(text, c->steps, "step");
    append_axis(text, c->layers, "layer");
    append_axis(text, c->heads, "head");
    printf("kept  %s: %s, %s\n", c->path, text, numbers[c->number]);
}

void describe_print_kept(const struct pm_store_shape *shape)
{
    static const char *const latents[] = {"no latents", "the first and last latents",
                                          "the latents of all steps"};
    printf("kept  %s, %s%s%s%s\n", shape->images ? "pictures" : "no pictures",
           latents[shape->latents], shape->blend_mask ? ", blend masks" : "",
           shape->inversions ? ", inversions" : "",
           shape->embeddings ? ", null-text embeddings" : "");
    for (size_t i = 0; i < shape->capture_count; i++) print_capture(&shape->captures[i]);
}

bool describe_read_recipe(struct pm_recipe *out, const char *json, const char *id,
                          struct pm_error *err)
{
    json_t *parsed;
    PM_TRY(pm_json_parse(&parsed, json, strlen(json), id, err));
    return pm_recipe_read(out, parsed, id, err);
}
