#include "import_lines.h"

#include "pm/data/manifest.h"

static bool import_line(struct pm_import_result *result, FILE *out, json_t *entry,
                        const char *where, struct pm_error *err)
{
    const char *source, *prompt;
    char id[PM_IMPORT_ID_BYTES];
    bool has_input = json_object_get(entry, "input"),
         has_caption = json_object_get(entry, "caption");
    if (has_input && has_caption)
        return pm_fail(err, PM_E_INPUT, "%s: \"input\" and \"caption\" are two names for one thing",
                       where);
    const char *source_key = has_caption ? "caption" : "input";
    PM_TRY(pm_import_text(&source, entry, where, source_key, err));
    PM_TRY(pm_import_text(&prompt, entry, where, "output", err));
    pm_import_number(id, result->lines);
    json_t *line = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "id", id, "source", source, "targets",
                             "prompt", prompt, "edit", "refine");
    json_object_del(entry, source_key);
    json_object_del(entry, "output");
    if (json_object_size(entry) > 0) json_object_set(line, "meta", entry);
    return pm_import_write(result, out, line, where, err);
}

bool pm_import_instruct_pix2pix(struct pm_import_result *result, FILE *out, const char *path,
                                const struct pm_import_options *options, struct pm_error *err)
{
    (void)options;
    struct pm_manifest lines;
    *result = (struct pm_import_result){0};
    PM_TRY(pm_manifest_open(&lines, path, err));
    bool ok = true;
    for (size_t i = 0; ok && i < lines.count; i++) {
        char where[PM_MANIFEST_PLACE_BYTES];
        json_t *entry;
        pm_manifest_place(where, &lines, i);
        ok = pm_manifest_parse(&entry, &lines, i, where, err);
        if (!ok) break;
        ok = import_line(result, out, entry, where, err);
        json_decref(entry);
    }
    pm_manifest_close(&lines);
    return ok;
}
