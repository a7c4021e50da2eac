/** @file sweep.h  Every line of a manifest under several settings: the config's "sweep".
 *
 *      "sweep": {"cross_replace_steps": [0.4, 0.8], "seed": [1, 2, 3]}
 *
 *  makes six of each line, "ball-to-cube/cross=0.4,seed=1" to "ball-to-cube/cross=0.8,seed=3". What a
 *  sweep sets takes the place of what a line, its targets or the defaults say. docs/config.md lists
 *  the keys.
 *
 *      "sweep": {"random": 4, "cross_replace_steps": {"uniform": [0.1, 0.9]}, "seed": {"uniform": [0, 999]}}
 *
 *  makes four, "ball-to-cube/draw=0" to "ball-to-cube/draw=3", each with numbers drawn for it: a function
 *  of "random_seed", the line's id, the draw and the key, so that neither other lines nor other keys
 *  change them. */
#ifndef PM_DATA_SWEEP_H
#define PM_DATA_SWEEP_H
#include "pm/base/json.h"

enum { PM_SWEEP_MAX_KEYS = 10, PM_SWEEP_MAX_SETTINGS = 1000000, PM_SWEEP_LABEL_BYTES = 1280 };

/** What a sweep sets: a key of lines, of targets, or of targets' local blends. */
struct pm_sweep_key;

struct pm_sweep_axis {
    const struct pm_sweep_key *key;
    const json_t *values; /* a list; borrowed. NULL: the value is drawn */
    size_t count;         /* 1, when drawn */
    double low, high;     /* it is drawn from here to there */
    bool is_whole;        /* a whole number, both ends included */
};

struct pm_sweep {
    struct pm_sweep_axis axes[PM_SWEEP_MAX_KEYS]; /* the last one changes fastest */
    size_t axis_count;
    size_t draws; /* of each line under each of the lists' settings; 0: nothing is drawn */
    uint64_t random_seed;
    size_t settings;        /* the product of all; 1 where there is no sweep */
    const json_t *defaults; /* the config's; borrowed */
};

/** @param json      the config's "sweep"; NULL: none. Borrowed, as are the defaults
 *  @param where     begins each error
 *  @return false for a key that cannot be swept, an empty list, a value given twice, too many */
PM_MUST_CHECK bool pm_sweep_read(struct pm_sweep *out, const json_t *json, const json_t *defaults,
                                 const char *where, struct pm_error *err);

/** "cross=0.4,seed=1", "cross=0.4,draw=2": the setting in few words without a slash, each of a sweep's
 *  another; "" where there is none. Any thread. */
void pm_sweep_label(char label[PM_SWEEP_LABEL_BYTES], const struct pm_sweep *sweep, size_t setting);

/** Put a setting into a line that has not been resolved yet, and its label behind the id.
 *  Any thread. @param place  begins the error
 *  @return false when the setting would change nothing on the line */
PM_MUST_CHECK bool pm_sweep_apply(json_t *line, const struct pm_sweep *sweep, size_t setting,
                                  const char *place, struct pm_error *err);
#endif
