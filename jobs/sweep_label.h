/** @file sweep_label.h  What a store's ids say of its sweep. */
#ifndef SWEEP_LABEL_H
#define SWEEP_LABEL_H
#include "pm/base/json.h"

/** "cross=0.4" of "ball/cross=0.4": the setting's label, which has no slash (pm/data/sweep.h).
 *  @param config  the store's  @return in @p id; "" when the config has no sweep, or the id no label */
const char *sweep_label(const char *id, const json_t *config);
#endif
