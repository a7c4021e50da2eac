#include "import_lines.h"

#include "pm/data/manifest.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS = 15 }; /* so that 0.4 is written as 0.4 */

bool pm_import_write(struct pm_import_result *result, FILE *out, json_t *line, const char *where,
                     struct pm_error *err)
{
    char *text = json_dumps(line, JSON_REAL_PRECISION(DIGITS));
    json_decref(line);
    if (!text) pm_die("no memory for a line of a manifest");
    size_t bytes = strlen(text);
    if (bytes <= PM_MANIFEST_LINE_MAX_BYTES) fprintf(out, "%s\n", text);
    free(text);
    if (bytes > PM_MANIFEST_LINE_MAX_BYTES)
        return pm_fail(err, PM_E_INPUT,
                       "%s makes a line of %zu bytes; a manifest's have at most %d", where, bytes,
                       PM_MANIFEST_LINE_MAX_BYTES);
    result->lines++;
    return true;
}

bool pm_import_text(const char **out, const json_t *object, const char *where, const char *key,
                    struct pm_error *err)
{
    *out = NULL;
    PM_TRY(pm_json_string(object, where, key, out, err));
    if (*out && **out) return true;
    return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s", where, key, *out ? "empty" : "missing");
}

void pm_import_number(char id[PM_IMPORT_ID_BYTES], size_t index)
{
    snprintf(id, PM_IMPORT_ID_BYTES, "%07zu", index);
}
