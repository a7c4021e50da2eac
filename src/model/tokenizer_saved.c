/* added_tokens.json: the words that a tokenizer was taught before it was saved. */
#include "tokenizer_impl.h"

#include "pm/base/json.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ids of the vocabulary may be named again; new ones follow it without a gap. */
static bool check_entry(const struct pm_tokenizer *tokenizer, const json_t *file, const char *path,
                        const char *text, const json_t *id, struct pm_error *err)
{
    json_int_t value = json_integer_value(id);
    size_t size = tokenizer->size;
    if (!json_is_integer(id) || value < 0 || (uint64_t)value >= size + json_object_size(file))
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"%.80s\" has no id from 0 on that follows the %zu of vocab.json", path,
                       text, size);
    if ((size_t)value < size && strcmp(tokenizer->texts[value], text) != 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%.80s\" has the id %lld, which is \"%s\"", path,
                       text, (long long)value, tokenizer->texts[value]);
    return true;
}

/* @return [count]  the texts of the ids from first on, NULL where there is none; owned by the
 * caller (free) */
static const char **texts_by_id(const json_t *file, size_t first, size_t count)
{
    const char *text;
    json_t *value;
    const char **texts = calloc(count + 1, sizeof *texts);
    if (!texts) pm_die("no memory for %zu tokens", count);
    json_object_foreach((json_t *)file, text, value)
    {
        size_t id = (size_t)json_integer_value(value);
        if (id >= first && id - first < count && !texts[id - first]) texts[id - first] = text;
    }
    return texts;
}

/* "word" is followed by "word_1", "word_2", …, with the ids that follow its own. */
static size_t count_of_word(const json_t *file, const char *word, size_t id)
{
    size_t count = 1;
    for (;; count++) {
        char next[512];
        snprintf(next, sizeof next, "%s_%zu", word, count);
        const json_t *value = json_object_get(file, next);
        if (!value || (size_t)json_integer_value(value) != id + count) return count;
    }
}

bool pm_tokenizer_add_saved_words(struct pm_tokenizer *tokenizer, const json_t *file,
                                  const char *path, struct pm_error *err)
{
    size_t size = tokenizer->size;
    const char *text;
    json_t *id;
    size_t more = 0;
    json_object_foreach((json_t *)file, text, id)
    {
        PM_TRY(check_entry(tokenizer, file, path, text, id, err));
        if ((size_t)json_integer_value(id) >= size) more++;
    }
    const char **words = texts_by_id(file, size, more);
    bool ok = true;
    while (ok && tokenizer->size < size + more) {
        size_t next = tokenizer->size;
        const char *word = words[next - size];
        ok = word || pm_fail(err, PM_E_FORMAT, "%s has no token with the id %zu", path, next);
        if (ok && !pm_tokenizer_add_word(tokenizer, word, count_of_word(file, word, next), err)) {
            struct pm_error why = *err;
            ok = pm_fail(err, PM_E_FORMAT, "%s: %s", path, why.message);
        }
    }
    free(words);
    return ok;
}

bool pm_tokenizer_load_saved_words(struct pm_tokenizer *tokenizer, const char *folder,
                                   struct pm_error *err)
{
    char path[PATH_MAX];
    json_t *file;
    snprintf(path, sizeof path, "%s/added_tokens.json", folder);
    if (access(path, F_OK) != 0) return true;
    PM_TRY(pm_json_load(&file, path, PM_TOKENIZER_FILE_BYTES, err));
    bool ok = json_is_object(file) ? pm_tokenizer_add_saved_words(tokenizer, file, path, err)
                                   : pm_fail(err, PM_E_FORMAT, "%s: an object is wanted, not %s",
                                             path, pm_json_kind(file));
    json_decref(file);
    return ok;
}
