#include "pm/base/buffer.h"
#include "pm/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member {
    const char *key;
    json_t *value;
};

static void put_char(struct pm_buffer *text, char c)
{
    pm_buffer_put(text, &c, 1);
}

/* What needs care, the library writes. */
static void put_as_jansson(struct pm_buffer *text, const json_t *value)
{
    char *all = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!all) pm_die("no memory for a value in JSON");
    pm_buffer_put(text, all, strlen(all));
    free(all);
}

static bool is_plain(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)bytes[i] < ' ' || bytes[i] == '"' || bytes[i] == '\\') return false;
    return true;
}

static void put_quoted(struct pm_buffer *text, const char *bytes, size_t count)
{
    char *at = pm_buffer_reserve(text, count + 2);
    at[0] = at[count + 1] = '"';
    memcpy(at + 1, bytes, count);
    text->used += count + 2;
}

static void put_string(struct pm_buffer *text, const json_t *string)
{
    const char *bytes = json_string_value(string);
    size_t count = json_string_length(string);
    if (is_plain(bytes, count))
        put_quoted(text, bytes, count);
    else
        put_as_jansson(text, string);
}

static void put_key(struct pm_buffer *text, const char *key)
{
    size_t count = strlen(key);
    if (is_plain(key, count)) {
        put_quoted(text, key, count);
    } else {
        json_t *string = json_string(key);
        if (!string) pm_die("no memory for a key in JSON");
        put_as_jansson(text, string);
        json_decref(string);
    }
    put_char(text, ':');
}

/* snprintf is several times slower once a library has taught it more letters, as libquadmath does. */
static void put_real(struct pm_buffer *text, const json_t *real)
{
    char digits[32];
    int count = strfromd(digits, sizeof digits, "%.17g", json_real_value(real));
    if (strchr(digits, '.') && !strchr(digits, 'e'))
        pm_buffer_put(text, digits, (size_t)count);
    else
        put_as_jansson(text, real);
}

static void put_integer(struct pm_buffer *text, json_int_t number)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) *--at = '-';
    pm_buffer_put(text, at, (size_t)(digits + sizeof digits - at));
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void put_value(struct pm_buffer *text, json_t *value);

static void put_object(struct pm_buffer *text, json_t *object)
{
    enum { FEW = 32 };
    struct member few[FEW], *members = few;
    size_t count = 0;
    const char *key;
    json_t *value;
    if (json_object_size(object) > FEW) {
        members = malloc(json_object_size(object) * sizeof *members);
        if (!members) pm_die("no memory for an object in JSON");
    }
    json_object_foreach(object, key, value)
    {
        members[count++] = (struct member){.key = key, .value = value};
    }
    qsort(members, count, sizeof *members, by_key);
    put_char(text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put_char(text, ',');
        put_key(text, members[i].key);
        put_value(text, members[i].value);
    }
    put_char(text, '}');
    if (members != few) free(members);
}

static void put_array(struct pm_buffer *text, const json_t *array)
{
    put_char(text, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0) put_char(text, ',');
        put_value(text, json_array_get(array, i));
    }
    put_char(text, ']');
}

static void put_value(struct pm_buffer *text, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(text, value);
        break;
    case JSON_ARRAY:
        put_array(text, value);
        break;
    case JSON_STRING:
        put_string(text, value);
        break;
    case JSON_INTEGER:
        put_integer(text, json_integer_value(value));
        break;
    case JSON_REAL:
        put_real(text, value);
        break;
    default:
        put_as_jansson(text, value);
    }
}

char *pm_json_text(const json_t *json)
{
    struct pm_buffer text = {0};
    put_value(&text, (json_t *)json);
    put_char(&text, '\0');
    return text.bytes;
}
