/* promptmill export --as masks: pictures, masks of their words' things as indexed pictures, and COCO's
 * annotations of them all (cocodataset.org, "Data format"; masks as RLE). */
#include "export_heat.h"
#include "export_tree.h"

#include "pm/data/coco.h"
#include "pm/data/heat_mask.h"
#include "pm/runtime/agree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 1, TEXT = 2, CHUNK = 1 << 30 }; /* tags of messages; bytes of one */

static const char ANNOTATIONS[] = "annotations.json";

/** A text that grows. */
struct text {
    char *text;
    size_t bytes;
    FILE *out;
};

struct writing {
    struct export *export;
    struct export_heat heat;
    struct text lines; /* this rank's: a line of JSON for each picture */
};

static void text_open(struct text *t)
{
    t->out = open_memstream(&t->text, &t->bytes);
    if (!t->out) pm_die("no memory for annotations");
}

static void text_close(struct text *t)
{
    if (fclose(t->out) != 0) pm_die("no memory for annotations");
}

/* Colours that neighbours in number tell apart; 0 is black. Source: PASCAL VOC's, as its development
 * kit's VOClabelcolormap.m has them: three bits of the number into the highest of each colour, ... */
static void make_palette(uint8_t palette[256 * 3])
{
    memset(palette, 0, 256 * 3);
    for (unsigned i = 0; i < 256; i++)
        for (unsigned bit = 0, rest = i; bit < 8; bit++, rest >>= 3)
            for (unsigned c = 0; c < 3; c++)
                palette[i * 3 + c] |= (uint8_t)(((rest >> c) & 1u) << (7 - bit));
}

static bool write_index(const struct writing *w, const uint8_t *index,
                        const struct export_words *words, const char *name, struct pm_error *err)
{
    char path[PATH_MAX], below[EXPORT_NAME + 32];
    uint8_t palette[256 * 3];
    make_palette(palette);
    snprintf(below, sizeof below, "masks/%s.png", name);
    return export_path(path, w->export, below, err) &&
           pm_image_write_byte_png(index, words->picture.width, words->picture.height, palette,
                                   path, err);
}

/* A line of JSON: the picture's entry and its annotations, their numbers and categories still to be
 * given, since those are of all pictures. */
static void add_line(struct writing *w, const struct export_words *words, const uint8_t *masks,
                     const float *thresholds, const struct pm_store_item *item, size_t entry,
                     const char *name)
{
    size_t height = words->picture.height, width = words->picture.width;
    char file[EXPORT_NAME + 32];
    json_t *annotations = json_array();
    for (size_t i = 0; i < words->count; i++) {
        json_t *one = pm_coco_annotation(masks + i * height * width, height, width);
        if (json_integer_value(json_object_get(one, "area")) == 0) {
            json_decref(one);
            continue;
        }
        json_object_set_new(one, "image_id", json_integer((json_int_t)entry));
        json_object_set_new(one, "iscrowd", json_integer(0));
        json_object_set_new(one, "word", json_string(words->list[i].text));
        json_object_set_new(one, "number", json_integer((json_int_t)words->list[i].number));
        json_object_set_new(one, "threshold", json_real((double)thresholds[i]));
        json_array_append_new(annotations, one);
    }
    snprintf(file, sizeof file, "images/%s.png", name);
    json_t *line =
        json_pack("{s:{s:I, s:s, s:I, s:I, s:s, s:i, s:s}, s:o}", "image", "id", (json_int_t)entry,
                  "file_name", file, "width", (json_int_t)width, "height", (json_int_t)height,
                  "promptmill_id", item->id, "target", words->prompt.target, "caption",
                  words->prompt.text, "annotations", annotations);
    if (!line || json_dumpf(line, w->lines.out, JSON_REAL_PRECISION(6)) != 0 ||
        fputc('\n', w->lines.out) == EOF)
        pm_die("no memory for annotations");
    json_decref(line);
}

static bool write_masks(struct writing *w, const struct export_words *words,
                        const struct pm_store_item *item, size_t entry, const char *name,
                        struct pm_error *err)
{
    const struct export_heat_options *o = &w->export->options->heat;
    size_t pixels = words->picture.height * words->picture.width;
    float *heat = export_words_enlarge(words, &w->heat), thresholds[EXPORT_MAX_WORDS];
    uint8_t *masks = malloc((words->count + 1) * pixels);
    if (!masks) pm_die("no memory for masks");
    uint8_t *index = masks + words->count * pixels; /* behind the last mask */
    for (size_t i = 0; i < words->count; i++)
        thresholds[i] = o->is_otsu ? pm_heat_otsu(heat + i * pixels, pixels) : o->threshold;
    pm_heat_masks(masks, index, heat, words->count, thresholds, pixels, o->competes);
    for (size_t p = 0; p < pixels; p++) /* 1 + the word's place to its number */
        if (index[p] > 0) index[p] = (uint8_t)words->list[index[p] - 1].number;
    add_line(w, words, masks, thresholds, item, entry, name);
    bool ok = write_index(w, index, words, name, err);
    free(heat);
    free(masks);
    return ok;
}

static bool write_picture(void *self, const struct pm_store_item *item, size_t item_number,
                          size_t entry, const char *name, struct pm_error *err)
{
    struct writing *w = self;
    struct export_words words;
    char file[EXPORT_NAME + 32];
    snprintf(file, sizeof file, "images/%s.png", name);
    bool ok = export_words_read(&words, &w->heat, item, item_number, entry, false, err) &&
              write_masks(w, &words, item, entry, name, err);
    if (ok && export_has_file(w->export, file))
        w->export->found++;
    else
        ok = ok && export_write_picture(w->export, &words.picture, file, EXPORT_PNG_PICTURES, err);
    export_words_free(&words);
    return ok;
}

/** annotations.json as it grows on rank 0. */
struct gathered {
    struct text images, annotations;
    json_t *categories; /* {"cat": number} */
    json_int_t annotation_count;
};

static json_int_t category_of(struct gathered *g, const json_t *annotation)
{
    const char *word = json_string_value(json_object_get(annotation, "word"));
    json_int_t known = json_integer_value(json_object_get(g->categories, word));
    if (known == 0) {
        known = (json_int_t)json_object_size(g->categories) + 1;
        json_object_set_new(g->categories, word, json_integer(known));
    }
    return known;
}

static void put(struct text *to, const json_t *json, bool is_first)
{
    if (fputs(is_first ? "\n" : ",\n", to->out) == EOF ||
        json_dumpf(json, to->out, JSON_REAL_PRECISION(6)) != 0)
        pm_die("no memory for annotations");
}

/* A rank's lines, one after the other. */
static void take_lines(struct gathered *g, const char *text)
{
    for (const char *end; *text; text = end + 1) {
        json_error_t unsaid;
        end = strchr(text, '\n');
        json_t *line = json_loadb(text, (size_t)(end - text), 0, &unsaid), *one;
        size_t i;
        PM_ASSERT(line); /* a rank has written it */
        put(&g->images, json_object_get(line, "image"), ftell(g->images.out) == 0);
        json_array_foreach(json_object_get(line, "annotations"), i, one)
        {
            json_object_set_new(one, "category_id", json_integer(category_of(g, one)));
            json_object_set_new(one, "id", json_integer(++g->annotation_count));
            json_object_del(one, "number");
            put(&g->annotations, one, g->annotation_count == 1);
        }
        json_decref(line);
    }
}

static void send_lines(const struct text *lines)
{
    unsigned long long bytes = lines->bytes;
    MPI_Send(&bytes, 1, MPI_UNSIGNED_LONG_LONG, 0, SIZES, MPI_COMM_WORLD);
    for (size_t at = 0; at < lines->bytes; at += CHUNK) {
        size_t left = lines->bytes - at;
        MPI_Send(lines->text + at, (int)(left < CHUNK ? left : CHUNK), MPI_CHAR, 0, TEXT,
                 MPI_COMM_WORLD);
    }
}

/* @return owned by the caller */
static char *receive_lines(int rank)
{
    unsigned long long bytes;
    MPI_Recv(&bytes, 1, MPI_UNSIGNED_LONG_LONG, rank, SIZES, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    char *text = malloc(bytes + 1);
    if (!text) pm_die("no memory for %llu bytes of annotations", bytes);
    for (size_t at = 0; at < bytes; at += CHUNK) {
        size_t left = (size_t)bytes - at;
        MPI_Recv(text + at, (int)(left < CHUNK ? left : CHUNK), MPI_CHAR, rank, TEXT,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    text[bytes] = '\0';
    return text;
}

/* How masks are made, beside how heat maps are. */
static json_t *settings_of(const struct writing *w)
{
    const struct export_heat_options *o = &w->export->options->heat;
    json_t *settings = export_heat_describe(&w->heat);
    json_object_set_new(settings, "threshold",
                        o->is_otsu ? json_string("otsu") : json_real((double)o->threshold));
    json_object_set_new(settings, "compete", json_boolean(o->competes));
    return settings;
}

/* COCO's file around what was gathered. */
static bool write_annotations(const struct writing *w, const struct gathered *g,
                              struct pm_error *err)
{
    struct text all;
    json_t *info = json_pack("{s:s, s:o}", "description", "masks of words by their attention",
                             "settings", settings_of(w)),
           *categories = json_array();
    const char *word;
    json_t *number;
    json_object_foreach(g->categories, word, number)
    {
        json_array_append_new(categories, json_pack("{s:O, s:s}", "id", number, "name", word));
    }
    text_open(&all);
    fputs("{\"info\": ", all.out);
    json_dumpf(info, all.out, 0);
    fprintf(all.out, ",\n\"categories\": ");
    json_dumpf(categories, all.out, 0);
    fprintf(all.out, ",\n\"images\": [%s],\n\"annotations\": [%s]}\n", g->images.text,
            g->annotations.text);
    text_close(&all);
    json_decref(info);
    json_decref(categories);
    bool ok = export_write_text(w->export, all.text, ANNOTATIONS, err);
    free(all.text);
    return ok;
}

/* Rank by rank, so that the file is the same whatever their number. Collective. */
static bool gather(struct writing *w, struct pm_error *err)
{
    const struct export *x = w->export;
    struct gathered g = {0};
    if (x->rank > 0) {
        send_lines(&w->lines);
        return pm_agree(MPI_COMM_WORLD, true, err);
    }
    g.categories = json_object();
    if (!g.categories) pm_die("no memory for categories");
    for (size_t i = 0; i < w->heat.word_count; i++)
        json_object_set_new(g.categories, w->heat.words[i], json_integer((json_int_t)i + 1));
    text_open(&g.images);
    text_open(&g.annotations);
    take_lines(&g, w->lines.text);
    for (int rank = 1; rank < x->ranks; rank++) {
        char *text = receive_lines(rank);
        take_lines(&g, text);
        free(text);
    }
    text_close(&g.images);
    text_close(&g.annotations);
    bool ok = write_annotations(w, &g, err);
    free(g.images.text);
    free(g.annotations.text);
    json_decref(g.categories);
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

bool export_masks(struct export *x, struct pm_error *err)
{
    struct writing w = {.export = x};
    bool ok = export_heat_begin(&w.heat, x, err);
    if (ok) {
        json_t *settings = settings_of(&w);
        ok = export_claim_folder(x, "masks", settings, err);
        json_decref(settings);
    }
    if (ok) {
        text_open(&w.lines);
        ok = pm_agree(MPI_COMM_WORLD, export_each_picture(x, write_picture, &w, err), err);
        text_close(&w.lines);
        ok = ok && gather(&w, err);
        free(w.lines.text);
    }
    export_heat_free(&w.heat);
    if (ok) export_tree_report(x);
    return ok;
}
