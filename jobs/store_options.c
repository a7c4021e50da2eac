#include "store_options.h"

#include "verb_arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct argp_option no_options[] = {{0}};

struct parse {
    struct store_options *out;
    unsigned flags;
};

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */
static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct store_options *o = parse->out;
    switch (flag) {
    case ARGP_KEY_ARG:
        if (!o->store) {
            o->store = arg;
            return 0;
        }
        if (!(parse->flags & STORE_IDS)) {
            argp_error(state, "\"%s\": one store is enough", arg);
            return EINVAL;
        }
        if (o->id_count == STORE_MAX_IDS) {
            argp_error(state, "at most %d ids", STORE_MAX_IDS);
            return EINVAL;
        }
        o->ids[o->id_count++] = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a store is wanted");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

bool store_options_parse(struct store_options *out, int argc, char **argv, const char *doc,
                         unsigned flags, bool *helped)
{
    struct parse parse = {.out = out, .flags = flags};
    struct argp argp = {.options = no_options,
                        .parser = parse_option,
                        .args_doc = flags & STORE_IDS ? "STORE [ID...]" : "STORE",
                        .doc = doc};
    *out = (struct store_options){0};
    *helped = verb_arguments_help(&argp, argc, argv);
    return *helped || verb_arguments_read(&argp, argc, argv, &parse, true);
}

bool store_read_config(json_t **config, const struct pm_store *store, struct pm_error *err)
{
    char *text;
    PM_TRY(pm_store_read_attribute(&text, store, "config", err));
    bool ok = pm_json_parse(config, text, strlen(text), "the store's config", err);
    free(text);
    return ok;
}

bool store_find_item(size_t *item, const struct pm_store *store, const char *id,
                     struct pm_error *err)
{
    for (size_t i = 0; i < pm_store_shape_of(store)->items; i++) {
        struct pm_store_item row;
        PM_TRY(pm_store_read_item(&row, store, i, err));
        bool found = strcmp(row.id, id) == 0;
        pm_store_item_free(&row);
        *item = i;
        if (found) return true;
    }
    return pm_fail(err, PM_E_INPUT, "the store has no edit with the id \"%s\"", id);
}

void store_print_entry(const char *what, const struct pm_store *store, size_t entry,
                       const char *why)
{
    struct pm_store_prompt prompt = {0};
    struct pm_store_item item = {0};
    struct pm_error unreadable = {0};
    const char *colon = why[0] ? ": " : "";
    if (!pm_store_read_prompt(&prompt, store, entry, &unreadable) ||
        !pm_store_read_item(&item, store, prompt.item, &unreadable))
        printf("%s  entry %zu%s%s\n", what, entry, colon, why);
    else if (prompt.target == PM_STORE_SOURCE)
        printf("%s  %s, the source (entry %zu)%s%s\n", what, item.id, entry, colon, why);
    else
        printf("%s  %s, target %d (entry %zu)%s%s\n", what, item.id, prompt.target, entry, colon,
               why);
    pm_store_item_free(&item);
    pm_store_prompt_free(&prompt);
}
