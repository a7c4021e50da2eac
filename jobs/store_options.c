#include "store_options.h"

#include "verb_arguments.h"

#include <errno.h>

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
