/** @file generate.h  Cases made up from a number, for what must hold of all of them.
 *
 *      for (size_t i = 0; i < CASES; i++) {
 *          struct generator g = generate(i);
 *          generate_prompt(prompt, sizeof prompt, &g, 1 + generate_below(&g, 12));
 *          …
 *      }
 *
 *  A case is a function of its number. PROMPTMILL_CASES=1000000 begins at another number, to look for more;
 *  a failure says which it was. */
#ifndef GENERATE_H
#define GENERATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generator {
    uint64_t number; /* the case's, for messages */
    uint64_t state;
};

struct generator generate(uint64_t number);

/** @return 0 to count - 1 */
size_t generate_below(struct generator *g, size_t count);

/** @return 0 to 1, a whole number of thousandths as people write it */
double generate_fraction(struct generator *g);

/** Words of one token, of several, with punctuation, of other scripts, with any white space between. */
void generate_prompt(char *out, size_t bytes, struct generator *g, size_t words);

/** The prompt with some of its words replaced; with @p resizes, others left out or added, too. */
void generate_variation(char *out, size_t bytes, struct generator *g, const char *prompt,
                        bool resizes);
#endif
