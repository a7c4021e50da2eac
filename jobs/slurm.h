/** @file slurm.h  What Slurm says, asked by its own commands. */
#ifndef SLURM_H
#define SLURM_H
#include "pm/base/error.h"

#include <limits.h>
#include <stddef.h>

/** The nodes of a partition that there are most of. */
struct slurm_nodes {
    char partition[64];
    size_t count, cores;  /* cores: of one node, as Slurm counts them */
    double bytes;         /* of one node */
    double limit_seconds; /* of a job; infinite: none */
};

/** @param partition  NULL: the default one
 *  @return false when Slurm cannot be asked, or has no such partition */
PM_MUST_CHECK bool slurm_find_nodes(struct slurm_nodes *out, const char *partition,
                                    struct pm_error *err);

enum { SLURM_JOB_BYTES = 64, SLURM_STATE_BYTES = 512 };

/** The file beside a store that has its job's number. */
void slurm_job_path(char path[PATH_MAX], const char *store);

/** @return true when there is such a file; id: "4711", or "4711_3" of a job array */
bool slurm_read_job(char id[SLURM_JOB_BYTES], const char *store);
PM_MUST_CHECK bool slurm_write_job(const char *store, const char *id, struct pm_error *err);

/** In words, a line for each task of an array: "job 4711 runs on n[1-4], 2:13:07 left"; also that
 *  Slurm has forgotten it, or does not answer. */
void slurm_describe_job(char text[SLURM_STATE_BYTES], const char *id);

/** Slurm's "[DAYS-][[HOURS:]MINUTES:]SECONDS", "UNLIMITED" or "infinite". @return false for others */
bool slurm_parse_time(double *seconds, const char *text);
#endif
