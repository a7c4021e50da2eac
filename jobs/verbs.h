/** @file verbs.h  The program's verbs. Each gets its own arguments, its name first, and returns
 *  the exit status (pm/runtime/exit_status.h). */
#ifndef VERBS_H
#define VERBS_H

int verb_run(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_submit(int argc, char **argv);
int verb_config(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_export(int argc, char **argv);
int verb_measure(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_import(int argc, char **argv);
int verb_merge(int argc, char **argv);
int verb_pack(int argc, char **argv);
int verb_info(int argc, char **argv);

extern const char program_version[];
#endif
