#include "verb_arguments.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64 };

bool verb_arguments_help(const struct argp *argp, int argc, char **argv)
{
    char name[NAME_BYTES];
    bool asks = false;
    for (int i = 1; i < argc; i++)
        asks = asks || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0;
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
