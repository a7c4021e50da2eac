#include "fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 16 };
static char folder[64], written[MOST_FILES][PATH_MAX];
static size_t written_count;

/* pm_die, too, is a finding: --wrap=_exit of the linker. */
void __wrap__exit(int status);
void __wrap__exit(int status)
{
    fprintf(stderr, "_exit(%d)\n", status);
    abort();
}

static void tell_time(void)
{
    fprintf(stderr, "CPU seconds: %.0f\n", (double)clock() / CLOCKS_PER_SEC);
}

/* Called by libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    atexit(tell_time);
    return 0;
}

static void must(int good, const char *what)
{
    if (good) return;
    perror(what);
    abort();
}

const char *fuzz_file(const uint8_t *bytes, size_t count)
{
    static char path[64];
    static int file = -1;
    if (file < 0) {
        file = memfd_create("fuzz", 0);
        must(file >= 0, "memfd_create");
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    must(ftruncate(file, 0) == 0, "ftruncate");
    must(pwrite(file, bytes, count, 0) == (ssize_t)count, "pwrite");
    return path;
}

static void remove_folder(void)
{
    for (size_t i = 0; i < written_count; i++) unlink(written[i]);
    rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (*folder) return folder;
    strcpy(folder, "/dev/shm/promptmill-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        strcpy(folder, "/tmp/promptmill-fuzz-XXXXXX");
        must(mkdtemp(folder) != NULL, folder);
    }
    atexit(remove_folder);
    return folder;
}

/* @return its path, one that will be removed */
static const char *path_of(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    for (size_t i = 0; i < written_count; i++)
        if (strcmp(written[i], path) == 0) return written[i];
    must(written_count < MOST_FILES, "too many files");
    return strcpy(written[written_count++], path);
}

void fuzz_write(const char *name, const uint8_t *bytes, size_t count)
{
    int file = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(file >= 0, name);
    must(write(file, bytes, count) == (ssize_t)count, name);
    close(file);
}

void fuzz_remove(const char *name)
{
    unlink(path_of(name));
}

void fuzz_link(const char *name, const char *file)
{
    char target[PATH_MAX];
    must(realpath(file, target) != NULL, file);
    must(symlink(target, path_of(name)) == 0, name);
}
