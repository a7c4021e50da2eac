#include "pm/base/json.h"

#include "pm/base/open_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PM_MUST_CHECK static bool read_file(char **text, size_t *bytes, const char *path, size_t max_bytes,
                                    struct pm_error *err)
{
    FILE *file = pm_open_stream(path, err);
    if (!file) return false;
    size_t capacity = 1 << 16, used = 0;
    char *buffer = malloc(capacity);
    while (buffer) {
        used += fread(buffer + used, 1, capacity - used, file);
        if (used < capacity || used > max_bytes) break;
        capacity *= 2;
        char *larger = realloc(buffer, capacity);
        if (!larger) free(buffer);
        buffer = larger;
    }
    int why = ferror(file) ? errno : 0;
    fclose(file);
    if (!buffer) pm_die("no memory to read %s", path);
    if (why || used > max_bytes) {
        free(buffer);
        if (why) return pm_fail(err, PM_E_IO, "cannot read %s: %s", path, strerror(why));
        return pm_fail(err, PM_E_FORMAT, "%s is larger than %zu bytes", path, max_bytes);
    }
    *text = buffer;
    *bytes = used;
    return true;
}

/* Outside of strings, write null over Infinity and -Infinity. */
static void replace_infinite(char *text, size_t bytes)
{
    static const char infinity[] = "Infinity", null[] = "null    ";
    enum { LETTERS = sizeof infinity - 1 };
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && bytes - i >= LETTERS && memcmp(text + i, infinity, LETTERS) == 0) {
            memcpy(text + i, null, LETTERS);
            if (i > 0 && text[i - 1] == '-') text[i - 1] = ' ';
        }
    }
}

static bool load(json_t **out, const char *path, size_t max_bytes, bool is_pythons,
                 struct pm_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    PM_TRY(read_file(&text, &bytes, path, max_bytes, err));
    if (is_pythons) replace_infinite(text, bytes);
    json_error_t why;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (*out) return true;
    return pm_fail(err, PM_E_FORMAT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
}

bool pm_json_load(json_t **out, const char *path, size_t max_bytes, struct pm_error *err)
{
    return load(out, path, max_bytes, false, err);
}

bool pm_json_load_python(json_t **out, const char *path, size_t max_bytes, struct pm_error *err)
{
    return load(out, path, max_bytes, true, err);
}

bool pm_json_parse(json_t **out, const char *text, size_t bytes, const char *where,
                   struct pm_error *err)
{
    json_error_t why;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (*out) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: column %d: %s", where, why.column, why.text);
}

const char *pm_json_kind(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

enum { LIST_BYTES = PM_ERROR_BYTES / 2 };

/* "a", "b", "c"; ends in "..." where they have no room. */
static void list_names(char list[LIST_BYTES], const char *const *names)
{
    static const char more[] = ", ...";
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; names[i]; i++) {
        const char *comma = i ? ", " : "";
        size_t bytes = strlen(comma) + strlen(names[i]) + 2;
        if (used + bytes + sizeof more > LIST_BYTES) {
            memcpy(list + used, more, sizeof more);
            return;
        }
        used += (size_t)sprintf(list + used, "%s\"%s\"", comma, names[i]);
    }
}

bool pm_json_check_keys(const json_t *object, const char *where, const char *const *known,
                        struct pm_error *err)
{
    if (!json_is_object(object))
        return pm_fail(err, PM_E_INPUT, "%s: an object {...} is wanted, not %s", where,
                       pm_json_kind(object));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (known[i]) continue;
        const char *near = pm_nearest_word(key, known);
        if (near)
            return pm_fail(err, PM_E_INPUT, "%s: unknown key \"%s\"; did you mean \"%s\"?", where,
                           key, near);
        char list[LIST_BYTES];
        list_names(list, known);
        return pm_fail(err, PM_E_INPUT, "%s: unknown key \"%s\"; there are %s", where, key, list);
    }
    return true;
}

bool pm_json_string(const json_t *object, const char *where, const char *key, const char **out,
                    struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) return true;
    if (!json_is_string(value))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s; a string is wanted", where, key,
                       pm_json_kind(value));
    if (strlen(json_string_value(value)) != json_string_length(value))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" has a NUL character in it", where, key);
    *out = json_string_value(value);
    return true;
}

bool pm_json_bool(const json_t *object, const char *where, const char *key, bool *out,
                  struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) return true;
    if (!json_is_boolean(value))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s; true or false is wanted", where, key,
                       pm_json_kind(value));
    *out = json_is_true(value);
    return true;
}

bool pm_json_number(const json_t *object, const char *where, const char *key, double min,
                    double max, double *out, struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) return true;
    if (!json_is_number(value))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s; a number is wanted", where, key,
                       pm_json_kind(value));
    double number = json_number_value(value);
    if (!isfinite(number) || number < min || number > max)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %g; it must be from %g to %g", where, key,
                       number, min, max);
    *out = number;
    return true;
}

/* *out stays as it is where the key is missing. */
static bool whole_number(const json_t *object, const char *where, const char *key, uint64_t min,
                         uint64_t max, uint64_t *out, struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) return true;
    if (!json_is_integer(value))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s; a whole number is wanted", where, key,
                       pm_json_kind(value));
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %lld; it must be from %llu to %llu", where,
                       key, (long long)number, (unsigned long long)min, (unsigned long long)max);
    *out = (uint64_t)number;
    return true;
}

bool pm_json_uint64(const json_t *object, const char *where, const char *key, uint64_t max,
                    uint64_t *out, struct pm_error *err)
{
    return whole_number(object, where, key, 0, max, out, err);
}

bool pm_json_size(const json_t *object, const char *where, const char *key, size_t min, size_t max,
                  size_t *out, struct pm_error *err)
{
    uint64_t number = *out;
    PM_TRY(whole_number(object, where, key, min, max, &number, err));
    *out = (size_t)number;
    return true;
}

bool pm_json_choice(const json_t *object, const char *where, const char *key,
                    const char *const *names, int *out, struct pm_error *err)
{
    const char *name = NULL;
    PM_TRY(pm_json_string(object, where, key, &name, err));
    if (!name) return true;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = i;
        return true;
    }
    char list[LIST_BYTES];
    list_names(list, names);
    return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is \"%s\"; it must be one of %s", where, key, name,
                   list);
}

void pm_json_set_missing(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key))
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

/* Levenshtein's distance, up to words of 63 letters. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], columns = strlen(b);
    for (size_t j = 0; j <= columns; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < columns; j++) {
            size_t substitute = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            row[j + 1] = substitute < least ? substitute : least;
        }
    }
    return row[columns];
}

const char *pm_nearest_word(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t length = strlen(word);
    if (length == 0 || length > 63) return NULL;
    /* one more than may differ: a swap of two letters counts as two */
    size_t least = length > 8 ? 4 : length > 3 ? 3 : 2;
    for (size_t i = 0; candidates[i]; i++) {
        if (strlen(candidates[i]) > 63) continue;
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < least) {
            least = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
