/* promptmill export --as instruct-pix2pix: what InstructPix2Pix's edit_dataset.py reads (Brooks et al.
 * 2022, arXiv 2211.09800): a folder a pair of prompts, in it prompt.json and a pair of pictures a
 * candidate, SEED_0.jpg and SEED_1.jpg; seeds.json lists them all. */
#include "export_tree.h"

#include "pm/runtime/agree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = PM_SAFE_NAME_BYTES + 32, KEY_BYTES = 48 };

/* The folder of a pair of prompts: of one line under all settings of a sweep. */
static bool place_of(char path[PATH_MAX], const struct export_edit *e, struct pm_error *err)
{
    char name[PM_SAFE_NAME_BYTES];
    (void)err;
    pm_safe_name(name, e->base);
    if (e->item.entries > 2) /* no safe name has an @ */
        snprintf(path, PATH_MAX, "%s@%zu", name, e->target - 1);
    else
        snprintf(path, PATH_MAX, "%s", name);
    return true;
}

/** The edits of one folder: candidates for its pair of prompts. */
struct group {
    const struct export_place *places; /* [count] */
    size_t count;
    uint64_t *seeds; /* [count]  so far */
    char name[NAME_BYTES];
    json_t *keys; /* of those that are done: what their files' names begin with */
};

/** JSON lines of a group's candidates, parameters and scores: of those kept, of the others. */
struct lines {
    char *text;
    size_t bytes;
    FILE *out;
};

/* The seed; of a seed's second candidate "SEED-2", ... The readers want no "_" in it. */
static void key_of(char key[KEY_BYTES], struct group *group, size_t i, uint64_t seed)
{
    size_t same = 1;
    for (size_t j = 0; j < i; j++) same += group->seeds[j] == seed;
    group->seeds[i] = seed;
    if (same == 1)
        snprintf(key, KEY_BYTES, "%llu", (unsigned long long)seed);
    else
        snprintf(key, KEY_BYTES, "%llu-%zu", (unsigned long long)seed, same);
}

static json_t *copy_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value ? json_deep_copy(value) : json_null();
}

/* The end of a window: InstructPix2Pix's "p", the share of steps in which self-attention is copied. */
static double window_end(const json_t *window)
{
    const json_t *end = json_is_array(window) ? json_array_get(window, 1) : window;
    return json_number_value(end);
}

/* What the table of metrics says, as far as conditions ask. */
static void add_scores(json_t *line, const struct export_keep *keep, size_t entry)
{
    for (size_t i = 0; i < keep->count; i++) {
        double value = keep->table.values[entry * keep->count + i];
        json_object_set_new(line, keep->conditions[i].name,
                            isfinite(value) ? json_real(value) : json_null());
    }
}

static void add_metadata(FILE *out, const struct export_edit *e, const char *key,
                         const struct export *x)
{
    const json_t *t = e->target_recipe, *own = json_object_get(e->recipe, "guidance_scale");
    json_t *line = json_pack(
        "{s:s, s:I, s:f, s:o, s:s, s:i, s:o, s:o}", "key", key, "seed", (json_int_t)e->item.seed,
        "p2p_threshold", window_end(json_object_get(t, "self_replace_steps")), "cfg_scale",
        copy_of(own ? e->recipe : x->config, "guidance_scale"), "id", e->item.id, "target",
        (int)e->target - 1, "cross_replace_steps", copy_of(t, "cross_replace_steps"),
        "self_replace_steps", copy_of(t, "self_replace_steps"));
    add_scores(line, x->keep, e->item.first_entry + e->target);
    if (!line || json_dumpf(line, out, JSON_REAL_PRECISION(9)) != 0 || fputc('\n', out) == EOF)
        pm_die("no memory for metadata");
    json_decref(line);
}

static bool write_pair(struct export *x, const struct group *group, struct export_edit *e,
                       const char *key, struct pm_error *err)
{
    char paths[2][PATH_MAX];
    bool there[2];
    enum export_pictures pictures =
        x->options->pictures == EXPORT_USUAL_PICTURES ? EXPORT_JPEG_PICTURES : x->options->pictures;
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], PATH_MAX, "%s/%s_%d.jpg", group->name, key, i);
        there[i] = export_has_file(x, paths[i]);
        x->found += there[i];
    }
    if (there[0] && there[1]) return true;
    PM_TRY(export_edit_read(e, x, err));
    if (!there[0]) PM_TRY(export_write_picture(x, &e->original, paths[0], pictures, err));
    return there[1] || export_write_picture(x, &e->edited, paths[1], pictures, err);
}

static bool write_prompt(const struct export *x, const struct group *group,
                         const struct export_edit *e, struct pm_error *err)
{
    char path[PATH_MAX];
    json_t *prompt = json_pack("{s:s, s:s, s:s, s:s}", "id", e->base, "caption", e->source_prompt,
                               "edit", e->instruction, "output", e->prompt);
    char *text = json_dumps(prompt, 0);
    if (!text) pm_die("no memory for a prompt");
    snprintf(path, sizeof path, "%s/prompt.json", group->name);
    bool ok = export_write_text(x, text, path, err);
    free(text);
    json_decref(prompt);
    return ok;
}

/* @param lines  NULL: only say which candidates there are; else the lines of each fate */
static bool visit_candidate(struct export *x, struct group *group, size_t i, struct lines *lines,
                            struct pm_error *err)
{
    struct export_edit e;
    char path[PATH_MAX], key[KEY_BYTES];
    bool ok = export_edit_open(&e, x, group->places[i].item, group->places[i].target, err) &&
              place_of(path, &e, err);
    if (ok) {
        snprintf(group->name, sizeof group->name, "%.*s", NAME_BYTES - 1, path);
        key_of(key, group, i, e.item.seed);
    }
    if (ok && lines) {
        x->left_out += e.fate == EXPORT_NOT_DONE;
        x->rejected += e.fate == EXPORT_REJECTED;
        if (e.fate != EXPORT_NOT_DONE) add_metadata(lines[e.fate].out, &e, key, x);
    }
    if (ok && e.fate == EXPORT_KEPT) {
        bool is_first = json_array_size(group->keys) == 0;
        json_array_append_new(group->keys, json_string(key));
        ok = !lines ||
             (write_pair(x, group, &e, key, err) && (!is_first || write_prompt(x, group, &e, err)));
    }
    export_edit_free(&e);
    return ok;
}

static void open_group(struct group *group)
{
    group->seeds = calloc(group->count, sizeof *group->seeds);
    group->keys = json_array();
    if (!group->seeds || !group->keys) pm_die("no memory for %zu candidates", group->count);
}

static void close_group(struct group *group)
{
    free(group->seeds);
    json_decref(group->keys);
}

static bool write_lines(const struct export *x, const struct group *group, struct lines *lines,
                        const char *name, struct pm_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", group->name, name);
    return lines->bytes == 0 || export_write_text(x, lines->text, path, err);
}

static bool write_group(struct export *x, struct group *group, struct pm_error *err)
{
    struct lines lines[EXPORT_KEPT + 1] = {0};
    bool ok = true;
    open_group(group);
    for (int i = EXPORT_REJECTED; i <= EXPORT_KEPT; i++)
        if (!(lines[i].out = open_memstream(&lines[i].text, &lines[i].bytes)))
            pm_die("no memory for metadata");
    for (size_t i = 0; ok && i < group->count; i++) ok = visit_candidate(x, group, i, lines, err);
    for (int i = EXPORT_REJECTED; i <= EXPORT_KEPT; i++)
        if (fclose(lines[i].out) != 0) pm_die("no memory for metadata");
    ok = ok && write_lines(x, group, &lines[EXPORT_KEPT], "metadata.jsonl", err) &&
         write_lines(x, group, &lines[EXPORT_REJECTED], "rejected.jsonl", err);
    for (int i = EXPORT_REJECTED; i <= EXPORT_KEPT; i++) free(lines[i].text);
    close_group(group);
    return ok;
}

static size_t group_end(const struct export_tree *tree, size_t first)
{
    size_t end = first + 1;
    while (end < tree->count && tree->places[end].key == tree->places[first].key) end++;
    return end;
}

static bool write_groups(struct export *x, const struct export_tree *tree, struct pm_error *err)
{
    size_t number = 0;
    bool ok = true;
    for (size_t first = 0, end; ok && first < tree->count; first = end, number++) {
        end = group_end(tree, first);
        if (number % (size_t)x->ranks != (size_t)x->rank) continue;
        struct group group = {.places = tree->places + first, .count = end - first};
        ok = write_group(x, &group, err);
    }
    return ok;
}

/** A folder of seeds.json. */
struct listed {
    json_t *row; /* ["NAME", ["KEY", ...]] */
};

static int by_name(const void *a, const void *b)
{
    const json_t *x = ((const struct listed *)a)->row, *y = ((const struct listed *)b)->row;
    return strcmp(json_string_value(json_array_get(x, 0)), json_string_value(json_array_get(y, 0)));
}

/* [["NAME", ["KEY", ...]], ...], by name, as prepare_dataset.py writes it. */
static bool write_seeds(struct export *x, const struct export_tree *tree, struct pm_error *err)
{
    struct listed *rows = calloc(tree->count, sizeof *rows);
    json_t *all = json_array();
    size_t count = 0;
    bool ok = true;
    if (!rows || !all) pm_die("no memory for %zu folders", tree->count);
    for (size_t first = 0, end; ok && first < tree->count; first = end) {
        end = group_end(tree, first);
        struct group group = {.places = tree->places + first, .count = end - first};
        open_group(&group);
        for (size_t i = 0; ok && i < group.count; i++)
            ok = visit_candidate(x, &group, i, NULL, err);
        if (ok && json_array_size(group.keys) > 0)
            rows[count++].row = json_pack("[s, O]", group.name, group.keys);
        close_group(&group);
    }
    qsort(rows, count, sizeof *rows, by_name);
    for (size_t i = 0; i < count; i++) json_array_append_new(all, rows[i].row);
    char *text = json_dumps(all, 0);
    if (!text) pm_die("no memory for %zu folders", count);
    ok = ok && export_write_text(x, text, "seeds.json", err);
    free(text);
    free(rows);
    json_decref(all);
    return ok;
}

bool export_instruct_pix2pix(struct export *x, struct pm_error *err)
{
    struct export_tree tree;
    PM_TRY(export_tree_begin(&tree, x, "instruct-pix2pix", place_of, true, err));
    bool ok = pm_agree(MPI_COMM_WORLD, write_groups(x, &tree, err), err);
    ok = ok && pm_agree(MPI_COMM_WORLD, x->rank > 0 || write_seeds(x, &tree, err), err);
    free(tree.places);
    if (ok) export_tree_report(x);
    return ok;
}
