#include "verb_arguments.h"

#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 64 };

bool verb_arguments_help(const struct argp *argp, int argc, char **argv)
{
    char name[NAME_BYTES];
    bool asks = false;
    for (int i = 1; i < argc; i++)
        asks = asks || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0 ||
               strcmp(argv[i], "--usage") == 0;
    if (!asks) return false;
    snprintf(name, sizeof name, "promptmill %s", argv[0]);
    argp_help(argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, name);
    return true;
}

bool verb_arguments_read(const struct argp *argp, int argc, char **argv, void *input, bool prints)
{
    char name[NAME_BYTES];
    char *verb = argv[0];
    unsigned quiet = prints ? 0 : ARGP_NO_ERRS;
    snprintf(name, sizeof name, "promptmill %s", verb);
    argv[0] = name;
    bool ok = argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP | quiet, NULL, input) == 0;
    argv[0] = verb;
    return ok;
}

error_t verb_whole_number(size_t *out, struct argp_state *state, const char *text)
{
    char *end;
    *out = strtoul(text, &end, 10);
    if (*end == '\0' && end != text && *out >= 1 && *out <= 1000) return 0;
    argp_error(state, "\"%s\": a whole number from 1 to 1000 is wanted", text);
    return EINVAL;
}

int verb_run_on_ranks(const struct argp *argp, int argc, char **argv, void *arguments,
                      verb_work *work)
{
    struct pm_world world;
    struct pm_error err = {0};
    if (verb_arguments_help(argp, argc, argv)) return PM_EXIT_DONE;
    pm_world_init(&world, &argc, &argv);
    bool is_parsed = verb_arguments_read(argp, argc, argv, arguments, world.rank == 0);
    bool ok = is_parsed && work(arguments, &world, &err);
    if (is_parsed && !ok && world.rank == 0) fprintf(stderr, "promptmill: %s\n", err.message);
    pm_world_free(&world);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
