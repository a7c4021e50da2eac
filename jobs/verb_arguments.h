/** @file verb_arguments.h  A verb's arguments, read by argp. */
#ifndef VERB_ARGUMENTS_H
#define VERB_ARGUMENTS_H
#include <argp.h>
#include <stdbool.h>

/** Print the verb's help if it is asked for, which needs no MPI. @return true: it was */
bool verb_arguments_help(const struct argp *argp, int argc, char **argv);

/** Read them. argp's messages begin with "promptmill VERB". With ARGP_NO_EXIT, which this sets,
 *  argp_error returns: a parser that calls it must say so with EINVAL.
 *  @param input   of the parser's state
 *  @param prints  say what is wrong; one rank is enough
 *  @return false when they are wrong */
bool verb_arguments_read(const struct argp *argp, int argc, char **argv, void *input, bool prints);
#endif
