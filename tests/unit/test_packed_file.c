#include "temporary.h"
#include "test.h"

#include "pm/base/hash.h"
#include "pm/model/model.h"
#include "pm/model/packed_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than one block of the file's, and no whole number of them. */
enum {
    BLOCK_BYTES = 16 << 20,
    FLOATS = (2 * BLOCK_BYTES + 4096) / sizeof(float),
    HEADER = 1 << 16
};
static const size_t CAPACITY = (size_t)1 << 30;
static const struct pm_packed_key key = {.fingerprint = "0123456789abcdef0123456789abcdef"};
static const char *const file_name = "0123456789abcdef0123456789abcdef-fp32.packed";

static float number(size_t i)
{
    return (float)(i % 1000003) - 17.0f;
}

static void take(struct pm_arena *arena)
{
    pm_arena_init(arena, CAPACITY);
    (void)pm_arena_floats(arena, FLOATS);
}

static void save(void)
{
    struct pm_arena arena;
    struct pm_error err = {0};
    take(&arena);
    float *numbers = (float *)arena.base;
    for (size_t i = 0; i < FLOATS; i++) numbers[i] = number(i);
    assert_ok(pm_packed_file_save(&arena, &key, temporary_path("."), &err), err);
    pm_arena_free(&arena);
}

static bool map(struct pm_arena *arena, size_t share, size_t shares, struct pm_error *err)
{
    take(arena);
    return pm_packed_file_map(arena, &key, temporary_path("."), share, shares, err);
}

static void assert_refused(const char *sentence)
{
    struct pm_arena arena;
    struct pm_error err = {0};
    assert_fails(map(&arena, 0, 1, &err), err, sentence);
    pm_arena_free(&arena);
}

/* Put another byte in the file's place. */
static void change_byte(long at)
{
    FILE *file = fopen(temporary_path(file_name), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void what_was_saved_is_mapped(void **state)
{
    (void)state;
    struct pm_arena arena;
    struct pm_error err = {0};
    save();
    assert_ok(map(&arena, 0, 1, &err), err);
    const float *numbers = (const float *)arena.base;
    for (size_t i = 0; i < FLOATS; i++)
        if (numbers[i] != number(i)) fail_msg("number %zu is %g", i, (double)numbers[i]);
    pm_arena_free(&arena);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    assert_refused("0123456789abcdef0123456789abcdef-fp32.packed yet: No such file");
}

static void a_changed_number_is_found_by_the_share_that_looks_at_it(void **state)
{
    (void)state;
    struct pm_error err = {0};
    static const long places[] = {HEADER, HEADER + BLOCK_BYTES + 5,
                                  HEADER + 2 * BLOCK_BYTES + 4095};
    for (size_t block = 0; block < 3; block++) {
        save();
        change_byte(places[block]);
        for (size_t share = 0; share < 3; share++) {
            struct pm_arena arena;
            if (share == block)
                assert_fails(map(&arena, share, 3, &err), err, "is damaged in 1 of 3 places");
            else
                assert_ok(map(&arena, share, 3, &err), err);
            pm_arena_free(&arena);
        }
        assert_refused("is damaged in 1 of 3 places");
    }
}

static void every_changed_byte_of_the_header_is_found(void **state)
{
    (void)state;
    save();
    for (long at = 0; at < 200; at++) {
        change_byte(at);
        assert_refused("is no file of packed weights, or a damaged one");
        change_byte(at);
    }
}

static void a_file_of_another_size_is_refused(void **state)
{
    (void)state;
    save();
    assert_int_equal(truncate(temporary_path(file_name), HEADER + 100), 0);
    assert_refused("packed has 65636 bytes; 33624064 are wanted");
    assert_int_equal(truncate(temporary_path(file_name), 100), 0);
    assert_refused("packed has 100 bytes: too short for packed weights");
    assert_int_equal(truncate(temporary_path(file_name), 0), 0);
    assert_refused("packed has 0 bytes: too short for packed weights");
}

static void a_file_of_another_model_is_refused(void **state)
{
    (void)state;
    struct pm_arena arena;
    struct pm_error err = {0};
    const struct pm_packed_key other = {.fingerprint = "f"};
    save();
    assert_int_equal(rename(temporary_path(file_name), temporary_path("f-fp32.packed")), 0);
    take(&arena);
    assert_fails(pm_packed_file_map(&arena, &other, temporary_path("."), 0, 1, &err), err,
                 "f-fp32.packed is of another model");
    pm_arena_free(&arena);
    save();
    take(&arena);
    (void)pm_arena_floats(&arena, 1);
    assert_fails(pm_packed_file_map(&arena, &key, temporary_path("."), 0, 1, &err), err,
                 "is of another model");
    pm_arena_free(&arena);
}

/* Its header with another hash of the program, and the header's own made to fit. */
static void a_file_of_another_build_is_refused(void **state)
{
    (void)state;
    enum { PROGRAM_AT = 16 + PM_HASH_TEXT_BYTES, SELF_AT = 104 + 8 * 8000 };
    static char header[SELF_AT + sizeof(uint64_t)];
    save();
    FILE *file = fopen(temporary_path(file_name), "r+");
    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    uint64_t self = pm_hash64(header, SELF_AT, 0);
    assert_memory_equal(header + SELF_AT, &self, sizeof self);
    header[PROGRAM_AT] = header[PROGRAM_AT] == 'f' ? '0' : 'f';
    self = pm_hash64(header, SELF_AT, 0);
    memcpy(header + SELF_AT, &self, sizeof self);
    rewind(file);
    assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
    assert_int_equal(fclose(file), 0);
    assert_refused("packed was written by another build of promptmill");
}

static void a_full_disk_is_a_sentence_and_no_file(void **state)
{
    (void)state;
    struct rlimit before, less;
    struct pm_arena arena;
    struct pm_error err = {0};
    char part[1000];
    take(&arena);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    bool ok = pm_packed_file_save(&arena, &key, temporary_path("."), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_fails(ok, err, "-fp32.packed: File too large");
    snprintf(part, sizeof part, "%s.part", temporary_path(file_name));
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_not_equal(access(temporary_path(file_name), F_OK), 0);
    pm_arena_free(&arena);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(temporary_path(file_name), 0600), 0);
    assert_refused("is not a regular file");
}

static void a_file_that_another_process_writes_is_left_to_it(void **state)
{
    (void)state;
    char part[1000];
    snprintf(part, sizeof part, "%s.part", temporary_path(file_name));
    int other = open(part, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(flock(other, LOCK_EX), 0);
    save();
    assert_int_not_equal(access(temporary_path(file_name), F_OK), 0);
    struct stat status;
    assert_int_equal(fstat(other, &status), 0);
    assert_int_equal(status.st_size, 0);
    close(other); /* as when it dies */
    save();
    assert_int_equal(access(temporary_path(file_name), F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
}

static void a_folder_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct pm_arena arena;
    struct pm_error err = {0};
    take(&arena);
    assert_fails(
        pm_packed_file_save(&arena, &key, "/nowhere", &err), err,
        "cannot write /nowhere/0123456789abcdef0123456789abcdef-fp32.packed.part: No such");
    pm_arena_free(&arena);
}

/* Where a process has its memory does not show. */
static void two_loads_of_a_model_save_the_same_bytes(void **state)
{
    (void)state;
    static const enum pm_precision precisions[] = {PM_FP32, PM_BF16};
    for (size_t p = 0; p < 2; p++) {
        char hashes[2][PM_HASH_TEXT_BYTES];
        struct pm_model models[2];
        struct pm_error err = {0};
        const struct pm_model_additions additions = {.precision = precisions[p]};
        for (size_t i = 0; i < 2; i++) {
            char path[200];
            assert_ok(pm_model_load_with(&models[i], "models/scenes", &additions, &err), err);
            assert_ok(pm_model_save_packed(&models[i], temporary_path("."), &err), err);
            snprintf(path, sizeof path, "%s-%s.packed", models[i].fingerprint, p ? "bf16" : "fp32");
            assert_ok(pm_hash_file_text(hashes[i], temporary_path(path), &err), err);
        }
        assert_string_equal(hashes[0], hashes[1]);
        assert_ptr_not_equal(models[0].weights.base, models[1].weights.base);
        for (size_t i = 0; i < 2; i++) pm_model_free(&models[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, temporary_make, temporary_remove)
        TEST(what_was_saved_is_mapped),
        TEST(a_file_that_is_not_there_is_named),
        TEST(a_changed_number_is_found_by_the_share_that_looks_at_it),
        TEST(every_changed_byte_of_the_header_is_found),
        TEST(a_file_of_another_size_is_refused),
        TEST(a_file_of_another_model_is_refused),
        TEST(a_file_of_another_build_is_refused),
        TEST(a_full_disk_is_a_sentence_and_no_file),
        TEST(what_is_no_file_is_refused),
        TEST(a_file_that_another_process_writes_is_left_to_it),
        TEST(a_folder_that_cannot_be_written_is_named),
        TEST(two_loads_of_a_model_save_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
