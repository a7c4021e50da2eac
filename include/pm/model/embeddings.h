/** @file embeddings.h  Textual inversion: new words with vectors of their own.
 *
 *  A file (.safetensors) holds one word's vectors, [n, channels] or [channels], under the word as
 *  its key, as diffusers writes it, or under "emb_params", as AUTOMATIC1111's web UI does. A word of
 *  n vectors is n tokens: word, word_1, ..., all of which the word stands for in a prompt.
 *  Sources: Gal et al. 2022 (arXiv 2208.01618); huggingface/diffusers loaders/textual_inversion.py. */
#ifndef PM_MODEL_EMBEDDINGS_H
#define PM_MODEL_EMBEDDINGS_H
#include "pm/base/arena.h"
#include "pm/model/tokenizer.h"

/** One file, and what its word is to be called. */
struct pm_embedding_file {
    const char *path;
    const char *token; /* NULL: as the file calls it, which "emb_params" does not */
};

/** Some files, opened. */
struct pm_embeddings;

/** @return true, *out owned by the caller (pm_embeddings_close); else err names the file */
PM_MUST_CHECK bool pm_embeddings_open(struct pm_embeddings **out,
                                      const struct pm_embedding_file *files, size_t count,
                                      struct pm_error *err);
/** @param embeddings  NULL: nothing is done */
void pm_embeddings_close(struct pm_embeddings *embeddings);

/** Teach a tokenizer the words, in order (pm_tokenizer_add_word). */
PM_MUST_CHECK bool pm_embeddings_add_words(const struct pm_embeddings *embeddings,
                                           struct pm_tokenizer *tokenizer, struct pm_error *err);

/** Vectors of all words together. */
size_t pm_embeddings_count(const struct pm_embeddings *embeddings);

/** @param vectors  [pm_embeddings_count, channels] in the order of the tokens, in @p memory
 *  @return false when a file's vectors are not of so many channels */
PM_MUST_CHECK bool pm_embeddings_vectors(const float **vectors,
                                         const struct pm_embeddings *embeddings, size_t channels,
                                         struct pm_arena *memory, struct pm_error *err);

/** A fingerprint of contents, words and order, chained like pm_hash64; @p seed for none. */
uint64_t pm_embeddings_hash(const struct pm_embeddings *embeddings, uint64_t seed);
#endif
