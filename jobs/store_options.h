/** @file store_options.h  The arguments of the verbs that look into a store: STORE [ID ...]. */
#ifndef STORE_OPTIONS_H
#define STORE_OPTIONS_H
#include <stdbool.h>
#include <stddef.h>

enum { STORE_MAX_IDS = 1000 };

struct store_options {
    const char *store;
    const char *ids[STORE_MAX_IDS]; /* [id_count] what came after the store */
    size_t id_count;
};

enum store_flags { STORE_ONLY = 0, STORE_IDS = 1 };

/** Parse with argp. @param flags  which arguments the verb takes
 *  @return false: usage was printed. *helped: --help was asked for and printed */
bool store_options_parse(struct store_options *out, int argc, char **argv, const char *doc,
                         unsigned flags, bool *helped);
#endif
