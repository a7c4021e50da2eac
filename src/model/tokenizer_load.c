#include "tokenizer_impl.h"

#include "pm/base/json.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#define FILE_BYTES_MAX ((size_t)8 << 20)
enum { LINE_BYTES = 4096 };
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

/* @return the token's id, or -1; take_vocabulary has seen that ids fit */
static int32_t find_id(const json_t *vocabulary, const char *token)
{
    const json_t *value = json_object_get(vocabulary, token);
    return value ? (int32_t)json_integer_value(value) : -1;
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
            int32_t id = find_id(vocabulary, token);
            tokenizer->byte_ids[place][byte] = id >= 0 ? id : tokenizer->special[UNKNOWN];
        }
    }
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
    int32_t left = find_id(vocabulary, line), right = find_id(vocabulary, space + 1);
    if (left < 0 || right < 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is not in vocab.json", where,
                       left < 0 ? line : space + 1);
    struct merge *merge = pm_tokenizer_merge_slot(tokenizer, left, right);
    if (merge->left >= 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s %s\" is there twice", where, line, space + 1);
    *merge = (struct merge){.left = left, .right = right, .rank = rank};
    memmove(space, space + 1, strlen(space + 1) + 1);
    merge->id = find_id(vocabulary, line);
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
        if (bytes > FILE_BYTES_MAX)
            return pm_fail(err, PM_E_FORMAT, "%s is larger than %zu bytes", path, FILE_BYTES_MAX);
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

PM_MUST_CHECK static bool load_merges(struct pm_tokenizer *tokenizer, const char *path,
                                      const json_t *vocabulary, struct pm_error *err)
{
    size_t slots = 2;
    while (slots < 2 * tokenizer->size) slots *= 2;
    tokenizer->merges = allocate(slots, sizeof *tokenizer->merges);
    tokenizer->merge_slots = slots;
    for (size_t i = 0; i < slots; i++) tokenizer->merges[i].left = -1;
    FILE *file = fopen(path, "rb");
    if (!file) return pm_fail(err, PM_E_IO, "cannot open %s: %s", path, strerror(errno));
    bool ok = read_merges(tokenizer, path, file, vocabulary, err);
    fclose(file);
    return ok;
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
    PM_TRY(pm_json_load(&file, path, FILE_BYTES_MAX, err));
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
        int32_t id = find_id(vocabulary, text);
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

bool pm_tokenizer_load_padded(struct pm_tokenizer **out, const char *folder, const char *pad,
                              struct pm_error *err)
{
    char vocabulary_path[PATH_MAX], merges_path[PATH_MAX];
    if (strlen(folder) + sizeof "/special_tokens_map.json" > PATH_MAX)
        return pm_fail(err, PM_E_INPUT, "the folder's name has %zu bytes; the system allows %d",
                       strlen(folder), PATH_MAX);
    snprintf(vocabulary_path, sizeof vocabulary_path, "%s/vocab.json", folder);
    snprintf(merges_path, sizeof merges_path, "%s/merges.txt", folder);
    json_t *vocabulary;
    PM_TRY(pm_json_load(&vocabulary, vocabulary_path, FILE_BYTES_MAX, err));
    struct pm_tokenizer *tokenizer = allocate(1, sizeof *tokenizer);
    tokenizer->added = allocate(SPECIALS, sizeof *tokenizer->added);
    bool ok = take_vocabulary(tokenizer, vocabulary_path, vocabulary, err) &&
              load_specials(tokenizer, folder, pad, vocabulary_path, vocabulary, err) &&
              load_merges(tokenizer, merges_path, vocabulary, err);
    if (ok) take_bytes(tokenizer, vocabulary);
    ok = ok && pm_tokenizer_load_saved_words(tokenizer, folder, err);
    json_decref(vocabulary);
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
    free(tokenizer->text_bytes);
    free(tokenizer);
}
