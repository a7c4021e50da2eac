/** @file json.h  Reading JSON that people wrote, strictly, with errors that help.
 *
 *  Every getter takes `where`, the text that begins its error messages ("edits.jsonl:17"), and
 *  leaves *out as it was when the key is absent, so that defaults are set before:
 *
 *      size_t steps = 50;
 *      PM_TRY(pm_json_size(config, "demo.json", "steps", 1, 1000, &steps, err));
 *
 *  Strings and objects handed out are borrowed from the document. */
#ifndef PM_BASE_JSON_H
#define PM_BASE_JSON_H
#include "pm/base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/** Parse a whole file. A key given twice is an error. @param max_bytes  a larger file is refused
 *  @return true, *out owned by the caller (json_decref); else err says path:line:column */
PM_MUST_CHECK bool pm_json_load(json_t **out, const char *path, size_t max_bytes,
                                struct pm_error *err);

/** The same for a file that Python wrote, which may have Infinity and -Infinity as numbers, although
 *  JSON has no such: they are read as null. */
PM_MUST_CHECK bool pm_json_load_python(json_t **out, const char *path, size_t max_bytes,
                                       struct pm_error *err);

/** Parse @p bytes bytes of text; @p where begins the error message. */
PM_MUST_CHECK bool pm_json_parse(json_t **out, const char *text, size_t bytes, const char *where,
                                 struct pm_error *err);

/** Refuse keys that are not in @p known (ends with NULL), naming the nearest known one, or what there is.
 *  Also refuses an @p object that is no object. */
PM_MUST_CHECK bool pm_json_check_keys(const json_t *object, const char *where,
                                      const char *const *known, struct pm_error *err);

PM_MUST_CHECK bool pm_json_string(const json_t *object, const char *where, const char *key,
                                  const char **out, struct pm_error *err);
PM_MUST_CHECK bool pm_json_bool(const json_t *object, const char *where, const char *key, bool *out,
                                struct pm_error *err);
/** A finite number, min <= value <= max. */
PM_MUST_CHECK bool pm_json_number(const json_t *object, const char *where, const char *key,
                                  double min, double max, double *out, struct pm_error *err);
/** A whole number, min <= value <= max. */
PM_MUST_CHECK bool pm_json_size(const json_t *object, const char *where, const char *key,
                                size_t min, size_t max, size_t *out, struct pm_error *err);
PM_MUST_CHECK bool pm_json_uint64(const json_t *object, const char *where, const char *key,
                                  uint64_t max, uint64_t *out, struct pm_error *err);
/** One of @p names (ends with NULL); *out is its index. */
PM_MUST_CHECK bool pm_json_choice(const json_t *object, const char *where, const char *key,
                                  const char *const *names, int *out, struct pm_error *err);

/** Compact, with keys in order: one text for whatever is equal, the same as jansson's own of that kind,
 *  several times faster. @return owned by the caller (free) */
char *pm_json_text(const json_t *json);

/** Give the object a key unless it has it. @param value  stolen */
void pm_json_set_missing(json_t *object, const char *key, json_t *value);

/** @return the candidate (list ends with NULL) that differs from @p word in the fewest letters,
 *  or NULL when none is near enough to be a likely slip */
const char *pm_nearest_word(const char *word, const char *const *candidates);

/** @return "an object", "a string", …: what @p value is, for messages */
const char *pm_json_kind(const json_t *value);
#endif
