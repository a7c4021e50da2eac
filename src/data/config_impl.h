/** @file config_impl.h  What config.c and the files of its parts share. */
#ifndef PM_DATA_CONFIG_IMPL_H
#define PM_DATA_CONFIG_IMPL_H
#include "pm/data/config.h"

#include <limits.h>

/** The keys whose values are lists of objects with a "file"; ends with NULL. */
extern const char *const pm_config_file_lists[];

/** A path's real folder, as pm_config_join wants it: "" for "/". */
PM_MUST_CHECK bool pm_config_real_folder(char folder[PATH_MAX], const char *path,
                                         struct pm_error *err);

/** Join a real folder and a relative path, without the dots; absolute paths stay.
 *  @return a string, owned by the caller; NULL where that is no UTF-8 */
json_t *pm_config_join(const char *folder, const char *path);

/** Make a string of the object relative to a real folder; nothing where it has none.
 *  @return false, with PM_E_INPUT, where that is no UTF-8 */
PM_MUST_CHECK bool pm_config_root_path(json_t *object, const char *key, const char *folder,
                                       struct pm_error *err);

/** Make all paths of a config relative to the folder that it is in. */
PM_MUST_CHECK bool pm_config_root_paths(json_t *config, const char *config_path,
                                        struct pm_error *err);

/** Set what the config does not say as its "profile" has it; nothing without one. What is resolved
 *  already stays as it is. */
PM_MUST_CHECK bool pm_config_take_profile(json_t *config, const char *where, struct pm_error *err);

/** Read "lora" and "embeddings" of config->json, whose defaults are filled in. */
PM_MUST_CHECK bool pm_config_read_additions(struct pm_config *config, const char *where,
                                            struct pm_error *err);

/** Give each of their files its "hash", or compare with the one that is there. */
PM_MUST_CHECK bool pm_config_hash_additions(struct pm_config *config, const char *where,
                                            struct pm_error *err);

/** An entry of "lora" or "embeddings" from a flag's value. @param out  owned by the caller */
PM_MUST_CHECK bool pm_config_addition_from_flag(json_t **out, const struct pm_config_override *flag,
                                                struct pm_error *err);

/** Are the lists the same but for where their files lie? */
PM_MUST_CHECK bool pm_config_same_additions(const struct pm_config *a, const struct pm_config *b,
                                            struct pm_error *err);

/** As json_equal, but 7 and 7.0 are the same number. */
bool pm_config_same_value(const json_t *a, const json_t *b);

/** Say that a value differs. @param key  quoted, as it is to be named  @return false */
bool pm_config_fail_to_match(const char *key, const json_t *was, const json_t *is,
                             struct pm_error *err);
#endif
