#include "pm/model/tokenizer.h"

#include "tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Merging takes time quadratic in the longest word; no 77 tokens are this long. */
enum { PROMPT_BYTES_MAX = 16384 };
static const uint32_t NO_MERGE = UINT32_MAX;

enum character { LETTER, NUMBER, OTHER };

struct symbol {
    int32_t id;
    int32_t merged_id; /* this one and the next together */
    uint32_t rank;     /* of that merge, or NO_MERGE */
};

/* Where the tokens of one prompt are gathered. */
struct output {
    struct pm_tokens *tokens;
    size_t count; /* goes on past PM_TOKENS, for the error's sake */
    int16_t word;
    bool word_ended; /* white space since the last token */
};

static enum character classify(int32_t c)
{
    if (c < 0x80) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
        return c >= '0' && c <= '9' ? NUMBER : OTHER;
    }
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    default:
        return OTHER;
    }
}

/* Read the character at @p text, which is valid UTF-8. @return its bytes */
static size_t decode(int32_t *c, const char *text, size_t bytes)
{
    if (!((unsigned char)*text & 0x80)) {
        *c = (unsigned char)*text;
        return 1;
    }
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, c);
    PM_ASSERT(n > 0);
    return (size_t)n;
}

/* Character by character, so that a final sigma is as any other; U+0130 alone becomes two. */
static size_t put_lower(char *out, int32_t c)
{
    if (c < 0x80) {
        *out = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        return 1;
    }
    if (c == 0x130) {
        static const char dotted_i[] = {'i', '\xCC', '\x87'};
        memcpy(out, dotted_i, sizeof dotted_i);
        return sizeof dotted_i;
    }
    return (size_t)utf8proc_encode_char(utf8proc_tolower(c), (utf8proc_uint8_t *)out);
}

static bool is_ascii(const char *text, size_t bytes)
{
    unsigned char any = 0;
    for (size_t i = 0; i < bytes; i++) any |= (unsigned char)text[i];
    return any < 0x80;
}

char *pm_tokenizer_normalise(const char *text, size_t length, size_t *bytes)
{
    utf8proc_uint8_t *composed = NULL;
    if (!is_ascii(text, length)) {
        utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length,
                                          &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (n < 0) pm_die("cannot normalise %zu bytes: %s", length, utf8proc_errmsg(n));
        text = (const char *)composed;
        length = (size_t)n;
    }
    /* a lower-case letter takes at most half as much again: two bytes may become three */
    char *out = malloc(length + length / 2 + 4);
    if (!out) pm_die("no memory to normalise a text of %zu bytes", length);
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        int32_t c;
        at += decode(&c, text + at, length - at);
        if (!pm_is_white_space(c))
            used += put_lower(out + used, c);
        else if (used == 0 || out[used - 1] != ' ')
            out[used++] = ' ';
    }
    free(composed);
    out[used] = '\0';
    *bytes = used;
    return out;
}

struct merge *pm_tokenizer_merge_slot(const struct pm_tokenizer *tokenizer, int32_t left,
                                      int32_t right)
{
    /* Fibonacci hashing: the pair times 2^64 / golden ratio, the high bits */
    uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t mask = tokenizer->merge_slots - 1;
    for (size_t slot = (size_t)(key >> 32) & mask;; slot = (slot + 1) & mask) {
        struct merge *merge = &tokenizer->merges[slot];
        if (merge->left < 0 || (merge->left == left && merge->right == right)) return merge;
    }
}

static void look_up_merge(const struct pm_tokenizer *tokenizer, struct symbol *symbol)
{
    const struct merge *merge = pm_tokenizer_merge_slot(tokenizer, symbol[0].id, symbol[1].id);
    symbol->rank = merge->left < 0 ? NO_MERGE : merge->rank;
    symbol->merged_id = merge->id;
}

/* Merge neighbours until no merge applies: the lowest rank first, the leftmost of equals.
 * @return how many symbols are left */
static size_t merge_symbols(const struct pm_tokenizer *tokenizer, struct symbol *symbols, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) look_up_merge(tokenizer, &symbols[i]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (symbols[i].rank < symbols[best].rank) best = i;
        if (symbols[best].rank == NO_MERGE) break;
        symbols[best].id = symbols[best].merged_id;
        memmove(&symbols[best + 1], &symbols[best + 2], (n - best - 2) * sizeof *symbols);
        n--;
        if (best > 0) look_up_merge(tokenizer, &symbols[best - 1]);
        if (best + 1 < n) look_up_merge(tokenizer, &symbols[best]);
    }
    return n;
}

static void put_token(struct output *out, int32_t id)
{
    if (out->word_ended) out->word++;
    out->word_ended = false;
    if (out->count < PM_TOKENS - 1) { /* the last place is the end token's */
        out->tokens->ids[out->count] = id;
        out->tokens->word[out->count] = out->word;
    }
    out->count++;
}

static void put_added(struct output *out, const struct added_token *added)
{
    for (size_t i = 0; i < added->ids; i++) put_token(out, added->id + (int32_t)i);
}

static void put_piece(struct output *out, const struct pm_tokenizer *tokenizer, const char *piece,
                      size_t bytes, struct symbol *symbols)
{
    for (size_t i = 0; i < bytes; i++) {
        /* clang's analyzer cannot see that utf8proc filled the text */
        unsigned char byte =
            (unsigned char)piece[i]; // NOLINT(clang-analyzer-core.uninitialized.Assign)
        symbols[i].id = tokenizer->byte_ids[i + 1 < bytes ? INSIDE : LAST][byte];
    }
    size_t n = merge_symbols(tokenizer, symbols, bytes);
    PM_ASSERT(n <= bytes);
    for (size_t i = 0; i < n; i++) put_token(out, symbols[i].id);
}

/* CLIP's pattern: 's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
 * @return the bytes of the piece that @p text, with no white space in it, begins with */
static size_t piece_bytes(const char *text, size_t bytes)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; *text == '\'' && i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (n <= bytes && memcmp(text, endings[i], n) == 0) return n;
    }
    int32_t c;
    size_t at = decode(&c, text, bytes);
    enum character kind = classify(c);
    while (kind != NUMBER && at < bytes) {
        size_t n = decode(&c, text + at, bytes - at);
        if (classify(c) != kind) break;
        at += n;
    }
    return at;
}

/* @return the longest added token of the kind asked for that @p text begins with, or NULL */
static const struct added_token *added_token_at(const struct pm_tokenizer *tokenizer,
                                                bool normalised, const char *text, size_t bytes)
{
    const struct added_token *longest = NULL;
    if (!tokenizer->begins_added[(unsigned char)*text]) return NULL;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const struct added_token *added = &tokenizer->added[i];
        if (added->text[0] != *text || added->bytes > bytes) continue;
        if (added->normalised != normalised || memcmp(added->text, text, added->bytes) != 0)
            continue;
        if (!longest || added->bytes > longest->bytes) longest = added;
    }
    return longest;
}

/* Normalised text with no white space and no added token in it. */
static void put_pieces(struct output *out, const struct pm_tokenizer *tokenizer, const char *text,
                       size_t bytes, struct symbol *symbols)
{
    for (size_t at = 0; at < bytes;) {
        size_t n = piece_bytes(text + at, bytes - at);
        put_piece(out, tokenizer, text + at, n, symbols);
        at += n;
    }
}

/* Part of a prompt without added tokens that are looked for before normalising. */
static void put_section(struct output *out, const struct pm_tokenizer *tokenizer,
                        const char *section, size_t length)
{
    size_t bytes;
    char *text = pm_tokenizer_normalise(section, length, &bytes);
    struct symbol *symbols = malloc((bytes + 1) * sizeof *symbols);
    if (!symbols) pm_die("no memory to tokenize %zu bytes", bytes);
    for (size_t at = 0, end = 0; at < bytes; at = end) {
        const struct added_token *added = NULL;
        while (end < bytes && text[end] != ' ' &&
               !(added = added_token_at(tokenizer, true, text + end, bytes - end)))
            end++;
        put_pieces(out, tokenizer, text + at, end - at, symbols);
        if (added) {
            put_added(out, added);
            end += added->bytes;
        } else if (end < bytes) {
            out->word_ended = true;
            end++;
        }
    }
    free(symbols);
    free(text);
}

static void put_prompt(struct output *out, const struct pm_tokenizer *tokenizer, const char *prompt,
                       size_t bytes)
{
    for (size_t at = 0, end = 0; at < bytes; at = end) {
        const struct added_token *added = NULL;
        while (end < bytes &&
               !(added = added_token_at(tokenizer, false, prompt + end, bytes - end)))
            end++;
        if (end > at) put_section(out, tokenizer, prompt + at, end - at);
        if (added) {
            put_added(out, added);
            end += added->bytes;
        }
    }
}

PM_MUST_CHECK static bool check_prompt(const char *prompt, size_t *length, struct pm_error *err)
{
    size_t bytes = strlen(prompt);
    if (bytes > PROMPT_BYTES_MAX)
        return pm_fail(err, PM_E_INPUT, "the prompt has %zu bytes; the most it may have is %d",
                       bytes, (int)PROMPT_BYTES_MAX);
    for (size_t at = 0; at < bytes;) {
        int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)prompt + at,
                                              (utf8proc_ssize_t)(bytes - at), &c);
        if (n <= 0)
            return pm_fail(err, PM_E_INPUT,
                           "the prompt is not UTF-8: byte %zu of %zu (0x%02X) begins no character",
                           at + 1, bytes, (unsigned char)prompt[at]);
        at += (size_t)n;
    }
    *length = bytes;
    return true;
}

bool pm_tokenize(struct pm_tokens *out, const struct pm_tokenizer *tokenizer, const char *prompt,
                 struct pm_error *err)
{
    size_t bytes = 0;
    PM_TRY(check_prompt(prompt, &bytes, err));
    struct output to = {.tokens = out, .word = -1};
    put_token(&to, tokenizer->special[START]);
    to.word_ended = true;
    put_prompt(&to, tokenizer, prompt, bytes);

    size_t count = to.count + 1; /* with the end */
    if (count > PM_TOKENS)
        return pm_fail(err, PM_E_INPUT,
                       "the prompt has %zu tokens, start and end among them; the limit is %d",
                       count, (int)PM_TOKENS);
    for (size_t i = count - 1; i < PM_TOKENS; i++) {
        out->ids[i] = tokenizer->special[i < count ? END : PAD];
        out->word[i] = -1;
    }
    out->count = count;
    return true;
}

const char *pm_token_text(const struct pm_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->size ? tokenizer->texts[id] : NULL;
}

size_t pm_tokenizer_size(const struct pm_tokenizer *tokenizer)
{
    return tokenizer->size;
}
