/** @file scenes_tokenizer.h  The tokenizer of models/scenes, loaded once for a test program. */
#ifndef SCENES_TOKENIZER_H
#define SCENES_TOKENIZER_H
#include "pm/model/tokenizer.h"

extern struct pm_tokenizer *tokenizer;

/** Setup and teardown of a group of tests. */
int load_tokenizer(void **state);
int free_tokenizer(void **state);
#endif
