/** @file tokenizer_impl.h  What tokenizer.c (use) and tokenizer_load.c (files) share. */
#ifndef PM_MODEL_TOKENIZER_IMPL_H
#define PM_MODEL_TOKENIZER_IMPL_H
#include "pm/base/json.h"
#include "pm/model/tokenizer.h"

/** No file is larger. A full vocabulary of CLIP has 1 MB, in one file with its merges 2 MB. */
#define PM_TOKENIZER_FILE_BYTES ((size_t)8 << 20)

/** Two neighbours become one token; the lowest rank goes first. */
struct merge {
    int32_t left, right; /* ids; left is -1 in an empty slot */
    int32_t id;          /* of the two together */
    uint32_t rank;       /* place in merges.txt */
};

/** A token that is cut out of the text before it is split into pieces. */
struct added_token {
    char *text; /* owned */
    size_t bytes;
    int32_t id;
    size_t ids;      /* it stands for so many, from id on */
    char *name;      /* owned: as it was given, of a word added; else NULL */
    bool normalised; /* looked for in the normalised text; otherwise in the prompt as it is */
};

enum special { START, END, UNKNOWN, PAD, SPECIALS };
enum { INSIDE, LAST }; /* a byte's place in its piece */

struct pm_tokenizer {
    size_t size;
    const char **texts; /* [size] in text_bytes */
    char *text_bytes;
    int32_t byte_ids[2][256]; /* [INSIDE or LAST][byte] the token of one byte */
    struct merge *merges;     /* [merge_slots] open addressing, at most half full */
    size_t merge_slots;       /* a power of two */
    int32_t special[SPECIALS];
    struct added_token *added; /* [added_count] */
    size_t added_count;        /* special tokens may share an id */
    bool begins_added[256];    /* [byte] whether one begins with it, maybe */
    json_t *known;             /* owned: a set of all tokens' texts; NULL until a word is added */
};

/** An added token's text is to be looked for from now on. */
static inline void pm_tokenizer_look_for(struct pm_tokenizer *tokenizer, const char *text)
{
    tokenizer->begins_added[(unsigned char)*text] = true;
}

/** @return the slot of the pair, or the empty one where it belongs */
struct merge *pm_tokenizer_merge_slot(const struct pm_tokenizer *tokenizer, int32_t left,
                                      int32_t right);

/** NFC, each run of white space as one space, lower case. @param text  [length], valid UTF-8
 *  @return owned by the caller (free), *bytes long and ended by 0 */
char *pm_tokenizer_normalise(const char *text, size_t length, size_t *bytes);

/** Teach it the words of <folder>/added_tokens.json, if there is one; else err names file and word. */
PM_MUST_CHECK bool pm_tokenizer_load_saved_words(struct pm_tokenizer *tokenizer, const char *folder,
                                                 struct pm_error *err);

/** The same of words and ids that were read already. @param file  an object  @param path  for err */
PM_MUST_CHECK bool pm_tokenizer_add_saved_words(struct pm_tokenizer *tokenizer, const json_t *file,
                                                const char *path, struct pm_error *err);

/** @param vocabulary  tokens and their ids, which are known to fit @return the token's id, or -1 */
int32_t pm_tokenizer_find_id(const json_t *vocabulary, const char *token);

/** Read a merges.txt; else err names file and line. The tokenizer's size is set. */
PM_MUST_CHECK bool pm_tokenizer_load_merges(struct pm_tokenizer *tokenizer, const char *path,
                                            const json_t *vocabulary, struct pm_error *err);

/** The same from the list in a tokenizer.json; else err has the entry. @param path  for err */
PM_MUST_CHECK bool pm_tokenizer_take_merges(struct pm_tokenizer *tokenizer, const json_t *list,
                                            const char *path, const json_t *vocabulary,
                                            struct pm_error *err);
#endif
