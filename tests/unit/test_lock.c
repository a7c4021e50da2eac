#include "temporary.h"
#include "test.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"
#include "pm/runtime/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RIVALS = 8, TEXT_BYTES = 512 };

/* Long enough for a loaded machine, short enough to wait for. */
static const struct pm_lock_times times = {.beat_seconds = 0.05, .silent_seconds = 0.6};
/* For what must not depend on silence: waiting for it would be seen. */
static const struct pm_lock_times patient = {.beat_seconds = 0.05, .silent_seconds = 60.0};
static const double at_once_seconds = 5.0;

static const char *const elsewhere = "host elsewhere process 7 started 99\n";

static const char *read_text(const char *path)
{
    static char text[TEXT_BYTES];
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    if (file) fclose(file);
    return text;
}

/* A lock of this host and @p process. @param started  added to the true number */
static void write_lock_of(const char *name, long process, long started)
{
    char text[TEXT_BYTES], host[64] = "", path[64];
    unsigned long long ticks = 0;
    gethostname(host, sizeof host - 1);
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    const char *field = strrchr(read_text(path), ')');
    for (int i = 0; field && i < 20; i++) field = strchr(field + 1, ' ');
    if (field) sscanf(field, "%llu", &ticks);
    snprintf(text, sizeof text, "host %s process %ld started %llu\n", host, process,
             ticks + (unsigned long long)started);
    temporary_write_text(name, text);
}

/* A process number that nobody has. */
static long dead_process(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return (long)child;
}

/* Take the lock in a process of its own, which keeps it until it is killed. */
static pid_t take_in_child(const char *path)
{
    int tells[2];
    char answer = 'n';
    assert_int_equal(pipe(tells), 0);
    pid_t child = fork();
    if (child == 0) {
        struct pm_lock lock;
        struct pm_error err = {0};
        answer = pm_lock_take(&lock, path, times, &err) ? 'y' : 'n';
        if (write(tells[1], &answer, 1) == 1) pause();
        _exit(0);
    }
    close(tells[1]);
    assert_int_equal(read(tells[0], &answer, 1), 1);
    close(tells[0]);
    assert_int_equal(answer, 'y');
    return child;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* It must be taken, and given back so that nothing is left. @return seconds taking it took */
static double take_and_release(const char *path, struct pm_lock_times how)
{
    struct pm_lock lock;
    struct pm_error err = {0};
    double start = pm_clock_seconds();
    assert_ok(pm_lock_take(&lock, path, how, &err), err);
    double seconds = pm_clock_seconds() - start;
    pm_lock_release(&lock);
    assert_int_equal(access(path, F_OK), -1);
    return seconds;
}

static void a_lock_names_its_holder_and_is_gone_after_release(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    char host[64] = "", text[TEXT_BYTES];
    gethostname(host, sizeof host - 1);
    snprintf(text, sizeof text, "host %s process %ld started ", host, (long)getpid());
    const char *path = temporary_path("a.lock");
    assert_ok(pm_lock_take(&lock, path, times, &err), err);
    assert_memory_equal(read_text(path), text, strlen(text));
    pm_lock_release(&lock);
    assert_int_equal(access(path, F_OK), -1);
    pm_lock_release(&lock); /* and nothing happens */
    assert_true(take_and_release(path, patient) < at_once_seconds);
}

static void a_holder_beats_without_help(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    char first[TEXT_BYTES];
    const char *path = temporary_path("b.lock");
    assert_ok(pm_lock_take(&lock, path, times, &err), err);
    snprintf(first, sizeof first, "%s", read_text(path));
    usleep(500000);
    bool changed = strcmp(first, read_text(path)) != 0, lost = pm_lock_is_lost(&lock);
    pm_lock_release(&lock);
    assert_true(changed);
    assert_false(lost);
}

static void a_living_run_of_this_host_is_named_at_once(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    char host[64] = "", process[64];
    gethostname(host, sizeof host - 1);
    const char *path = temporary_path("c.lock");
    pid_t child = take_in_child(path);
    snprintf(process, sizeof process, "process %ld ", (long)child);
    double start = pm_clock_seconds();
    bool taken = pm_lock_take(&lock, path, patient, &err);
    double seconds = pm_clock_seconds() - start;
    kill(child, SIGSTOP); /* stopped, it beats no more, but it is there */
    struct pm_error stopped_err = {0};
    bool taken_of_stopped = pm_lock_take(&lock, path, times, &stopped_err);
    end_child(child);
    assert_fails(taken, err, host);
    assert_fails(taken, err, process);
    assert_int_equal(err.code, PM_E_INPUT);
    assert_true(seconds < at_once_seconds);
    assert_fails(taken_of_stopped, stopped_err, process);
}

static void a_killed_run_of_this_host_is_followed_at_once(void **state)
{
    (void)state;
    const char *path = temporary_path("d.lock");
    end_child(take_in_child(path));
    assert_int_equal(access(path, F_OK), 0);
    assert_true(take_and_release(path, patient) < at_once_seconds);
}

static void a_killed_run_that_nobody_waited_for_is_dead(void **state)
{
    (void)state;
    const char *path = temporary_path("e.lock");
    pid_t child = take_in_child(path);
    siginfo_t about;
    kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &about, WEXITED | WNOWAIT), 0);
    assert_true(take_and_release(path, patient) < at_once_seconds);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_process_number_given_out_again_is_no_holder(void **state)
{
    (void)state;
    write_lock_of("f.lock", (long)getppid(), 1);
    assert_true(take_and_release(temporary_path("f.lock"), patient) < at_once_seconds);
    write_lock_of("f.lock", (long)getppid(), 0);
    struct pm_lock lock;
    struct pm_error err = {0};
    assert_fails(pm_lock_take(&lock, temporary_path("f.lock"), patient, &err), err, "in use");
}

static void a_silent_lock_of_another_host_is_taken_over_but_not_before_its_time(void **state)
{
    (void)state;
    temporary_write_text("g.lock", elsewhere);
    double seconds = take_and_release(temporary_path("g.lock"), times);
    assert_true(seconds >= times.silent_seconds);
}

static void a_lock_of_another_host_that_beats_is_respected(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    const char *path = temporary_path("h.lock");
    temporary_write_text("h.lock", elsewhere);
    pid_t child = fork();
    if (child == 0) {
        int file = open(path, O_WRONLY);
        for (int beat = 0;; beat++) {
            char text[TEXT_BYTES];
            int n = snprintf(text, sizeof text, "%sbeat %d\n", elsewhere, beat);
            if (pwrite(file, text, (size_t)n, 0) != n) _exit(1);
            usleep(50000);
        }
    }
    bool taken = pm_lock_take(&lock, path, patient, &err);
    end_child(child);
    assert_fails(taken, err, "elsewhere, process 7 ");
    assert_non_null(strstr(read_text(path), "elsewhere"));
}

/* RIVALS processes begin at the same moment and keep what they get until all have tried.
 * @return how many got the lock */
static int winners(const char *path, struct pm_lock_times how)
{
    int start[2], tells[2], end[2], won = 0;
    char answer;
    pid_t rivals[RIVALS];
    if (pipe(start) != 0 || pipe(tells) != 0 || pipe(end) != 0) abort();
    for (int i = 0; i < RIVALS; i++) {
        rivals[i] = fork();
        if (rivals[i] != 0) continue;
        struct pm_lock lock;
        struct pm_error err = {0};
        close(start[1]);
        close(end[1]);
        bool goes = read(start[0], &answer, 1) == 0;
        answer = goes && pm_lock_take(&lock, path, how, &err);
        bool told = write(tells[1], &answer, 1) == 1 && read(end[0], &start, 1) == 0;
        pm_lock_release(&lock);
        _exit(told ? 0 : 1);
    }
    close(start[1]);
    for (int i = 0; i < RIVALS; i++) won += read(tells[0], &answer, 1) == 1 && answer == 1;
    close(end[1]);
    for (int i = 0; i < RIVALS; i++) waitpid(rivals[i], NULL, 0);
    const int left[] = {start[0], tells[0], tells[1], end[0]};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) close(left[i]);
    return won;
}

static void one_of_many_takes_a_free_lock(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++)
        assert_int_equal(winners(temporary_path("i.lock"), patient), 1);
}

static void one_of_many_takes_over_a_dead_lock(void **state)
{
    (void)state;
    long process = dead_process();
    for (int round = 0; round < 50; round++) {
        write_lock_of("j.lock", process, 0);
        assert_int_equal(winners(temporary_path("j.lock"), patient), 1);
    }
    assert_int_equal(access(temporary_path("j.lock.claim"), F_OK), -1);
}

static void one_of_many_takes_over_a_silent_lock(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        temporary_write_text("k.lock", elsewhere);
        assert_int_equal(winners(temporary_path("k.lock"), times), 1);
    }
}

static void a_run_killed_while_it_took_over_needs_nobody_to_clear_up(void **state)
{
    (void)state;
    write_lock_of("l.lock", dead_process(), 0);
    temporary_write_text("l.lock.claim", "");
    take_and_release(temporary_path("l.lock"), times);
    assert_int_equal(access(temporary_path("l.lock.claim"), F_OK), -1);
}

static void a_lock_taken_over_is_lost_and_left_alone(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    const char *path = temporary_path("m.lock");
    assert_ok(pm_lock_take(&lock, path, times, &err), err);
    temporary_write_text("m.lock", elsewhere);
    for (int i = 0; i < 100 && !pm_lock_is_lost(&lock); i++) usleep(50000);
    bool lost = pm_lock_is_lost(&lock);
    pm_lock_release(&lock);
    assert_true(lost);
    assert_string_equal(read_text(path), elsewhere);
}

static void release_leaves_what_is_anothers(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    const char *path = temporary_path("n.lock");
    assert_ok(pm_lock_take(&lock, path, pm_lock_times_default(), &err), err); /* no beat comes */
    temporary_write_text("n.lock", elsewhere);
    pm_lock_release(&lock);
    assert_string_equal(read_text(path), elsewhere);
}

static void a_lock_removed_by_hand_is_written_again(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    const char *path = temporary_path("o.lock");
    assert_ok(pm_lock_take(&lock, path, times, &err), err);
    unlink(path);
    for (int i = 0; i < 100 && access(path, F_OK) != 0; i++) usleep(50000);
    bool there = access(path, F_OK) == 0, lost = pm_lock_is_lost(&lock);
    pm_lock_release(&lock);
    assert_true(there);
    assert_false(lost);
    assert_int_equal(access(path, F_OK), -1);
}

static void garbage_that_stays_as_it_is_is_nobodys_lock(void **state)
{
    (void)state;
    char large[3000];
    memset(large, 'x', sizeof large);
    temporary_write("p.lock", large, sizeof large);
    assert_true(take_and_release(temporary_path("p.lock"), times) >= times.silent_seconds);
    const char *const others[] = {"", "host \377\n",
                                  "host h process -1 started 99999999999999999999\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        temporary_write_text("p.lock", others[i]);
        take_and_release(temporary_path("p.lock"), times);
    }
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct pm_lock lock;
    struct pm_error err = {0};
    temporary_write_text("file", "");
    assert_fails(pm_lock_take(&lock, temporary_path("nowhere/a.lock"), times, &err), err,
                 "nowhere/a.lock: No such file");
    assert_int_equal(err.code, PM_E_IO);
    assert_fails(pm_lock_take(&lock, temporary_path("file/a.lock"), times, &err), err,
                 "file/a.lock: Not a directory");
    mkdir(temporary_path("folder.lock"), 0700);
    assert_fails(pm_lock_take(&lock, temporary_path("folder.lock"), times, &err), err,
                 "folder.lock: File exists");
    char longest[PATH_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_fails(pm_lock_take(&lock, longest, times, &err), err, "too long");
}

static void a_folder_without_permission_is_named(void **state)
{
    (void)state;
    const char *folder = temporary_path("kept"), *path = temporary_path("kept/a.lock");
    mkdir(folder, 0500);
    int status = -1;
    pid_t child = fork();
    if (child == 0) { /* root may write everywhere, so as nobody */
        struct pm_lock lock;
        struct pm_error err = {0};
        if (getuid() == 0 && (chmod(temporary_path("."), 0711) != 0 || setuid(65534) != 0))
            _exit(2);
        bool taken = pm_lock_take(&lock, path, times, &err);
        _exit(!taken && strstr(err.message, "Permission denied") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    pm_log_init(PM_LOG_WARNING, 0, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_names_its_holder_and_is_gone_after_release),
        cmocka_unit_test(a_holder_beats_without_help),
        cmocka_unit_test(a_living_run_of_this_host_is_named_at_once),
        cmocka_unit_test(a_killed_run_of_this_host_is_followed_at_once),
        cmocka_unit_test(a_killed_run_that_nobody_waited_for_is_dead),
        cmocka_unit_test(a_process_number_given_out_again_is_no_holder),
        cmocka_unit_test(a_silent_lock_of_another_host_is_taken_over_but_not_before_its_time),
        cmocka_unit_test(a_lock_of_another_host_that_beats_is_respected),
        cmocka_unit_test(one_of_many_takes_a_free_lock),
        cmocka_unit_test(one_of_many_takes_over_a_dead_lock),
        cmocka_unit_test(one_of_many_takes_over_a_silent_lock),
        cmocka_unit_test(a_run_killed_while_it_took_over_needs_nobody_to_clear_up),
        cmocka_unit_test(a_lock_taken_over_is_lost_and_left_alone),
        cmocka_unit_test(release_leaves_what_is_anothers),
        cmocka_unit_test(a_lock_removed_by_hand_is_written_again),
        cmocka_unit_test(garbage_that_stays_as_it_is_is_nobodys_lock),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
        cmocka_unit_test(a_folder_without_permission_is_named),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
