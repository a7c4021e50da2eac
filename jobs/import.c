/* promptmill import FORMAT FILE: other people's lists of edits, as a manifest. */
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/base/path.h"
#include "pm/base/whole_file.h"
#include "pm/data/import.h"
#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "\nWrite a manifest of the edits in FILE. FORMAT is pie-bench (mapping_file.json), "
    "instruct-pix2pix (JSON Lines) or csv (with a header). Ids are kept, and under \"meta\" all "
    "that a manifest has no key for."
    "\vThe first error, with its line or entry and its field, ends it, and nothing is written. "
    "What the words of an edit mean is checked by `promptmill plan` afterwards.";

static const struct argp_option option_table[] = {
    {"out", 'o', "MANIFEST", 0, "where to (default: FILE with .manifest.jsonl as its ending)", 0},
    {"force", 'f', NULL, 0, "replace the manifest if it is there", 0},
    {"images", 'i', "FOLDER", 0,
     "pie-bench: where the pictures are, seen from the manifest (default: annotation_images)", 0},
    {"published-settings", 'p', NULL, 0,
     "pie-bench: edit as PnPInversion does: cross 0.4, self 0.6, the target's blend "
     "word twice as strong",
     0},
    {0}};

static const struct format {
    const char *name;
    pm_import *import;
    bool has_options; /* the last two of the table */
} formats[] = {{"pie-bench", pm_import_pie_bench, true},
               {"instruct-pix2pix", pm_import_instruct_pix2pix, false},
               {"csv", pm_import_csv, false}};

struct arguments {
    const struct format *format;
    const char *file, *out;
    bool replaces;
    struct pm_import_options options;
};

/* With ARGP_NO_EXIT, argp_error returns: who calls it must say so with EINVAL. */
static error_t take_argument(struct arguments *a, char *arg, struct argp_state *state)
{
    if (a->format && a->file) {
        argp_error(state, "\"%s\": one format and one file are enough", arg);
        return EINVAL;
    }
    if (a->format) {
        a->file = arg;
        return 0;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, arg) == 0) a->format = &formats[i];
    if (a->format) return 0;
    argp_error(state, "\"%s\": the formats are pie-bench, instruct-pix2pix and csv", arg);
    return EINVAL;
}

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (flag) {
    case 'o':
        a->out = arg;
        return 0;
    case 'f':
        a->replaces = true;
        return 0;
    case 'i':
        a->options.images = arg;
        return 0;
    case 'p':
        a->options.published_settings = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(a, arg, state);
    case ARGP_KEY_END:
        if (!a->file) {
            argp_error(state, "a format and a file are wanted");
            return EINVAL;
        }
        if (a->format->has_options || (!a->options.images && !a->options.published_settings))
            return 0;
        argp_error(state, "%s is without effect on %s",
                   a->options.images ? "--images" : "--published-settings", a->format->name);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "FORMAT FILE", .doc = doc};

/* "data/mapping_file.json" to "data/mapping_file.manifest.jsonl". @return owned by the caller */
static char *default_out(const char *file)
{
    char *out;
    const char *dot = strrchr(pm_path_name(file), '.');
    int length = dot ? (int)(dot - file) : (int)strlen(file);
    if (asprintf(&out, "%.*s.manifest.jsonl", length, file) < 0) pm_die("no memory for a path");
    return out;
}

/* The manifest appears when it is whole, or not at all. */
static bool write_manifest(struct pm_import_result *result, const char *out,
                           const struct arguments *a, struct pm_error *err)
{
    struct pm_whole_file whole;
    if (!a->replaces && access(out, F_OK) == 0)
        return pm_fail(err, PM_E_INPUT, "%s exists already; --force replaces it", out);
    bool ok = pm_whole_file_begin(&whole, out, err) &&
              a->format->import(result, whole.file, a->file, &a->options, err);
    return pm_whole_file_end(&whole, ok, err);
}

int verb_import(int argc, char **argv)
{
    struct arguments a = {0};
    struct pm_import_result result = {0};
    struct pm_error err = {0};
    if (verb_arguments_help(&argp, argc, argv)) return PM_EXIT_DONE;
    if (!verb_arguments_read(&argp, argc, argv, &a, true)) return PM_EXIT_INPUT;
    if (!a.options.images) a.options.images = "annotation_images";
    char *made = a.out ? NULL : default_out(a.file);
    const char *out = a.out ? a.out : made;
    bool ok = write_manifest(&result, out, &a, &err);
    if (ok) printf("%s: %zu lines\n", out, result.lines);
    if (ok && result.kept[0]) printf("under \"meta\", without effect: %s\n", result.kept);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    free(made);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
