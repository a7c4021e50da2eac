#include "pm/model/embeddings.h"

#include "pm/base/hash.h"
#include "pm/model/safetensors.h"

#include <stdlib.h>
#include <string.h>

/** One word. */
struct word {
    struct pm_safetensors file;
    const struct pm_tensor *vectors; /* in file */
    char *token;                     /* owned */
    size_t count, channels;
};

struct pm_embeddings {
    struct word *words;
    size_t count;
};

/* The tensor with the vectors. Where there are several, it is another model's file. */
static bool find_vectors(struct word *w, const char *path, struct pm_error *err)
{
    w->vectors = pm_safetensors_find(&w->file, "emb_params");
    if (!w->vectors && w->file.count == 1) w->vectors = w->file.tensors;
    if (!w->vectors && pm_safetensors_find(&w->file, "clip_g"))
        return pm_fail(err, PM_E_FORMAT, "%s is an embedding for SDXL", path);
    if (!w->vectors)
        return pm_fail(err, PM_E_FORMAT,
                       "%s has %zu tensors; an embedding has one, called \"emb_params\" or by its "
                       "word",
                       path, w->file.count);
    const struct pm_tensor *v = w->vectors;
    bool is_matrix = v->rank == 2;
    if (!pm_tensor_is_float(v) || v->elements == 0 || v->rank < 1 || v->rank > 2)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"%s\" is no list of vectors [n, channels] of F32, F16 or BF16", path,
                       v->name);
    w->count = is_matrix ? v->shape[0] : 1;
    w->channels = v->shape[is_matrix ? 1 : 0];
    if (w->count <= PM_TOKENS - 2) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" has %zu vectors; a prompt has room for %d", path,
                   v->name, w->count, PM_TOKENS - 2);
}

static bool open_word(struct word *w, const struct pm_embedding_file *file, struct pm_error *err)
{
    PM_TRY(pm_safetensors_open(&w->file, file->path, err));
    PM_TRY(find_vectors(w, file->path, err));
    const char *token = file->token;
    if (!token && strcmp(w->vectors->name, "emb_params") == 0)
        return pm_fail(err, PM_E_INPUT, "%s does not say for which word it is: a token is wanted",
                       file->path);
    w->token = strdup(token ? token : w->vectors->name);
    if (!w->token) pm_die("no memory for a word");
    return true;
}

bool pm_embeddings_open(struct pm_embeddings **out, const struct pm_embedding_file *files,
                        size_t count, struct pm_error *err)
{
    struct pm_embeddings *embeddings = calloc(1, sizeof *embeddings);
    if (embeddings) embeddings->words = calloc(count + 1, sizeof *embeddings->words);
    if (!embeddings || !embeddings->words) pm_die("no memory for %zu embeddings", count);
    while (embeddings->count < count) {
        const struct pm_embedding_file *file = &files[embeddings->count];
        if (open_word(&embeddings->words[embeddings->count++], file, err)) continue;
        pm_embeddings_close(embeddings);
        return false;
    }
    *out = embeddings;
    return true;
}

void pm_embeddings_close(struct pm_embeddings *embeddings)
{
    if (!embeddings) return;
    for (size_t i = 0; i < embeddings->count; i++) {
        pm_safetensors_close(&embeddings->words[i].file);
        free(embeddings->words[i].token);
    }
    free(embeddings->words);
    free(embeddings);
}

bool pm_embeddings_add_words(const struct pm_embeddings *embeddings, struct pm_tokenizer *tokenizer,
                             struct pm_error *err)
{
    for (size_t i = 0; i < embeddings->count; i++) {
        const struct word *w = &embeddings->words[i];
        if (!pm_tokenizer_add_word(tokenizer, w->token, w->count, err))
            return pm_fail(err, err->code, "%s: %s", w->file.path, err->message);
    }
    return true;
}

size_t pm_embeddings_count(const struct pm_embeddings *embeddings)
{
    size_t count = 0;
    for (size_t i = 0; i < embeddings->count; i++) count += embeddings->words[i].count;
    return count;
}

bool pm_embeddings_vectors(const float **vectors, const struct pm_embeddings *embeddings,
                           size_t channels, struct pm_arena *memory, struct pm_error *err)
{
    for (size_t i = 0; i < embeddings->count; i++)
        if (embeddings->words[i].channels != channels)
            return pm_fail(err, PM_E_FORMAT,
                           "%s: its vectors have %zu channels, the text encoder's %zu",
                           embeddings->words[i].file.path, embeddings->words[i].channels, channels);
    float *all = pm_arena_floats(memory, pm_embeddings_count(embeddings) * channels);
    *vectors = all;
    for (size_t i = 0; i < embeddings->count; i++) {
        pm_tensor_floats(all, embeddings->words[i].vectors);
        all += embeddings->words[i].vectors->elements;
    }
    return true;
}

uint64_t pm_embeddings_hash(const struct pm_embeddings *embeddings, uint64_t seed)
{
    for (size_t i = 0; i < embeddings->count; i++) {
        const struct word *w = &embeddings->words[i];
        seed = pm_hash64(w->file.map, w->file.map_bytes, seed);
        seed = pm_hash64(w->token, strlen(w->token), seed);
    }
    return seed;
}
