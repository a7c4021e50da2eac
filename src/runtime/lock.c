#include "pm/runtime/lock.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    HOST_BYTES = 64,
    ATTEMPTS = 8,
    LONGEST_NAP = 200000000, /* nanoseconds, of who watches a lock */
    BEAT_NAP = 20000000,     /* of its holder, for whom release waits */
};

/** What a lock file says. */
struct holder {
    char host[HOST_BYTES];
    long process;
    unsigned long long started; /* the process's start in clock ticks since boot: numbers recur */
};

struct pm_lock_times pm_lock_times_default(void)
{
    return (struct pm_lock_times){.beat_seconds = 5.0, .silent_seconds = 20.0};
}

/* Fields 3 and 22 of /proc/<process>/stat, after the name in brackets, which may hold anything. */
static bool read_process(char *status, unsigned long long *started, long process)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    char *field = strrchr(text, ')');
    if (!field || sscanf(field + 1, " %c", status) != 1) return false;
    for (int i = 0; field && i < 20; i++) field = strchr(field + 1, ' ');
    return field && sscanf(field, "%llu", started) == 1;
}

static void myself(struct holder *holder)
{
    char status;
    *holder = (struct holder){.process = (long)getpid()};
    gethostname(holder->host, sizeof holder->host - 1);
    if (!read_process(&status, &holder->started, holder->process)) holder->started = 0;
}

/* @return false when there is no lock, or none that can be read */
static bool read_lock(char text[PM_LOCK_TEXT_BYTES], const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, PM_LOCK_TEXT_BYTES - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static bool parse_holder(struct holder *holder, const char *text)
{
    return sscanf(text, "host %63s process %ld started %llu", holder->host, &holder->process,
                  &holder->started) == 3;
}

enum life { ALIVE, DEAD, UNKNOWN };

/* Of another host nothing is known. */
static enum life life_of(const struct holder *holder)
{
    struct holder me;
    char status;
    unsigned long long started;
    myself(&me);
    if (strcmp(holder->host, me.host) != 0 || holder->process <= 0) return UNKNOWN;
    if (kill((pid_t)holder->process, 0) != 0 && errno == ESRCH) return DEAD;
    if (!read_process(&status, &started, holder->process) || holder->started == 0) return UNKNOWN;
    return started == holder->started && status != 'Z' ? ALIVE : DEAD; /* Z: only not yet buried */
}

/* Write a file that must not be there. @return false: errno says why */
static bool place(const char *path, const char *text)
{
    size_t bytes = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    ssize_t written = write(fd, text, bytes);
    int why = written < 0 ? errno : ENOSPC;
    close(fd);
    if (written == (ssize_t)bytes) return true;
    unlink(path);
    errno = why;
    return false;
}

enum change { SILENT, CHANGED, VANISHED };

/* Look at a file until something happens to it, for @p seconds. @param text  what it said; what it
 * says now */
static enum change watch(char text[PM_LOCK_TEXT_BYTES], const char *path, double seconds)
{
    char now[PM_LOCK_TEXT_BYTES];
    long nap = PM_NAP_FIRST;
    double start = pm_clock_seconds();
    while (pm_clock_seconds() - start < seconds) {
        nap = pm_clock_nap(nap, LONGEST_NAP);
        if (!read_lock(now, path)) return VANISHED;
        if (strcmp(now, text) == 0) continue;
        strcpy(text, now);
        return CHANGED;
    }
    return SILENT;
}

/* Put our lock in a dead run's place, unless another was quicker. Only who holds the claim, a
 * second file, may replace a lock, and only the one that was looked at: so one of many succeeds.
 * @return true; or false: EEXIST in errno, or why no file can be made */
static bool take_over(const struct pm_lock *lock, const char *seen, double silent_seconds)
{
    char claim[PATH_MAX + 8], text[PM_LOCK_TEXT_BYTES];
    snprintf(claim, sizeof claim, "%s.claim", lock->path);
    if (!place(claim, lock->holder)) {
        if (errno != EEXIST) return false;
        /* held for microseconds, or left by one who was killed in just these */
        if (read_lock(text, claim) && watch(text, claim, silent_seconds) == SILENT) unlink(claim);
        errno = EEXIST;
        return false;
    }
    if (read_lock(text, lock->path) && strcmp(text, seen) == 0 && rename(claim, lock->path) == 0)
        return true;
    unlink(claim);
    errno = EEXIST;
    return false;
}

static bool is_ours(const struct pm_lock *lock, const char *text)
{
    return strncmp(text, lock->holder, strlen(lock->holder)) == 0;
}

/* A file that cannot be read just now is left alone. */
static void renew(struct pm_lock *lock, unsigned long long beat)
{
    char text[PM_LOCK_TEXT_BYTES + 32];
    bool is_there = read_lock(text, lock->path);
    if (!is_there && errno != ENOENT) return;
    if (is_there && !is_ours(lock, text)) {
        atomic_store(&lock->is_lost, true);
        return;
    }
    int n = snprintf(text, sizeof text, "%sbeat %llu\n", lock->holder, beat);
    int fd = open(lock->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* removed by hand: again */
    if (fd < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        pm_log(PM_LOG_DEBUG, "the lock %s could not be renewed", lock->path);
    if (fd >= 0) close(fd);
}

/* A thread of its own, since a run may be busy for longer than a lock may be silent. */
static void *keep_beating(void *self)
{
    struct pm_lock *lock = self;
    double due = pm_clock_seconds() + lock->beat_seconds;
    for (unsigned long long beat = 1; atomic_load(&lock->is_held);) {
        pm_clock_nap(BEAT_NAP, BEAT_NAP);
        if (atomic_load(&lock->is_lost) || pm_clock_seconds() < due) continue;
        renew(lock, beat++);
        due = pm_clock_seconds() + lock->beat_seconds;
    }
    return NULL;
}

static bool begin_to_beat(struct pm_lock *lock)
{
    atomic_store(&lock->is_held, true);
    int failure = pthread_create(&lock->thread, NULL, keep_beating, lock);
    if (failure) pm_die("cannot start the thread of the lock: %s", strerror(failure));
    return true;
}

/* @param seen  what the lock said; what it says now
 * @return whether its holder lives, for certain or as far as can be seen */
static enum life examine(struct holder *holder, char seen[PM_LOCK_TEXT_BYTES],
                         const struct pm_lock *lock, double silent_seconds)
{
    *holder = (struct holder){.host = "?"};
    enum life life = parse_holder(holder, seen) ? life_of(holder) : UNKNOWN;
    if (life != UNKNOWN) return life;
    pm_log(PM_LOG_INFO, "%s is of a run on %s, process %ld: looking whether it lives", lock->path,
           holder->host, holder->process);
    switch (watch(seen, lock->path, silent_seconds)) {
    case CHANGED:
        parse_holder(holder, seen);
        return ALIVE;
    case SILENT:
        return DEAD;
    default:
        return UNKNOWN;
    }
}

bool pm_lock_take(struct pm_lock *lock, const char *path, struct pm_lock_times times,
                  struct pm_error *err)
{
    *lock = (struct pm_lock){.beat_seconds = times.beat_seconds};
    if (snprintf(lock->path, sizeof lock->path, "%s", path) >= (int)sizeof lock->path)
        return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", path);
    struct holder me, holder;
    myself(&me);
    snprintf(lock->holder, sizeof lock->holder, "host %s process %ld started %llu\n", me.host,
             me.process, me.started);
    int why = EEXIST;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        char seen[PM_LOCK_TEXT_BYTES];
        if (place(path, lock->holder)) return begin_to_beat(lock);
        why = errno;
        if (why != EEXIST) break;
        if (!read_lock(seen, path)) continue; /* it went meanwhile */
        enum life life = examine(&holder, seen, lock, times.silent_seconds);
        if (life == ALIVE)
            return pm_fail(err, PM_E_INPUT,
                           "the store is in use by a run on %s, process %ld (its lock is %s)",
                           holder.host, holder.process, path);
        if (life == UNKNOWN) continue;
        if (take_over(lock, seen, times.silent_seconds)) {
            pm_log(PM_LOG_INFO, "took over from a run on %s, process %ld, that is dead",
                   holder.host, holder.process);
            return begin_to_beat(lock);
        }
        why = errno;
        if (why != EEXIST) break;
    }
    return pm_fail(err, PM_E_IO, "cannot make the lock %s: %s", path, strerror(why));
}

bool pm_lock_is_lost(struct pm_lock *lock)
{
    return atomic_load(&lock->is_lost);
}

void pm_lock_release(struct pm_lock *lock)
{
    char text[PM_LOCK_TEXT_BYTES];
    if (!atomic_exchange(&lock->is_held, false)) return;
    pthread_join(lock->thread, NULL);
    /* never another's, who took it for dead while this run was stopped */
    if (read_lock(text, lock->path) && is_ours(lock, text)) unlink(lock->path);
}
