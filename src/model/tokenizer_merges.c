/* The merges of a tokenizer, from merges.txt or from tokenizer.json. */
#include "tokenizer_impl.h"

#include "pm/base/open_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

int32_t pm_tokenizer_find_id(const json_t *vocabulary, const char *token)
{
    const json_t *value = json_object_get(vocabulary, token);
    return value ? (int32_t)json_integer_value(value) : -1;
}

/* One line, "left right". */
PM_MUST_CHECK static bool take_merge(struct pm_tokenizer *tokenizer, const char *where, char *line,
                                     const json_t *vocabulary, uint32_t rank, struct pm_error *err)
{
    char *space = strchr(line, ' ');
    if (!space || space == line || !space[1] || strchr(space + 1, ' '))
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is not two tokens with a space between", where,
                       line);
    *space = '\0';
    int32_t left = pm_tokenizer_find_id(vocabulary, line),
            right = pm_tokenizer_find_id(vocabulary, space + 1);
    if (left < 0 || right < 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is not in vocab.json", where,
                       left < 0 ? line : space + 1);
    struct merge *merge = pm_tokenizer_merge_slot(tokenizer, left, right);
    if (merge->left >= 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s %s\" is there twice", where, line, space + 1);
    *merge = (struct merge){.left = left, .right = right, .rank = rank};
    memmove(space, space + 1, strlen(space + 1) + 1);
    merge->id = pm_tokenizer_find_id(vocabulary, line);
    if (merge->id < 0)
        return pm_fail(err, PM_E_FORMAT, "%s: the two together, \"%s\", are not in vocab.json",
                       where, line);
    return true;
}

PM_MUST_CHECK static bool read_merges(struct pm_tokenizer *tokenizer, const char *path, FILE *file,
                                      const json_t *vocabulary, struct pm_error *err)
{
    char line[LINE_BYTES], where[PATH_MAX + 32];
    size_t bytes = 0;
    uint32_t rank = 0;
    for (size_t number = 1; fgets(line, sizeof line, file); number++) {
        snprintf(where, sizeof where, "%s:%zu", path, number);
        bytes += strlen(line);
        if (bytes > PM_TOKENIZER_FILE_BYTES)
            return pm_fail(err, PM_E_FORMAT, "%s is larger than %zu bytes", path,
                           PM_TOKENIZER_FILE_BYTES);
        if (!strchr(line, '\n') && !feof(file))
            return pm_fail(err, PM_E_FORMAT,
                           "%s: the line has a NUL character or more than %d bytes", where,
                           (int)LINE_BYTES - 2);
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0] || (number == 1 && strncmp(line, "#version", 8) == 0)) continue;
        /* a merge makes a token, so this bounds the table too */
        if (rank == tokenizer->size)
            return pm_fail(err, PM_E_FORMAT, "%s: more merges than the %zu tokens of vocab.json",
                           where, tokenizer->size);
        PM_TRY(take_merge(tokenizer, where, line, vocabulary, rank++, err));
    }
    if (ferror(file)) return pm_fail(err, PM_E_IO, "cannot read %s: %s", path, strerror(errno));
    return true;
}

static void make_merge_slots(struct pm_tokenizer *tokenizer)
{
    size_t slots = 2;
    while (slots < 2 * tokenizer->size) slots *= 2;
    tokenizer->merges = calloc(slots, sizeof *tokenizer->merges);
    if (!tokenizer->merges) pm_die("no memory for %zu merges", slots);
    tokenizer->merge_slots = slots;
    for (size_t i = 0; i < slots; i++) tokenizer->merges[i].left = -1;
}

/* The list in tokenizer.json: "left right", or in newer files ["left", "right"]. */
bool pm_tokenizer_take_merges(struct pm_tokenizer *tokenizer, const json_t *list, const char *path,
                              const json_t *vocabulary, struct pm_error *err)
{
    char line[LINE_BYTES], where[PATH_MAX + 64];
    size_t i;
    json_t *merge;
    make_merge_slots(tokenizer);
    if (!json_is_array(list) || json_array_size(list) > tokenizer->size)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"merges\" is no list of at most %zu, as many as tokens", path,
                       tokenizer->size);
    json_array_foreach(list, i, merge)
    {
        const char *left = json_string_value(json_array_get(merge, 0)),
                   *right = json_string_value(json_array_get(merge, 1));
        const char *both = json_string_value(merge);
        snprintf(where, sizeof where, "%s: \"merges\"[%zu]", path, i);
        int n = snprintf(line, sizeof line, "%s%s%s",
                         both   ? both
                         : left ? left
                                : "",
                         both ? "" : " ", both || !right ? "" : right);
        if (n < 0 || (size_t)n >= sizeof line)
            return pm_fail(err, PM_E_FORMAT, "%s is longer than %d bytes", where, LINE_BYTES);
        PM_TRY(take_merge(tokenizer, where, line, vocabulary, (uint32_t)i, err));
    }
    return true;
}

bool pm_tokenizer_load_merges(struct pm_tokenizer *tokenizer, const char *path,
                              const json_t *vocabulary, struct pm_error *err)
{
    make_merge_slots(tokenizer);
    FILE *file = pm_open_stream(path, err);
    if (!file) return false;
    bool ok = read_merges(tokenizer, path, file, vocabulary, err);
    fclose(file);
    return ok;
}
