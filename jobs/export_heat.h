/** @file export_heat.h  Words' heat maps out of a store's captures, for the formats that show them. */
#ifndef EXPORT_HEAT_H
#define EXPORT_HEAT_H
#include "export.h"

#include "pm/data/safe_name.h"
#include "pm/model/tokenizer.h"

enum {
    EXPORT_MAX_WORDS = 255, /* that are named: an indexed picture has so many */
    EXPORT_NAME = PM_SAFE_NAME_BYTES + 24,
};

/** What the heat maps of a store are made of. */
struct export_heat {
    const struct export *export;
    size_t captures[PM_STORE_MAX_CAPTURES]; /* [capture_count]  of cross-attention */
    struct pm_store_capture_counts counts[PM_STORE_MAX_CAPTURES];
    size_t capture_count;
    size_t self;          /* the capture that is propagated by; SIZE_MAX: none is */
    size_t height, width; /* of the heat maps: the latent's, or those of `self` */
    size_t columns;
    char *word_memory; /* what --words came to */
    const char *words[EXPORT_MAX_WORDS];
    size_t word_count; /* 0: what each line names */
};

/** A word of a picture's prompt. */
struct export_word {
    char *text;
    size_t number; /* from 1: of --words, or of the line's "meta", "words", or of the prompt */
    bool has_token[PM_TOKENS];
};

/** A picture with its words. */
struct export_words {
    struct pm_store_prompt prompt;
    struct pm_image picture;  /* the entry's; of a real picture's source the picture itself */
    struct export_word *list; /* [count] */
    size_t count;
    float *heat; /* [count, height, width]  of export_heat */
};

/** Choose captures, as the options name them or by themselves, and check the options' words: each is
 *  to be in some prompt. Collective. @return false on all ranks; out is to be freed either way */
PM_MUST_CHECK bool export_heat_begin(struct export_heat *out, const struct export *x,
                                     struct pm_error *err);
void export_heat_free(struct export_heat *heat);

/** What was chosen, to be written beside what comes of it. @return owned by the caller */
json_t *export_heat_describe(const struct export_heat *heat);

/** Read a picture that is done and compute its words' heat maps.
 *  @param takes_all  where no words are named: all of the prompt; else that is an error */
PM_MUST_CHECK bool export_words_read(struct export_words *out, const struct export_heat *heat,
                                     const struct pm_store_item *item, size_t item_number,
                                     size_t entry, bool takes_all, struct pm_error *err);
void export_words_free(struct export_words *words);

/** The heat maps at the picture's size, from 0 to 1, along its edges if the options say so.
 *  @return [count, picture height, picture width], owned by the caller (free) */
float *export_words_enlarge(const struct export_words *words, const struct export_heat *heat);

/** Refuse words of the options that no prompt has. Collective. */
PM_MUST_CHECK bool export_words_check(const struct export_heat *heat, struct pm_error *err);

/** Something to do with each picture of this rank. */
typedef bool export_picture(void *self, const struct pm_store_item *item, size_t item_number,
                            size_t entry, const char *name, struct pm_error *err);

/** Go through all pictures that are asked for and done, sources and targets: each rank has a part, in
 *  the manifest's order. @param name  is "00012-ID" of an entry */
PM_MUST_CHECK bool export_each_picture(struct export *x, export_picture *visit, void *self,
                                       struct pm_error *err);
#endif
