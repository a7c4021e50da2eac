#include "temporary.h"

#include "test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 512, PATHS = 4 };

static char folder[PATH_BYTES / 2];

int temporary_make(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/pm_test_XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int temporary_remove(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temporary_path(const char *name)
{
    static char paths[PATHS][PATH_BYTES];
    static size_t next;
    char *path = paths[next++ % PATHS];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static void make_folders(const char *path)
{
    char part[PATH_BYTES];
    for (const char *slash = strchr(path + strlen(folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        mkdir(part, 0700); /* may be there */
    }
}

void temporary_write(const char *name, const void *bytes, size_t count)
{
    const char *path = temporary_path(name);
    make_folders(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

void temporary_write_text(const char *name, const char *text)
{
    temporary_write(name, text, strlen(text));
}

void temporary_write_safetensors(const char *name, const char *header, const void *data,
                                 size_t data_bytes)
{
    size_t length = strlen(header);
    unsigned char *bytes = test_malloc(8 + length + data_bytes);
    for (size_t i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    if (data_bytes) memcpy(bytes + 8 + length, data, data_bytes);
    temporary_write(name, bytes, 8 + length + data_bytes);
    test_free(bytes);
}

void temporary_copy(const char *name, const char *from)
{
    FILE *file = fopen(from, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    char *bytes = test_malloc((size_t)size + 1);
    rewind(file);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    temporary_write(name, bytes, (size_t)size);
    test_free(bytes);
}
