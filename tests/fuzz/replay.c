/* A target on each file of tests/fuzz/corpus/NAME, for a compiler without a fuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *target_name(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    return strncmp(name, "test_", 5) == 0 ? name + 5 : name;
}

/* In a block of just their size, so that a sanitizer sees a byte too many. */
static void replay(const char *path)
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
    LLVMFuzzerTestOneInput(bytes, count);
    free(bytes);
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
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        replay(path);
        printf("ok %d - %s\n", i + 1, path);
        fflush(stdout);
        free(entries[i]);
    }
    free(entries);
    return 0;
}
