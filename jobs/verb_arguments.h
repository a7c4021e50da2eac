/** @file verb_arguments.h  A verb's arguments, read by argp. */
#ifndef VERB_ARGUMENTS_H
#define VERB_ARGUMENTS_H
#include "pm/base/error.h"
#include "pm/runtime/world.h"

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

/** An option's whole number, from 1 to 1000. @return EINVAL when it is not, which argp is told */
error_t verb_whole_number(size_t *out, struct argp_state *state, const char *text);

/** What a verb does on all ranks with its arguments. @return false on all of them, err set */
typedef bool verb_work(void *arguments, const struct pm_world *world, struct pm_error *err);

/** A verb that runs alone or under mpirun or srun: help, or else the arguments and the work.
 *  @return the exit status; what went wrong is said once */
int verb_run_on_ranks(const struct argp *argp, int argc, char **argv, void *arguments,
                      verb_work *work);
#endif
