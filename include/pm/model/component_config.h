/** @file component_config.h  What the components' config.json files have in common.
 *
 *  A key that would change the network in a way that is not built here is refused by name, and so
 *  is a key that nobody knows, unless it is null or false: never a silent difference. */
#ifndef PM_MODEL_COMPONENT_CONFIG_H
#define PM_MODEL_COMPONENT_CONFIG_H
#include "pm/base/json.h"

enum { PM_CONFIG_MAX_BYTES = 1 << 20, PM_CONFIG_PATH_BYTES = 4096, PM_MAX_LEVELS = 8 };

/** "<folder>/config.json"; fails only if that is too long. */
PM_MUST_CHECK bool pm_config_path(char path[PM_CONFIG_PATH_BYTES], const char *folder,
                                  struct pm_error *err);

/** Is @p text, letter for letter, one of the alternatives in "a|b|c"? */
bool pm_config_is_listed(const char *text, const char *alternatives);

/** A key and the JSON text of the values it may have ("false|null"), or NULL where the reader
 *  looks at it itself. Lists end with a NULL key. */
struct pm_config_rule {
    const char *key;
    const char *supported;
};

/** Refuse what the rules do not allow. Keys that begin with "_" are notes and pass. */
PM_MUST_CHECK bool pm_config_check(const json_t *config, const char *path,
                                   const struct pm_config_rule *rules, struct pm_error *err);

/** A list of 1 to PM_MAX_LEVELS whole numbers. Left alone when the key is absent. */
PM_MUST_CHECK bool pm_config_sizes(const json_t *config, const char *path, const char *key,
                                   size_t max, size_t *out, size_t *count, struct pm_error *err);

/** A list of exactly @p count names, each one of @p names; out gets their indices. */
PM_MUST_CHECK bool pm_config_block_types(const json_t *config, const char *path, const char *key,
                                         const char *const *names, int *out, size_t count,
                                         struct pm_error *err);
#endif
