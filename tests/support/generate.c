#include "generate.h"

#include "pm/base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
    "a",
    "red",
    "ball",
    "cube",
    "on",
    "the",
    "meadow",
    "photo",
    "of",
    "cactus",
    "extraordinary",
    "ball,",
    "night.",
    "(tree)",
    "don't",
    "7",
    "1999",
    "Würfel",
    "赤い",
    "x",
    "unbelievable",
    "tree",
    "star",
    "road",
    "at",
    "mountain",
    "—",
    "blue-green",
};
static const char *const spaces[] = {" ", " ", " ", "  ", "\t", "\n ", "\u00A0", "\u3000"};
enum { WORDS = sizeof words / sizeof *words, SPACES = sizeof spaces / sizeof *spaces };

struct generator generate(uint64_t number)
{
    const char *first = getenv("PROMPTMILL_CASES");
    number += first ? strtoull(first, NULL, 10) : 0;
    return (struct generator){.number = number, .state = number};
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next(struct generator *g)
{
    uint64_t z = g->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

size_t generate_below(struct generator *g, size_t count)
{
    PM_ASSERT(count > 0);
    return (size_t)(next(g) % count);
}

double generate_fraction(struct generator *g)
{
    return (double)generate_below(g, 1001) / 1000.0;
}

static void append(char *out, size_t bytes, const char *text)
{
    size_t used = strlen(out);
    PM_ASSERT(used + strlen(text) < bytes);
    strcpy(out + used, text);
}

void generate_prompt(char *out, size_t bytes, struct generator *g, size_t count)
{
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i > 0) append(out, bytes, spaces[generate_below(g, SPACES)]);
        append(out, bytes, words[generate_below(g, WORDS)]);
    }
}

void generate_variation(char *out, size_t bytes, struct generator *g, const char *prompt,
                        bool resizes)
{
    char copy[1024], *rest = copy;
    snprintf(copy, sizeof copy, "%s", prompt);
    out[0] = '\0';
    for (char *word; (word = strsep(&rest, " \t\n"));) {
        size_t change = generate_below(g, 8);
        if (!*word || (resizes && change == 0)) continue;
        if (*out) append(out, bytes, " ");
        append(out, bytes, change == 1 ? words[generate_below(g, WORDS)] : word);
        if (!resizes || change != 2) continue;
        append(out, bytes, " ");
        append(out, bytes, words[generate_below(g, WORDS)]);
    }
    if (!*out) append(out, bytes, words[0]);
}
