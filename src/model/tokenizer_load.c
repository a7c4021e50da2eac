#include "tokenizer_impl.h"

#include "pm/base/json.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

static const char END_OF_WORD[] = "</w>";

static void *allocate(size_t n, size_t bytes)
{
    void *memory = calloc(n ? n : 1, bytes);
    if (!memory) pm_die("no memory for a tokenizer's table of %zu times %zu bytes", n, bytes);
    return memory;
}

/* A vocabulary writes each byte as one character: printable Latin-1 as itself, the 68 others as
 * U+0100 and up. Source: openai/gpt-2 encoder.py, bytes_to_unicode. */
static bool is_printable(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

enum { CHARACTERS = 0x100 + 68, NO_BYTE = -1 };
struct byte_alphabet {
    int32_t character[256];
    int byte[CHARACTERS];
};

static struct byte_alphabet byte_alphabet(void)
{
    struct byte_alphabet alphabet;
    for (int c = 0; c < CHARACTERS; c++) alphabet.byte[c] = NO_BYTE;
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        int character = is_printable((unsigned)byte) ? byte : next++;
        alphabet.character[byte] = character;
        alphabet.byte[character] = byte;
    }
    return alphabet;
}

/* Characters outside the alphabet stay as they are. @return bytes written, at most strlen(token) */
static size_t token_to_bytes(char *out, const char *token, const struct byte_alphabet *alphabet)
{
    const size_t suffix = sizeof END_OF_WORD - 1;
    size_t length = strlen(token), used = 0;
    if (length > suffix && strcmp(token + length - suffix, END_OF_WORD) == 0) length -= suffix;
    for (size_t at = 0; at < length;) {
        int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)token + at,
                                              (utf8proc_ssize_t)(length - at), &c);
        PM_ASSERT(n > 0); /* jansson lets only UTF-8 through */
        int byte = c < CHARACTERS ? alphabet->byte[c] : NO_BYTE;
        if (byte != NO_BYTE) {
            out[used++] = (char)byte;
        } else {
            memcpy(out + used, token + at, (size_t)n);
            used += (size_t)n;
        }
        at += (size_t)n;
    }
    return used;
}

/* Ids are 0 to size-1, each once. */
PM_MUST_CHECK static bool take_vocabulary(struct pm_tokenizer *tokenizer, const char *path,
                                          json_t *vocabulary, struct pm_error *err)
{
    if (!json_is_object(vocabulary))
        return pm_fail(err, PM_E_FORMAT, "%s: an object of tokens and their ids is wanted, not %s",
                       path, pm_json_kind(vocabulary));
    const struct byte_alphabet alphabet = byte_alphabet();
    const char *token;
    json_t *value;
    size_t bytes = 0;
    json_object_foreach(vocabulary, token, value) bytes += strlen(token) + 1;
    tokenizer->size = json_object_size(vocabulary);
    tokenizer->texts = allocate(tokenizer->size, sizeof *tokenizer->texts);
    tokenizer->text_bytes = allocate(bytes, 1);
    char *next = tokenizer->text_bytes;
    json_object_foreach(vocabulary, token, value)
    {
        if (!json_is_integer(value))
            return pm_fail(err, PM_E_FORMAT, "%s: the id of \"%s\" is %s; a whole number is wanted",
                           path, token, pm_json_kind(value));
        json_int_t id = json_integer_value(value);
        if (id < 0 || (uint64_t)id >= tokenizer->size)
            return pm_fail(err, PM_E_FORMAT,
                           "%s: the id of \"%s\" is %lld; %zu tokens have ids from 0 to %zu", path,
                           token, (long long)id, tokenizer->size, tokenizer->size - 1);
        if (tokenizer->texts[id])
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" has id %lld, which another token has too",
                           path, token, (long long)id);
        tokenizer->texts[id] = next;
        next += token_to_bytes(next, token, &alphabet) + 1;
    }
    return true;
}

/* A byte that the vocabulary lacks is the unknown token. */
static void take_bytes(struct pm_tokenizer *tokenizer, const json_t *vocabulary)
{
    const struct byte_alphabet alphabet = byte_alphabet();
    for (size_t byte = 0; byte < 256; byte++) {
        char token[4 + sizeof END_OF_WORD];
        utf8proc_ssize_t n =
            utf8proc_encode_char(alphabet.character[byte], (utf8proc_uint8_t *)token);
        for (int place = INSIDE; place <= LAST; place++) {
            strcpy(token + n, place == LAST ? END_OF_WORD : "");
            int32_t id = pm_tokenizer_find_id(vocabulary, token);
            tokenizer->byte_ids[place][byte] = id >= 0 ? id : tokenizer->special[UNKNOWN];
        }
    }
}

struct special_token {
    char *text;
    bool normalised;
};

/* A special token is given as its text, or as {"content": text, "normalized": true, …}. */
PM_MUST_CHECK static bool read_special(struct special_token *token, const json_t *file,
                                       const char *path, const char *key, struct pm_error *err)
{
    const json_t *value = json_object_get(file, key);
    if (!value || json_is_null(value)) return true;
    const char *content = NULL, *name = key;
    const json_t *holder = file;
    bool normalised = json_is_object(value);
    if (json_is_object(value)) {
        bool strip_left = false, strip_right = false, single_word = false;
        PM_TRY(pm_json_bool(value, path, "lstrip", &strip_left, err));
        PM_TRY(pm_json_bool(value, path, "rstrip", &strip_right, err));
        PM_TRY(pm_json_bool(value, path, "single_word", &single_word, err));
        PM_TRY(pm_json_bool(value, path, "normalized", &normalised, err));
        if (strip_left || strip_right || single_word)
            return pm_fail(err, PM_E_FORMAT,
                           "%s: %s asks for lstrip, rstrip or single_word, which CLIP's tokens "
                           "never do",
                           path, key);
        holder = value;
        name = "content";
    }
    PM_TRY(pm_json_string(holder, path, name, &content, err));
    if (!content || !*content) return pm_fail(err, PM_E_FORMAT, "%s: %s has no text", path, key);
    free(token->text);
    *token = (struct special_token){.text = strdup(content), .normalised = normalised};
    if (!token->text) pm_die("no memory for %s", path);
    return true;
}

static const char *const special_keys[SPECIALS] = {
    [START] = "bos_token", [END] = "eos_token", [UNKNOWN] = "unk_token", [PAD] = "pad_token"};

PM_MUST_CHECK static bool read_specials(struct special_token specials[SPECIALS], const char *path,
                                        struct pm_error *err)
{
    if (access(path, F_OK) != 0) return true;
    json_t *file;
    PM_TRY(pm_json_load(&file, path, PM_TOKENIZER_FILE_BYTES, err));
    bool ok = json_is_object(file) || pm_fail(err, PM_E_FORMAT, "%s: an object is wanted, not %s",
                                              path, pm_json_kind(file));
    for (int i = 0; ok && i < SPECIALS; i++)
        ok = read_special(&specials[i], file, path, special_keys[i], err);
    json_decref(file);
    return ok;
}

/* Of special tokens that share an id, the last decides how it is looked for, as in Hugging Face:
 * SD 1's padding, given as text alone, makes "<|ENDOFTEXT|>" plain text. */
static void add_token(struct pm_tokenizer *tokenizer, const char *text, int32_t id, bool normalised)
{
    size_t i = 0;
    while (i < tokenizer->added_count && tokenizer->added[i].id != id) i++;
    if (i == tokenizer->added_count) tokenizer->added_count++;
    struct added_token *added = &tokenizer->added[i];
    free(added->text);
    *added =
        (struct added_token){.id = id, .ids = 1, .normalised = normalised, .bytes = strlen(text)};
    added->text =
        normalised ? pm_tokenizer_normalise(text, strlen(text), &added->bytes) : strdup(text);
    if (!added->text) pm_die("no memory for the token %s", text);
    pm_tokenizer_look_for(tokenizer, added->text);
}

PM_MUST_CHECK static bool take_specials(struct pm_tokenizer *tokenizer,
                                        const struct special_token specials[SPECIALS],
                                        const char *path, const json_t *vocabulary,
                                        struct pm_error *err)
{
    for (int i = 0; i < SPECIALS; i++) {
        const char *text = specials[i].text ? specials[i].text
                           : i == START     ? "<|startoftext|>"
                                            : "<|endoftext|>";
        int32_t id = pm_tokenizer_find_id(vocabulary, text);
        if (id < 0)
            return pm_fail(err, PM_E_FORMAT, "%s has no token \"%s\", the %s", path, text,
                           special_keys[i]);
        tokenizer->special[i] = id;
        add_token(tokenizer, text, id, specials[i].normalised);
    }
    return true;
}

/* As a folder's map gives it as text alone. */
static void set_padding(struct special_token *token, const char *pad)
{
    free(token->text);
    *token = (struct special_token){.text = strdup(pad)};
    if (!token->text) pm_die("no memory for the token %s", pad);
}

PM_MUST_CHECK static bool load_specials(struct pm_tokenizer *tokenizer, const char *folder,
                                        const char *pad, const char *vocabulary_path,
                                        const json_t *vocabulary, struct pm_error *err)
{
    struct special_token specials[SPECIALS] = {0};
    char path[PATH_MAX];
    /* the map is read last: in published SD 2 folders it says "!" and the config does not */
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    bool ok = read_specials(specials, path, err);
    snprintf(path, sizeof path, "%s/special_tokens_map.json", folder);
    ok = ok && read_specials(specials, path, err);
    if (ok && pad) set_padding(&specials[PAD], pad);
    ok = ok && take_specials(tokenizer, specials, vocabulary_path, vocabulary, err);
    for (int i = 0; i < SPECIALS; i++) free(specials[i].text);
    return ok;
}

bool pm_tokenizer_load(struct pm_tokenizer **out, const char *folder, struct pm_error *err)
{
    return pm_tokenizer_load_padded(out, folder, NULL, err);
}

/** Where vocabulary and merges are. */
struct vocabulary_files {
    char vocabulary[PATH_MAX], merges[PATH_MAX];
    json_t *whole;  /* tokenizer.json, owned; NULL: there are two files */
    json_t *tokens; /* borrowed from it, or owned */
};

/* transformers 5 writes tokenizer.json alone. */
static bool open_vocabulary(struct vocabulary_files *f, const char *folder, struct pm_error *err)
{
    *f = (struct vocabulary_files){.whole = NULL};
    snprintf(f->vocabulary, sizeof f->vocabulary, "%s/vocab.json", folder);
    snprintf(f->merges, sizeof f->merges, "%s/merges.txt", folder);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    if (access(f->vocabulary, F_OK) == 0 || access(path, F_OK) != 0)
        return pm_json_load(&f->tokens, f->vocabulary, PM_TOKENIZER_FILE_BYTES, err);
    strcpy(f->vocabulary, path);
    PM_TRY(pm_json_load(&f->whole, path, PM_TOKENIZER_FILE_BYTES, err));
    const json_t *model = json_object_get(f->whole, "model");
    f->tokens = json_object_get(model, "vocab");
    return true;
}

static void close_vocabulary(struct vocabulary_files *f)
{
    json_decref(f->whole ? f->whole : f->tokens);
}

/* Of tokenizer.json, words beyond the vocabulary are listed as added_tokens.json would have them. */
static bool take_listed_words(struct pm_tokenizer *tokenizer, const struct vocabulary_files *f,
                              struct pm_error *err)
{
    const json_t *list = json_object_get(f->whole, "added_tokens");
    json_t *words = json_object(), *token;
    size_t i;
    json_array_foreach(list, i, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        json_t *id = json_object_get(token, "id");
        if (text && json_integer_value(id) >= (json_int_t)tokenizer->size)
            json_object_set(words, text, id);
    }
    bool ok = pm_tokenizer_add_saved_words(tokenizer, words, f->vocabulary, err);
    json_decref(words);
    return ok;
}

static bool take_merges(struct pm_tokenizer *tokenizer, const struct vocabulary_files *f,
                        struct pm_error *err)
{
    if (!f->whole) return pm_tokenizer_load_merges(tokenizer, f->merges, f->tokens, err);
    const json_t *list = json_object_get(json_object_get(f->whole, "model"), "merges");
    return pm_tokenizer_take_merges(tokenizer, list, f->vocabulary, f->tokens, err);
}

bool pm_tokenizer_load_padded(struct pm_tokenizer **out, const char *folder, const char *pad,
                              struct pm_error *err)
{
    struct vocabulary_files f;
    if (strlen(folder) + sizeof "/special_tokens_map.json" > PATH_MAX)
        return pm_fail(err, PM_E_INPUT, "the folder's name has %zu bytes; the system allows %d",
                       strlen(folder), PATH_MAX);
    PM_TRY(open_vocabulary(&f, folder, err));
    struct pm_tokenizer *tokenizer = allocate(1, sizeof *tokenizer);
    tokenizer->added = allocate(SPECIALS, sizeof *tokenizer->added);
    bool ok = take_vocabulary(tokenizer, f.vocabulary, f.tokens, err) &&
              load_specials(tokenizer, folder, pad, f.vocabulary, f.tokens, err) &&
              take_merges(tokenizer, &f, err);
    if (ok) take_bytes(tokenizer, f.tokens);
    ok = ok && (!f.whole || take_listed_words(tokenizer, &f, err)) &&
         pm_tokenizer_load_saved_words(tokenizer, folder, err);
    close_vocabulary(&f);
    if (ok)
        *out = tokenizer;
    else
        pm_tokenizer_free(tokenizer);
    return ok;
}

void pm_tokenizer_free(struct pm_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        free(tokenizer->added[i].text);
        free(tokenizer->added[i].name);
    }
    free(tokenizer->added);
    free(tokenizer->merges);
    free(tokenizer->texts);
    json_decref(tokenizer->known);
    free(tokenizer->text_bytes);
    free(tokenizer);
}
