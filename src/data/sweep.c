#include "pm/data/sweep.h"

#include "pm/base/hash.h"
#include "pm/base/random.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum place { LINE, TARGET, BLEND };
enum drawn { NEVER, FRACTIONS, WHOLE_NUMBERS };

struct pm_sweep_key {
    const char *key;   /* in the sweep */
    const char *name;  /* in the object that it is a key of */
    const char *label; /* in ids */
    enum place place;
    enum drawn drawn;
};

/* In the order of the labels. */
static const struct pm_sweep_key sweep_keys[] = {
    {"cross_replace_steps", "cross_replace_steps", "cross", TARGET, FRACTIONS},
    {"self_replace_steps", "self_replace_steps", "self", TARGET, FRACTIONS},
    {"equalizer", "equalizer", "equalizer", TARGET, NEVER},
    {"mapper", "mapper", "mapper", TARGET, NEVER},
    {"local_blend.threshold", "threshold", "threshold", BLEND, FRACTIONS},
    {"local_blend.start", "start", "start", BLEND, FRACTIONS},
    {"inversion", "inversion", "inversion", LINE, NEVER},
    {"guidance_scale", "guidance_scale", "guidance", LINE, FRACTIONS},
    {"noise", "noise", "noise", LINE, NEVER},
    {"seed", "seed", "seed", LINE, WHOLE_NUMBERS},
};
enum { SWEEP_KEYS = sizeof sweep_keys / sizeof *sweep_keys };
_Static_assert((int)SWEEP_KEYS <= (int)PM_SWEEP_MAX_KEYS, "every key may be swept at once");

enum { MAX_VALUES = 10000, VALUE_BYTES = 100 };

static void append(char text[VALUE_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(char text[VALUE_BYTES], const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, VALUE_BYTES - used, format, args);
    va_end(args);
}

static void append_number(char text[VALUE_BYTES], const json_t *value)
{
    if (json_is_integer(value))
        append(text, "%lld", (long long)json_integer_value(value));
    else
        append(text, "%.15g", json_number_value(value));
}

/* Exports take what is behind an id's last slash for the setting. */
static void append_word(char text[VALUE_BYTES], const char *word)
{
    size_t used = strlen(text);
    append(text, "%s", word);
    for (char *slash = text + used; (slash = strchr(slash, '/'));) *slash = '_';
}

/* A number, a word, "none"; a window as "0.2-0.8", without a setting's own "," and "=". Cut where it
 * is too long. */
static void append_plain(char text[VALUE_BYTES], const json_t *value)
{
    if (json_is_number(value)) append_number(text, value);
    if (json_is_string(value)) append_word(text, json_string_value(value));
    if (json_is_null(value)) append(text, "none");
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i > 0) append(text, "-");
        append_number(text, json_array_get(value, i));
    }
}

/* Of an object, "default:0.8+cube:0.4". */
static void append_value(char text[VALUE_BYTES], const json_t *value)
{
    const char *key;
    json_t *member;
    size_t n = 0;
    append_plain(text, value);
    json_object_foreach((json_t *)value, key, member)
    {
        if (n++ > 0) append(text, "+");
        append_word(text, key);
        append(text, ":");
        append_plain(text, member);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool check_texts(char (*texts)[VALUE_BYTES], const struct pm_sweep_axis *axis,
                        const char *where, struct pm_error *err)
{
    for (size_t i = 0; i < axis->count; i++)
        if (!texts[i][0] || strlen(texts[i]) == VALUE_BYTES - 1)
            return pm_fail(err, PM_E_INPUT,
                           "%s: \"sweep\": value %zu of \"%s\" is %s whose name is %s", where,
                           i + 1, axis->key->key, pm_json_kind(json_array_get(axis->values, i)),
                           texts[i][0] ? "too long for an id" : "empty");
    return true;
}

/* Values must differ in their labels, of which ids are made. */
static bool check_values(const struct pm_sweep_axis *axis, const char *where, struct pm_error *err)
{
    char(*texts)[VALUE_BYTES] = calloc(axis->count, sizeof *texts);
    if (!texts) pm_die("no memory for %zu values", axis->count);
    for (size_t i = 0; i < axis->count; i++)
        append_value(texts[i], json_array_get(axis->values, i));
    bool ok = check_texts(texts, axis, where, err);
    qsort(texts, axis->count, sizeof *texts, by_text);
    for (size_t i = 1; ok && i < axis->count; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            ok = pm_fail(err, PM_E_INPUT, "%s: \"sweep\": \"%s\" has %s twice", where,
                         axis->key->key, texts[i]);
    free(texts);
    return ok;
}

/* {"uniform": [LOW, HIGH]} */
static bool read_drawn(struct pm_sweep_axis *axis, const json_t *json, const char *where,
                       struct pm_error *err)
{
    enum { DIGITS = 53 }; /* whole numbers that a double tells apart */
    char place[PM_ERROR_BYTES];
    static const char *const known[] = {"uniform", NULL};
    snprintf(place, sizeof place, "%s: \"sweep\": \"%s\"", where, axis->key->key);
    PM_TRY(pm_json_check_keys(json, place, known, err));
    const json_t *range = json_object_get(json, "uniform");
    const json_t *low = json_array_get(range, 0), *high = json_array_get(range, 1);
    axis->low = json_number_value(low);
    axis->high = json_number_value(high);
    axis->is_whole =
        json_is_integer(low) && json_is_integer(high) && axis->key->drawn == WHOLE_NUMBERS;
    if (json_array_size(range) != 2 || !json_is_number(low) || !json_is_number(high) ||
        !(axis->low < axis->high))
        return pm_fail(err, PM_E_INPUT, "%s: \"uniform\" wants two numbers, the lower one first",
                       place);
    if (axis->key->drawn == NEVER)
        return pm_fail(err, PM_E_INPUT, "%s cannot be drawn: it is no number", place);
    if (axis->key->drawn == WHOLE_NUMBERS &&
        (!axis->is_whole || axis->low < 0.0 || axis->high >= ldexp(1.0, DIGITS)))
        return pm_fail(err, PM_E_INPUT, "%s wants whole numbers from 0 to 2^%d", place, DIGITS);
    return true;
}

static bool read_axis(struct pm_sweep *sweep, const struct pm_sweep_key *key, const json_t *values,
                      const char *where, struct pm_error *err)
{
    struct pm_sweep_axis *axis = &sweep->axes[sweep->axis_count++];
    *axis = (struct pm_sweep_axis){.key = key, .count = 1};
    if (json_is_object(values)) return read_drawn(axis, values, where, err);
    axis->values = values;
    axis->count = json_array_size(values);
    if (axis->count == 0)
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"sweep\": \"%s\" is %s; a list of values is wanted, or "
                       "{\"uniform\": [...]}",
                       where, key->key, json_is_array(values) ? "empty" : pm_json_kind(values));
    if (axis->count > MAX_VALUES)
        return pm_fail(err, PM_E_INPUT, "%s: \"sweep\": \"%s\" has %zu values; %d are the most",
                       where, key->key, axis->count, MAX_VALUES);
    if (axis->count > PM_SWEEP_MAX_SETTINGS / sweep->settings)
        return pm_fail(err, PM_E_INPUT, "%s: \"sweep\" has more than %d settings", where,
                       PM_SWEEP_MAX_SETTINGS);
    sweep->settings *= axis->count;
    return check_values(axis, where, err);
}

/* "random": how often to draw; with nothing to draw it is an error, as drawing without it is. */
static bool read_draws(struct pm_sweep *sweep, const json_t *json, const char *place,
                       struct pm_error *err)
{
    size_t drawn = 0;
    for (size_t i = 0; i < sweep->axis_count; i++) drawn += sweep->axes[i].values == NULL;
    PM_TRY(pm_json_size(json, place, "random", 1, PM_SWEEP_MAX_SETTINGS, &sweep->draws, err));
    PM_TRY(pm_json_uint64(json, place, "random_seed", UINT64_MAX, &sweep->random_seed, err));
    if (drawn > 0 && sweep->draws == 0)
        return pm_fail(err, PM_E_INPUT, "%s: \"random\" is missing: how often to draw", place);
    if (drawn == 0 && (sweep->draws > 0 || json_object_get(json, "random_seed")))
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"random\" has nothing to draw: no key has a \"uniform\"", place);
    if (sweep->draws > PM_SWEEP_MAX_SETTINGS / sweep->settings)
        return pm_fail(err, PM_E_INPUT, "%s has more than %d settings", place,
                       PM_SWEEP_MAX_SETTINGS);
    if (drawn > 0) sweep->settings *= sweep->draws;
    return true;
}

bool pm_sweep_read(struct pm_sweep *out, const json_t *json, const json_t *defaults,
                   const char *where, struct pm_error *err)
{
    char place[PM_ERROR_BYTES];
    const char *known[SWEEP_KEYS + 3] = {NULL};
    *out = (struct pm_sweep){.settings = 1, .defaults = defaults};
    if (!json) return true;
    for (size_t i = 0; i < SWEEP_KEYS; i++) known[i] = sweep_keys[i].key;
    known[SWEEP_KEYS] = "random";
    known[SWEEP_KEYS + 1] = "random_seed";
    snprintf(place, sizeof place, "%s: \"sweep\"", where);
    PM_TRY(pm_json_check_keys(json, place, known, err));
    for (size_t i = 0; i < SWEEP_KEYS; i++) {
        const json_t *values = json_object_get(json, sweep_keys[i].key);
        if (values) PM_TRY(read_axis(out, &sweep_keys[i], values, where, err));
    }
    return read_draws(out, json, place, err);
}

/* values[axis_count]: what each axis has in a setting; NULL where it is drawn. */
static void find_values(const json_t *values[PM_SWEEP_MAX_KEYS], const struct pm_sweep *sweep,
                        size_t setting)
{
    if (sweep->draws > 0) setting /= sweep->draws; /* they change fastest */
    for (size_t i = sweep->axis_count; i-- > 0;) {
        const struct pm_sweep_axis *axis = &sweep->axes[i];
        values[i] = json_array_get(axis->values, setting % axis->count);
        setting /= axis->count;
    }
}

void pm_sweep_label(char label[PM_SWEEP_LABEL_BYTES], const struct pm_sweep *sweep, size_t setting)
{
    const json_t *values[PM_SWEEP_MAX_KEYS];
    size_t used = 0;
    label[0] = '\0';
    find_values(values, sweep, setting);
    for (size_t i = 0; i < sweep->axis_count; i++) {
        char text[VALUE_BYTES] = "";
        if (!values[i]) continue;
        append_value(text, values[i]);
        used += (size_t)snprintf(label + used, PM_SWEEP_LABEL_BYTES - used, "%s%s=%s",
                                 used > 0 ? "," : "", sweep->axes[i].key->label, text);
        PM_ASSERT(used < PM_SWEEP_LABEL_BYTES);
    }
    if (sweep->draws > 0)
        snprintf(label + used, PM_SWEEP_LABEL_BYTES - used, "%sdraw=%zu", used > 0 ? "," : "",
                 setting % sweep->draws);
}

/* A number for a line, a draw and a key. Fractions have six digits, which a person can read and JSON
 * keeps. */
static json_t *draw(const struct pm_sweep *sweep, const struct pm_sweep_axis *axis, const char *id,
                    size_t setting)
{
    const double fraction_steps = 1e6;
    uint64_t line = pm_hash64(id, strlen(id), 0), seed = sweep->random_seed;
    const char *name = axis->key->key;
    const uint32_t counter[4] = {(uint32_t)(setting % sweep->draws),
                                 (uint32_t)pm_hash64(name, strlen(name), 0), (uint32_t)line,
                                 (uint32_t)(line >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    pm_philox(bits, counter, key);
    uint64_t wide = (uint64_t)bits[0] << 32 | bits[1];
    double unit = ldexp((double)(wide >> 11), -53); /* 0 .. 1, without 1 */
    if (axis->is_whole)
        return json_integer((json_int_t)(axis->low + floor(unit * (axis->high - axis->low + 1.0))));
    double value = axis->low + unit * (axis->high - axis->low);
    return json_real(round(value * fraction_steps) / fraction_steps);
}

static void set_copy(json_t *object, const char *key, const json_t *value)
{
    if (json_object_set_new(object, key, json_deep_copy(value)) != 0)
        pm_die("no memory for a line's settings");
}

static bool set_in_target(json_t *target, const struct pm_sweep *sweep,
                          const struct pm_sweep_key *key, const json_t *value)
{
    if (key->place == TARGET) {
        set_copy(target, key->name, value);
        return true;
    }
    const json_t *usual = json_object_get(sweep->defaults, "local_blend");
    if (!json_object_get(target, "local_blend") && usual) set_copy(target, "local_blend", usual);
    json_t *blend = json_object_get(target, "local_blend");
    if (!json_is_object(blend)) return false;
    set_copy(blend, key->name, value);
    return true;
}

static bool apply_axis(json_t *line, const struct pm_sweep *sweep, size_t axis, const json_t *value,
                       const char *place, struct pm_error *err)
{
    const struct pm_sweep_key *key = sweep->axes[axis].key;
    if (strcmp(key->name, "inversion") == 0 && !json_object_get(line, "image"))
        return pm_fail(err, PM_E_INPUT,
                       "%s: the sweep of \"inversion\" changes nothing here: the line has no "
                       "\"image\"",
                       place);
    if (key->place == LINE) {
        set_copy(line, key->name, value);
        return true;
    }
    json_t *targets = json_object_get(line, "targets"), *target;
    size_t i;
    if (json_array_size(targets) == 0)
        return pm_fail(err, PM_E_INPUT,
                       "%s: the sweep of \"%s\" changes nothing here: the line has no targets",
                       place, key->key);
    json_array_foreach(targets, i, target)
    {
        if (json_is_object(target) && !set_in_target(target, sweep, key, value))
            return pm_fail(err, PM_E_INPUT,
                           "%s: the sweep of \"%s\" changes nothing here: targets[%zu] has no "
                           "\"local_blend\"",
                           place, key->key, i);
    }
    return true;
}

bool pm_sweep_apply(json_t *line, const struct pm_sweep *sweep, size_t setting, const char *place,
                    struct pm_error *err)
{
    const json_t *values[PM_SWEEP_MAX_KEYS];
    char label[PM_SWEEP_LABEL_BYTES];
    if (sweep->axis_count == 0) return true;
    pm_sweep_label(label, sweep, setting);
    /* where there is none, reading the line will tell */
    const char *id = json_string_value(json_object_get(line, "id"));
    json_t *whole = id ? json_sprintf("%s/%s", id, label) : NULL;
    find_values(values, sweep, setting);
    bool ok = true;
    for (size_t i = 0; ok && i < sweep->axis_count; i++) {
        json_t *drawn = values[i] ? NULL : draw(sweep, &sweep->axes[i], id ? id : "", setting);
        ok = apply_axis(line, sweep, i, drawn ? drawn : values[i], place, err);
        json_decref(drawn);
    }
    if (id && (!whole || json_object_set(line, "id", whole) != 0)) pm_die("no memory for an id");
    json_decref(whole);
    return ok;
}
