/* A target on each file of tests/fuzz/corpus/NAME, for a compiler without a fuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A fuzzer has found inputs that took long for what they are; the sanitizers take their share. */
#ifdef __SANITIZE_ADDRESS__
static const double most_seconds = 5.0;
#else
static const double most_seconds = 1.0;
#endif

static const char *target_name(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    return strncmp(name, "test_", 5) == 0 ? name + 5 : name;
}

/* In a block of just their size, so that a sanitizer sees a byte too many. @return CPU time, in seconds */
static double replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    size_t count = (size_t)ftell(file);
    uint8_t *bytes = malloc(count + !count);
    rewind(file);
    if (!bytes || fread(bytes, 1, count, file) != count) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    clock_t start = clock();
    LLVMFuzzerTestOneInput(bytes, count);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    free(bytes);
    return seconds;
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    char folder[512], path[1024];
    struct dirent **entries;
    (void)argc;
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", target_name(argv[0]));
    int count = scandir(folder, &entries, is_file, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no files\n", folder);
        return 1;
    }
    printf("1..%d\n", count);
    fflush(stdout);
    int slow = 0;
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        double seconds = replay(path);
        bool is_slow = seconds > most_seconds;
        slow += is_slow;
        printf("%sok %d - %s\n", is_slow ? "not " : "", i + 1, path);
        if (is_slow) printf("# it took %.1f s; %g s are the most\n", seconds, most_seconds);
        fflush(stdout);
        free(entries[i]);
    }
    free(entries);
    return slow > 0;
}
