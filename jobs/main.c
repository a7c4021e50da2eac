/* promptmill VERB: finds the verb; everything else is in the verb's own file. */
#include "verbs.h"

#include "pm/base/json.h"
#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <string.h>

const char program_version[] = PM_VERSION;

static const struct {
    const char *name, *does;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"run", "make the edits of a manifest, into a store; goes on with a store that is there",
     verb_run},
    {"plan", "check a run and tell what it would do and take, without computing", verb_plan},
    {"submit", "check a run, propose a job for it and submit it to Slurm", verb_submit},
    {"config", "what a run will go by: the config with everything explicit", verb_config},
    {"status", "what is done, failed and left in a store", verb_status},
    {"verify", "check every checksum of a store", verb_verify},
    {"show", "what an edit in a store holds, in words", verb_show},
    {"export", "pictures out of a store", verb_export},
    {"measure", "how far edits are from their originals: a table of metrics", verb_measure},
    {"compare", "the same edits under several settings: differences and how certain they are",
     verb_compare},
    {"import", "a manifest out of a benchmark's or a dataset's list of edits", verb_import},
    {"merge", "one store of those of a run's parts", verb_merge},
    {"pack", "a compressed copy of a store, to keep or to pass on", verb_pack},
    {"info", "what a checkpoint is and whether it will run", verb_info},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static void print_help(FILE *out)
{
    fprintf(out, "promptmill edits images by editing prompts (Prompt-to-Prompt), in bulk.\n\n"
                 "usage: promptmill VERB ...\n\n");
    for (int i = 0; i < VERBS; i++) fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].does);
    fprintf(out, "\n`promptmill VERB --help` tells a verb's arguments. First steps:\n\n"
                 "  promptmill plan configs/demo.json\n"
                 "  mpirun -n 4 promptmill run configs/demo.json\n"
                 "  promptmill export out/demo.h5 --as png\n\n"
                 "exit status: 0 done; 1 bad input or usage; 2 finished, but some edits failed;\n"
                 "70 the machine failed; 85 stopped before the end, run the same command again\n");
}

static int unknown_verb(const char *name)
{
    const char *names[VERBS + 1] = {NULL};
    for (int i = 0; i < VERBS; i++) names[i] = verbs[i].name;
    const char *near = pm_nearest_word(name, names);
    if (near)
        fprintf(stderr, "promptmill: there is no verb \"%s\"; did you mean \"%s\"?\n", name, near);
    else
        fprintf(stderr, "promptmill: there is no verb \"%s\"; see `promptmill --help`\n", name);
    return PM_EXIT_INPUT;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return PM_EXIT_INPUT;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return PM_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("promptmill %s\n", program_version);
        return PM_EXIT_DONE;
    }
    for (int i = 0; i < VERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
    return unknown_verb(argv[1]);
}
