#include "slurm.h"

#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PATIENCE_SECONDS = 10.0;

/* "UNLIMITED", or up to four numbers: days before a dash, else the last ones are seconds, minutes,
 * hours; with days, the first of the others are hours. */
bool slurm_parse_time(double *seconds, const char *text)
{
    double days = 0.0, parts[3];
    size_t count = 0;
    if (strcmp(text, "UNLIMITED") == 0 || strcmp(text, "infinite") == 0) {
        *seconds = INFINITY;
        return true;
    }
    const char *dash = strchr(text, '-');
    for (const char *at = text; count < 3; at++) {
        char *end;
        if (*at < '0' || *at > '9') return false;
        double number = (double)strtoul(at, &end, 10);
        if (end == dash)
            days = number;
        else
            parts[count++] = number;
        at = end;
        if (*at == '\0') break;
        if (*at != ':' && at != dash) return false;
        if (count == 3) return false;
    }
    *seconds = 0.0;
    if (count == 0) return false;
    for (size_t i = 0; i < count; i++) *seconds = 60.0 * *seconds + parts[i];
    for (size_t i = count; dash && i < 3; i++) *seconds *= 60.0;
    *seconds += 86400.0 * days;
    return true;
}

/* The next field up to "|" or the line's end, ended with NUL; *text behind it. */
static char *next_field(char **text)
{
    char *field = *text;
    size_t length = strcspn(field, "|\n");
    *text = field + length + (field[length] != '\0');
    field[length] = '\0';
    return field;
}

/* A line of sinfo's: "main*|64|257000+|12|4:00:00". */
static bool read_nodes(struct slurm_nodes *nodes, bool *is_default, char *line)
{
    char *name = next_field(&line), *cores = next_field(&line), *megabytes = next_field(&line);
    char *count = next_field(&line), *limit = next_field(&line);
    size_t length = strlen(name);
    *is_default = length > 0 && name[length - 1] == '*';
    if (*is_default) name[length - 1] = '\0';
    snprintf(nodes->partition, sizeof nodes->partition, "%s", name);
    nodes->cores = strtoul(cores, NULL, 10);
    nodes->bytes = strtod(megabytes, NULL) * 1024.0 * 1024.0;
    nodes->count = strtoul(count, NULL, 10);
    return slurm_parse_time(&nodes->limit_seconds, limit) && nodes->cores > 0 && nodes->count > 0;
}

bool slurm_find_nodes(struct slurm_nodes *out, const char *partition, struct pm_error *err)
{
    static const char *const sinfo[] = {"sinfo",    "--noheader",     "--exact",
                                        "--format", "%P|%c|%m|%D|%l", NULL};
    struct command_options options = {.seconds = PATIENCE_SECONDS};
    struct command_result result;
    *out = (struct slurm_nodes){0};
    PM_TRY(command_run(&result, sinfo, &options, err));
    if (result.status != 0) {
        free(result.output);
        return pm_fail(err, PM_E_IO, "Slurm does not answer: sinfo ended with status %d",
                       result.status);
    }
    char *rest;
    for (char *line = strtok_r(result.output, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        struct slurm_nodes nodes = {0};
        bool is_default;
        if (!read_nodes(&nodes, &is_default, line)) continue;
        bool is_wanted = partition ? strcmp(nodes.partition, partition) == 0 : is_default;
        if (is_wanted && nodes.count > out->count) *out = nodes;
    }
    free(result.output);
    if (out->count > 0) return true;
    return partition
               ? pm_fail(err, PM_E_INPUT, "Slurm has no partition \"%s\" with nodes", partition)
               : pm_fail(err, PM_E_INPUT,
                         "Slurm has no default partition with nodes: give "
                         "--partition=NAME behind the config");
}

void slurm_job_path(char path[PATH_MAX], const char *store)
{
    snprintf(path, PATH_MAX, "%s.job", store);
}

/* Digits, then perhaps a task's number: it becomes a command's argument. */
static bool is_job(const char *id)
{
    size_t length = strspn(id, "0123456789");
    if (length == 0) return false;
    return id[length] == '\0' || (id[length] == '_' && id[length + 1] != '\0' &&
                                  id[length + 1 + strspn(id + length + 1, "0123456789")] == '\0');
}

bool slurm_read_job(char id[SLURM_JOB_BYTES], const char *store)
{
    char path[PATH_MAX];
    slurm_job_path(path, store);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool ok = fgets(id, SLURM_JOB_BYTES, file) != NULL;
    fclose(file);
    if (ok) id[strcspn(id, "\n")] = '\0';
    return ok && is_job(id);
}

bool slurm_write_job(const char *store, const char *id, struct pm_error *err)
{
    char path[PATH_MAX];
    slurm_job_path(path, store);
    FILE *file = fopen(path, "we");
    bool ok = file && fprintf(file, "%s\n", id) > 0;
    if (file) ok = fclose(file) == 0 && ok;
    return ok || pm_fail(err, PM_E_IO, "cannot write %s: %s", path, strerror(errno));
}

static void append(char text[SLURM_STATE_BYTES], const char *id, const char *words)
{
    size_t used = strlen(text);
    snprintf(text + used, SLURM_STATE_BYTES - used, "%sjob %s %s", used ? "\n" : "", id, words);
}

/* What the queue says: "4711|RUNNING|2:13:07|None|n[1-4]". */
static void append_queued(char text[SLURM_STATE_BYTES], char *line)
{
    char words[256];
    const char *id = next_field(&line), *state = next_field(&line), *left = next_field(&line);
    const char *reason = next_field(&line), *nodes = next_field(&line);
    if (strcmp(state, "RUNNING") == 0)
        snprintf(words, sizeof words, "runs on %s, %s left", nodes, left);
    else if (strcmp(state, "PENDING") == 0)
        snprintf(words, sizeof words, "waits (%s)", reason);
    else
        snprintf(words, sizeof words, "is %s", state);
    append(text, id, words);
}

static bool ask(struct command_result *result, const char *const *arguments, struct pm_error *err)
{
    struct command_options options = {.seconds = PATIENCE_SECONDS, .hides_errors = true};
    return command_run(result, arguments, &options, err);
}

/* The first of "KEY=VALUE ..." in the text, ended with NUL. */
static char *find_value(char *text, const char *key)
{
    char *found = strstr(text, key);
    if (!found) return NULL;
    found += strlen(key);
    found[strcspn(found, " \n")] = '\0';
    return found;
}

/* A job that is over: the accounts have it, if there are any; for some minutes, scontrol too. */
static void append_ended(char text[SLURM_STATE_BYTES], const char *id)
{
    const char *const sacct[] = {"sacct", "-X", "-n", "-P", "-j", id, "-o", "JobID,State", NULL};
    const char *const scontrol[] = {"scontrol", "show", "job", id, NULL};
    struct command_result result;
    struct pm_error ignored = {0};
    const char *state = NULL;
    if (ask(&result, sacct, &ignored)) {
        char *rest = result.output, *line = strtok_r(rest, "\n", &rest);
        for (; line && result.status == 0; line = strtok_r(NULL, "\n", &rest)) {
            char words[128], *task = next_field(&line);
            snprintf(words, sizeof words, "has ended: %s", next_field(&line));
            append(text, task, words);
        }
        free(result.output);
    }
    if (text[0]) return;
    if (ask(&result, scontrol, &ignored)) {
        char words[128];
        state = result.status == 0 ? find_value(result.output, "JobState=") : NULL;
        snprintf(words, sizeof words, "has ended: %s", state ? state : "");
        append(text, id,
               state ? words
                     : "is not in the queue; Slurm knows no more of it, or does not answer");
        free(result.output);
    }
}

void slurm_describe_job(char text[SLURM_STATE_BYTES], const char *id)
{
    const char *const squeue[] = {"squeue", "-h", "-j", id, "-o", "%i|%T|%L|%r|%N", NULL};
    struct command_result result;
    struct pm_error err = {0};
    text[0] = '\0';
    if (!ask(&result, squeue, &err)) {
        append(text, id, err.message);
        return;
    }
    char *rest = result.output, *line = strtok_r(rest, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) append_queued(text, line);
    free(result.output);
    if (!text[0]) append_ended(text, id);
}
