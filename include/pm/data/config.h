/** @file config.h  What a run is: a JSON file, overridden by flags. docs/config.md lists the keys.
 *
 *  Paths in the file are relative to its folder, those of flags to the current one. */
#ifndef PM_DATA_CONFIG_H
#define PM_DATA_CONFIG_H
#include "pm/base/json.h"
#include "pm/data/capture.h"
#include "pm/data/sweep.h"

#include <limits.h>

enum pm_config_scheduler { PM_SCHEDULER_MODEL, PM_SCHEDULER_DDIM, PM_SCHEDULER_PNDM };

/** Of which files a new store is; or, where it is not said, one, and an old one's as they are. */
enum pm_config_files { PM_CONFIG_FILES_UNSAID, PM_CONFIG_ONE_FILE, PM_CONFIG_FILE_A_NODE };
enum { PM_CONFIG_MAX_LORAS = 16, PM_CONFIG_MAX_EMBEDDINGS = 256 };

/** Files that are laid over the model, in order; strings borrowed from the config's json. Their
 *  content's hash is in the json too: it counts for the results, where the file lies does not. */
struct pm_config_lora {
    const char *file;
    double weight;
};
struct pm_config_embedding {
    const char *file;
    const char *token; /* NULL: as the file calls it */
};

struct pm_config {
    json_t *json; /* owned; resolved, everything explicit: what is kept in the store */
    const char *model, *manifest, *store; /* paths, borrowed from json; store may be NULL */
    enum pm_config_files store_files;
    const char *tokenizer; /* path of a folder, in place of the model's own; NULL: none */
    const char
        *model_config;      /* path of a folder with configs for a model of one file; NULL: none */
    const char *prediction; /* "epsilon" or "v_prediction"; NULL: as the model says */
    bool is_bf16;           /* "precision": of the UNet's products */
    const char *packed_weights; /* path of a folder where packed weights are kept; NULL: none */
    const char *inversions;     /* path of an earlier store whose inversions are used; NULL: none */
    struct pm_config_lora loras[PM_CONFIG_MAX_LORAS];
    struct pm_config_embedding embeddings[PM_CONFIG_MAX_EMBEDDINGS];
    size_t lora_count, embedding_count;
    size_t width, height; /* of the pictures in pixels; 0: as the model was trained */
    size_t steps;
    double guidance_scale;
    enum pm_config_scheduler scheduler; /* PM_SCHEDULER_MODEL: the one in the model's folder */
    const char *negative_prompt;
    size_t part, parts;     /* which of how many, from 1; 1, 1: all is done here */
    const json_t *defaults; /* of manifest keys; seed, noise and the profile's are among them */
    struct pm_sweep sweep;
    struct pm_capture capture;
    size_t threads; /* a rank */
    size_t targets_per_pass;
    size_t attempts;           /* an edit that was begun so often and never finished is given up */
    double store_bytes;        /* a larger store is not begun; 0: no limit */
    double memory_bytes;       /* of a host, for this run; 0: all that it has */
    double time_limit_seconds; /* 0: none */
    const char *halt_file;     /* NULL: none */
};

enum pm_config_value {
    PM_CONFIG_TEXT,
    PM_CONFIG_NUMBER,
    PM_CONFIG_PATH,
    PM_CONFIG_LORA,      /* FILE or FILE:WEIGHT, an entry of "lora" */
    PM_CONFIG_EMBEDDING, /* TOKEN=FILE or =FILE, an entry of "embeddings" */
};

/** A flag's value for a key, as text: "limits.threads" = "2". The first entry of a list replaces
 *  the file's list, further ones are appended. */
struct pm_config_override {
    const char *key, *value;
    enum pm_config_value kind;
};

/** Read a file and lay the overrides over it.
 *  @return true, *out owned by the caller (pm_config_free); else err names file, key and value */
PM_MUST_CHECK bool pm_config_load(struct pm_config *out, const char *path,
                                  const struct pm_config_override *overrides, size_t override_count,
                                  struct pm_error *err);

/** The same from a resolved config's text, as another rank or a store has it. */
PM_MUST_CHECK bool pm_config_parse(struct pm_config *out, const char *text, size_t bytes,
                                   const char *where, struct pm_error *err);
void pm_config_free(struct pm_config *config);

/** The resolved config as JSON text. @return owned by the caller (free) */
char *pm_config_text(const struct pm_config *config);

/** The store of one part, "edits.part-3-of-8.h5" for "edits.h5": where a config with "part": "3/8"
 *  has its store, once loaded. */
void pm_config_part_path(char path[PATH_MAX], const char *store, size_t part, size_t parts);

/** The resolved config without its part, as of a store that all parts were merged into.
 *  @param text, bytes  a resolved config  @return owned by the caller (free); NULL when it is none */
char *pm_config_whole_text(const char *text, size_t bytes);

/** One value of the resolved config, as "store" or "limits.threads".
 *  @return true, *out borrowed from the config, NULL where a key is known but not set; false when
 *  there is no such key, err with the nearest */
PM_MUST_CHECK bool pm_config_value(const json_t **out, const struct pm_config *config,
                                   const char *key, struct pm_error *err);

/** Do the configs lead to the same results? Threads, limits and paths do not count.
 *  @return true, or false with the first difference in err */
PM_MUST_CHECK bool pm_config_same_results(const struct pm_config *a, const struct pm_config *b,
                                          struct pm_error *err);
#endif
