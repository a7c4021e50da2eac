#include "command.h"

#include "pm/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { OUTPUT_BYTES = 1 << 20 };

/* @return an errno, 0 for success */
static int start(pid_t *process, const char *const *arguments, int output, bool hides_errors)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) pm_die("no memory to run %s", arguments[0]);
    int failed = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (hides_errors && failed == 0)
        failed =
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (failed == 0) /* which copies the arguments, and changes none */
        failed =
            posix_spawnp(process, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Read to the end of the output. What is too much is read and forgotten.
 * @return false when time ran out */
static bool read_output(char *text, int from, double seconds)
{
    size_t used = 0;
    double deadline = pm_clock_seconds() + seconds;
    for (;;) {
        char lost[4096];
        bool has_room = used < OUTPUT_BYTES;
        int wait_ms = -1;
        if (seconds > 0.0) {
            double left = deadline - pm_clock_seconds();
            if (left <= 0.0) return false;
            wait_ms = (int)(left * 1e3) + 1;
        }
        struct pollfd pipe_end = {.fd = from, .events = POLLIN};
        if (poll(&pipe_end, 1, wait_ms) <= 0) continue; /* a signal, or the time is up */
        ssize_t got =
            has_room ? read(from, text + used, OUTPUT_BYTES - used) : read(from, lost, sizeof lost);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return true;
        if (has_room) used += (size_t)got;
        text[used] = '\0';
    }
}

bool command_run(struct command_result *out, const char *const *arguments,
                 const struct command_options *options, struct pm_error *err)
{
    int ends[2], status;
    pid_t process;
    *out = (struct command_result){.output = calloc(1, OUTPUT_BYTES + 1)};
    if (!out->output || pipe2(ends, O_CLOEXEC) != 0) pm_die("no memory to run %s", arguments[0]);
    int failed = start(&process, arguments, ends[1], options->hides_errors);
    close(ends[1]);
    bool in_time = failed != 0 || read_output(out->output, ends[0], options->seconds);
    close(ends[0]);
    if (failed != 0) {
        free(out->output);
        out->output = NULL;
        return pm_fail(err, PM_E_IO, "cannot start %s: %s", arguments[0], strerror(failed));
    }
    if (!in_time) kill(process, SIGKILL);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
    out->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (in_time) return true;
    free(out->output);
    out->output = NULL;
    return pm_fail(err, PM_E_IO, "%s did not answer within %g s", arguments[0], options->seconds);
}

/* Letters that mean nothing to a shell. */
static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_=+:,./@%";
    return *text && strspn(text, plain) == strlen(text);
}

void command_print(const char *const *arguments)
{
    for (size_t i = 0; arguments[i]; i++) {
        if (i > 0) putchar(' ');
        if (is_plain(arguments[i])) {
            fputs(arguments[i], stdout);
            continue;
        }
        putchar('\'');
        for (const char *at = arguments[i]; *at; at++)
            if (*at == '\'')
                fputs("'\\''", stdout);
            else
                putchar(*at);
        putchar('\'');
    }
    putchar('\n');
}

void command_add(struct command_list *list, const char *format, ...)
{
    va_list args;
    char **grown = realloc(list->arguments, (list->count + 2) * sizeof *grown);
    if (!grown) pm_die("no memory for a command");
    list->arguments = grown;
    va_start(args, format);
    if (vasprintf(&grown[list->count], format, args) < 0) pm_die("no memory for a command");
    va_end(args);
    grown[++list->count] = NULL;
}

void command_list_free(struct command_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->arguments[i]);
    free(list->arguments);
    *list = (struct command_list){0};
}
