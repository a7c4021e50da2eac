/* Files that are there, and yet the system does not give what is in them: each reader names the file. */
#include "temporary.h"
#include "test.h"

#include "pm/base/hash.h"
#include "pm/base/json.h"
#include "pm/base/log.h"
#include "pm/base/shared_arena.h"
#include "pm/data/config.h"
#include "pm/data/image.h"
#include "pm/data/manifest.h"
#include "pm/model/checkpoint.h"
#include "pm/model/safetensors.h"
#include "pm/model/tokenizer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MINI "tests/golden/data/models/mini-sd1/"

/* A process's own memory is a file whose first page cannot be read, since nothing lies there. */
static const char unreadable[] = "/proc/self/mem";

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    struct pm_tokenizer *tokenizer;
    json_t *json;
    assert_fails(pm_json_load(&json, unreadable, 1 << 20, &err), err,
                 "cannot read /proc/self/mem: Input/output error");
    assert_fails(pm_image_read(&image, unreadable, &err), err,
                 "cannot read /proc/self/mem: Input/output error");
    temporary_write_text("words/vocab.json", "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}");
    assert_int_equal(symlink(unreadable, temporary_path("words/merges.txt")), 0);
    assert_fails(pm_tokenizer_load(&tokenizer, temporary_path("words"), &err), err,
                 "words/merges.txt: Input/output error");
    assert_non_null(strstr(err.message, "cannot read "));
    assert_int_equal(err.code, PM_E_IO);
}

/* A file in memory, larger than any process's addresses. */
static const char *huge_file(void)
{
    static char path[64];
    int file = memfd_create("huge", 0);
    assert_true(file >= 0 && ftruncate(file, (off_t)1 << 60) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

static void what_cannot_be_mapped_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_manifest manifest;
    struct pm_safetensors tensors;
    struct pm_checkpoint checkpoint;
    char hash[PM_HASH_TEXT_BYTES], sentence[128];
    const char *huge = huge_file();
    snprintf(sentence, sizeof sentence, "cannot map %s: Cannot allocate memory", huge);
    assert_fails(pm_hash_file_text(hash, huge, &err), err, sentence);
    assert_fails(pm_manifest_open(&manifest, huge, &err), err, sentence);
    assert_fails(pm_safetensors_open(&tensors, huge, &err), err, sentence);

    temporary_copy("model/model_index.json", MINI "model_index.json");
    temporary_copy("model/scheduler/scheduler_config.json", MINI "scheduler/scheduler_config.json");
    temporary_write_text("model/unet/config.json", "{}");
    const struct pm_checkpoint_options nothing_else = {0};
    assert_ok(pm_checkpoint_open(&checkpoint, temporary_path("model"), &nothing_else, &err), err);
    unlink(temporary_path("model/unet/config.json"));
    assert_int_equal(symlink(huge, temporary_path("model/unet/config.json")), 0);
    assert_fails(pm_checkpoint_fingerprint(hash, &checkpoint, NULL, &err), err,
                 "model/unet/config.json: Cannot allocate memory");
    assert_non_null(strstr(err.message, "cannot map "));
    unlink(temporary_path("model/unet/config.json"));
    assert_int_equal(symlink("config.json", temporary_path("model/unet/config.json")), 0);
    assert_fails(pm_checkpoint_fingerprint(hash, &checkpoint, NULL, &err), err,
                 "model/unet/config.json: Too many levels of symbolic links");
    assert_non_null(strstr(err.message, "cannot read "));
    pm_checkpoint_close(&checkpoint);
}

static void a_log_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_fails(pm_log_to_file(temporary_path("nowhere/run.log"), &err), err,
                 "nowhere/run.log: No such file or directory");
    assert_non_null(strstr(err.message, "cannot write the log "));
}

static void a_flags_path_wants_the_folder_that_it_is_from(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_config config;
    const struct pm_config_override store = {"store.path", "a.h5", PM_CONFIG_PATH};
    temporary_write_text("config.json", "{\"model\": \"m\", \"manifest\": \"a\"}");
    temporary_write_text("gone/file", "");
    char folder[4096];
    assert_non_null(realpath(temporary_path("gone"), folder));
    int before = open(".", O_RDONLY | O_DIRECTORY);
    assert_true(before >= 0 && chdir(folder) == 0 && unlink("file") == 0 && rmdir(folder) == 0);
    bool ok = pm_config_load(&config, temporary_path("config.json"), &store, 1, &err);
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_fails(ok, err, "the folder . cannot be reached: No such file or directory");
}

static void memory_to_share_that_there_is_not_is_told_with_its_size(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_arena arena;
    struct pm_arena_offer offer;
    assert_fails(pm_shared_arena_create(&arena, &offer, "weights", (size_t)1 << 63, &err), err,
                 "cannot give a file in memory 9223372036854775808 bytes: Invalid argument");

    static const struct {
        int resource;
        rlim_t most;
        const char *sentence;
    } limits[] = {
        {RLIMIT_NOFILE, 0, "cannot create a file in memory: Too many open files"},
        {RLIMIT_AS, 1 << 20, "cannot map 4194304 bytes: Cannot allocate memory"},
        {RLIMIT_FSIZE, 1 << 20, "files may have 1048576 bytes (ulimit -f), not 4194304"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit before, less;
        assert_int_equal(getrlimit(limits[i].resource, &before), 0);
        less = (struct rlimit){.rlim_cur = limits[i].most, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(limits[i].resource, &less), 0);
        bool ok = pm_shared_arena_create(&arena, &offer, "weights", 4 << 20, &err);
        assert_int_equal(setrlimit(limits[i].resource, &before), 0);
        assert_fails(ok, err, limits[i].sentence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(what_cannot_be_mapped_is_named),
        cmocka_unit_test(a_log_that_cannot_be_written_is_named),
        cmocka_unit_test(a_flags_path_wants_the_folder_that_it_is_from),
        cmocka_unit_test(memory_to_share_that_there_is_not_is_told_with_its_size),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
