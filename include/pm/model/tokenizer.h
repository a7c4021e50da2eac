/** @file tokenizer.h  CLIP's byte-level BPE, from any vocab.json and merges.txt.
 *
 *  Text is made NFC, runs of white space become one space, letters become lower case; CLIP's
 *  pattern splits it into pieces, and merges join each piece's bytes into tokens. Ids are those
 *  of Hugging Face's current (Rust) CLIPTokenizer. Sources: openai/CLIP simple_tokenizer.py;
 *  huggingface tokenizers, CLIP converter. */
#ifndef PM_MODEL_TOKENIZER_H
#define PM_MODEL_TOKENIZER_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { PM_TOKENS = 77 }; /* a prompt's length in tokens, always: CLIP's context */

/** One prompt as the text encoder takes it. */
struct pm_tokens {
    int32_t ids[PM_TOKENS];  /* start, the text, end, then padding */
    int16_t word[PM_TOKENS]; /* which word of the prompt a token is part of: 0-based over the
                                prompt split at white space; -1 for start, end and padding */
    size_t count;            /* tokens before the padding, start and end among them */
};

struct pm_tokenizer;

/** Read a folder in Hugging Face's layout: vocab.json (ids 0 to size-1, each once) and merges.txt, or
 *  without vocab.json tokenizer.json, which has both; when present special_tokens_map.json and
 *  tokenizer_config.json, which say how to pad, and the map goes first; and added_tokens.json, whose
 *  words are added as by pm_tokenizer_add_word. A special token in a prompt is that token, wherever
 *  it stands: where "!" pads, as in SD 2, every "!" of a prompt is the padding's id. Files may
 *  have 8 MiB each.
 *  @return true, *out owned by the caller (pm_tokenizer_free); else err names the file, and the
 *  line or entry */
PM_MUST_CHECK bool pm_tokenizer_load(struct pm_tokenizer **out, const char *folder,
                                     struct pm_error *err);

/** The same with another padding than the folder says. @param pad  a token of vocab.json; NULL: as
 *  the folder says */
PM_MUST_CHECK bool pm_tokenizer_load_padded(struct pm_tokenizer **out, const char *folder,
                                            const char *pad, struct pm_error *err);
void pm_tokenizer_free(struct pm_tokenizer *tokenizer);

/** Teach it a word that stands for @p count tokens of their own, called word, word_1, ...; their
 *  ids follow those that are there. It is found wherever it stands in a prompt, also inside another
 *  word, in upper or lower case, as Hugging Face finds added tokens; its tokens are of one word.
 *  Not to be called while others tokenize.
 *  @return false when a token of that name is there, or the name is empty, too long (200 bytes) or
 *  has white space */
PM_MUST_CHECK bool pm_tokenizer_add_word(struct pm_tokenizer *tokenizer, const char *word,
                                         size_t count, struct pm_error *err);

/** Tokens of a prompt, any UTF-8 up to 16384 bytes. Over 77 tokens is an error that tells the count
 *  and the limit; bytes that are no UTF-8 are an error that tells the position. Thread-safe.
 *  @return true; on false *out is undefined and err says PM_E_INPUT */
PM_MUST_CHECK bool pm_tokenize(struct pm_tokens *out, const struct pm_tokenizer *tokenizer,
                               const char *prompt, struct pm_error *err);

/** @return the token's text as the vocabulary has it, turned back into bytes (a word's last token
 *  without "</w>"; a token may be part of a UTF-8 character), borrowed; NULL for an unknown id */
const char *pm_token_text(const struct pm_tokenizer *tokenizer, int32_t id);

/** @return whether words are parted at this character: Unicode's White_Space, CLIP's \s */
static inline bool pm_is_white_space(int32_t c)
{
    if (c > ' ' && c < 0x85) return false; /* most characters */
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

size_t pm_tokenizer_size(const struct pm_tokenizer *tokenizer); /* ids are below this */
#endif
