#include "temporary.h"
#include "test.h"

#include "../../jobs/load_model.h"

#include "pm/base/log.h"
#include "pm/base/shared_arena.h"
#include "pm/runtime/node_arena.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const model_folder = "models/scenes";
enum { SIDE = 9, LATENT_FLOATS = SIDE * SIDE * 4 };

static struct pm_world world;
static const struct pm_model_additions none;

/** What /proc/self/smaps says of the mapping that an address lies in. */
struct mapping {
    bool is_found, is_shared_file, is_packed_file;
    char permissions[5];
    size_t inode;
    size_t anonymous; /* bytes of its own in the place of the file's */
};

static struct mapping mapping_of(const void *address)
{
    struct mapping mapping = {0};
    char line[512];
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    while (fgets(line, sizeof line, smaps)) {
        uintptr_t first, end;
        char permissions[5];
        size_t inode, kilobytes;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %zu", &first, &end, permissions,
                   &inode) == 4) {
            if (mapping.is_found) break;
            mapping.is_found = first <= (uintptr_t)address && (uintptr_t)address < end;
            mapping.is_shared_file = strstr(line, "/memfd:weights") != NULL;
            mapping.is_packed_file = strstr(line, ".packed") != NULL;
            memcpy(mapping.permissions, permissions, sizeof permissions);
            mapping.inode = inode;
        } else if (mapping.is_found && sscanf(line, "Anonymous: %zu kB", &kilobytes) == 1) {
            mapping.anonymous = 1024 * kilobytes;
        }
    }
    fclose(smaps);
    return mapping;
}

static bool is_shared(const struct pm_model *model)
{
    return mapping_of(model->weights.base).is_shared_file;
}

/* One pass of the UNet, and one of the text encoder. */
static void forward(float *out, const struct pm_model *model)
{
    struct pm_arena scratch;
    int32_t ids[PM_TOKENS];
    pm_arena_init(&scratch, (size_t)1 << 32);
    for (int i = 0; i < PM_TOKENS; i++) ids[i] = i;
    float *context = pm_arena_floats(&scratch, PM_TOKENS * model->text_encoder.channels);
    float *latent = pm_arena_floats(&scratch, LATENT_FLOATS);
    fill_random(latent, LATENT_FLOATS, 3);
    pm_text_encoder_forward(context, &model->text_encoder, ids, 1, NULL, &scratch);
    struct pm_unet_context kv = pm_unet_context_make(&model->unet, context, 1, PM_TOKENS, &scratch);
    fill_nan(out, LATENT_FLOATS);
    pm_unet_forward(out, &model->unet, latent, 501.0f, &kv, SIDE, SIDE, NULL, &scratch);
    pm_arena_free(&scratch);
}

static bool gives_what_a_model_of_ones_own_gives(const struct pm_model *model)
{
    struct pm_model own;
    struct pm_error err = {0};
    float out[LATENT_FLOATS], expected[LATENT_FLOATS];
    assert_ok(pm_model_load(&own, model_folder, &err), err);
    forward(expected, &own);
    forward(out, model);
    bool is_same = memcmp(out, expected, sizeof out) == 0 && isfinite(out[0]) &&
                   strcmp(model->fingerprint, own.fingerprint) == 0 &&
                   pm_tokenizer_size(model->tokenizer) == pm_tokenizer_size(own.tokenizer);
    pm_model_free(&own);
    return is_same;
}

static bool is_same_on_all_ranks(uint64_t number)
{
    uint64_t first = number;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, world.node_comm);
    return first == number;
}

static void load_with(struct pm_model *model, const char *packed)
{
    struct pm_error err = {0};
    bool ok = load_model_shared(model, &world, model_folder, &none, packed, &err);
    if (!ok) print_error("%s\n", err.message);
    assert_on_all_ranks(MPI_COMM_WORLD, ok);
}

static void load(struct pm_model *model)
{
    load_with(model, NULL);
}

static void a_shared_model_gives_what_a_private_one_gives(void **state)
{
    (void)state;
    struct pm_model model;
    load(&model);
    assert_on_all_ranks(MPI_COMM_WORLD, is_shared(&model) == (world.ranks_on_node > 1));
    assert_on_all_ranks(MPI_COMM_WORLD, gives_what_a_model_of_ones_own_gives(&model));
    pm_model_free(&model);
}

static void all_ranks_of_a_host_read_the_same_bytes(void **state)
{
    (void)state;
    struct pm_model model;
    load(&model);
    uint64_t hash = pm_hash64(model.weights.base, model.weights.used, 0);
    assert_on_all_ranks(MPI_COMM_WORLD, is_same_on_all_ranks(model.weights.used));
    assert_on_all_ranks(MPI_COMM_WORLD, is_same_on_all_ranks(hash));
    pm_model_free(&model);
}

static void weights_are_nobodys_own_memory(void **state)
{
    (void)state;
    struct pm_model model;
    load(&model);
    struct mapping mapping = mapping_of(model.weights.base);
    assert_on_all_ranks(MPI_COMM_WORLD, mapping.is_found);
    assert_on_all_ranks(MPI_COMM_WORLD, strncmp(mapping.permissions, "r--", 3) == 0);
    assert_on_all_ranks(MPI_COMM_WORLD, mapping.permissions[3] == (is_shared(&model) ? 's' : 'p'));
    /* Not by Private_Dirty: what one alone has touched, or what the kernel has taken from the others'
     * page tables, counts there too. */
    if (is_shared(&model)) {
        assert_on_all_ranks(MPI_COMM_WORLD, is_same_on_all_ranks(mapping.inode));
        assert_on_all_ranks(MPI_COMM_WORLD, mapping.anonymous == 0);
    }
    pm_model_free(&model);
}

/* In a process of its own, which it ends. */
static void writing_to_weights_is_a_fault(void **state)
{
    (void)state;
    struct pm_model model;
    load(&model);
    pid_t child = fork();
    if (child == 0) {
        struct sigaction by_default = {.sa_handler = SIG_DFL};
        sigaction(SIGSEGV, &by_default, NULL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        *(volatile char *)model.weights.base = 1;
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    pm_model_free(&model);
}

static void two_models_are_shared_at_once(void **state)
{
    (void)state;
    struct pm_model first, second;
    load(&first);
    load(&second);
    assert_on_all_ranks(MPI_COMM_WORLD, is_shared(&second) == (world.ranks_on_node > 1));
    assert_on_all_ranks(MPI_COMM_WORLD, first.weights.base != second.weights.base);
    pm_model_free(&first);
    assert_on_all_ranks(MPI_COMM_WORLD, gives_what_a_model_of_ones_own_gives(&second));
    pm_model_free(&second);
}

/* A folder that all ranks know, or its end. */
static void folder_on_all_ranks(char folder[PATH_MAX])
{
    if (world.rank == 0) {
        temporary_make(NULL);
        snprintf(folder, PATH_MAX, "%s", temporary_path("."));
    }
    MPI_Bcast(folder, PATH_MAX, MPI_CHAR, 0, MPI_COMM_WORLD);
}

static bool is_mapped(const struct pm_model *model)
{
    return mapping_of(model->weights.base).is_packed_file;
}

static void weights_that_were_kept_in_a_file_are_mapped_by_all_ranks_the_next_time(void **state)
{
    (void)state;
    struct pm_model model;
    char folder[PATH_MAX], path[PATH_MAX];
    folder_on_all_ranks(folder);
    load_with(&model, folder);
    assert_on_all_ranks(MPI_COMM_WORLD, !is_mapped(&model));
    snprintf(path, sizeof path, "%.1000s/%s-fp32.packed", folder, model.fingerprint);
    pm_model_free(&model);

    load_with(&model, folder);
    assert_on_all_ranks(MPI_COMM_WORLD, is_mapped(&model));
    assert_on_all_ranks(MPI_COMM_WORLD, gives_what_a_model_of_ones_own_gives(&model));
    pm_model_free(&model);

    /* what one rank of them finds damaged, none uses; it is put right */
    if (world.rank == 0) {
        FILE *file = fopen(path, "r+");
        assert_non_null(file);
        assert_int_equal(fseek(file, -200, SEEK_END), 0);
        assert_int_equal(fputc('x', file), 'x');
        assert_int_equal(fclose(file), 0);
    }
    pm_world_barrier(MPI_COMM_WORLD);
    load_with(&model, folder);
    assert_on_all_ranks(MPI_COMM_WORLD, !is_mapped(&model));
    assert_on_all_ranks(MPI_COMM_WORLD, gives_what_a_model_of_ones_own_gives(&model));
    pm_model_free(&model);
    load_with(&model, folder);
    assert_on_all_ranks(MPI_COMM_WORLD, is_mapped(&model));
    pm_model_free(&model);
    if (world.rank == 0) temporary_remove(NULL);
}

static void a_limit_on_files_makes_all_ranks_keep_their_own(void **state)
{
    (void)state;
    struct pm_model model;
    struct rlimit before, less;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = before;
    less.rlim_cur = (rlim_t)1 << 30;
    if (world.node_rank == 0) assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    load(&model);
    if (world.node_rank == 0) assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_on_all_ranks(MPI_COMM_WORLD, !is_shared(&model));
    assert_on_all_ranks(MPI_COMM_WORLD, gives_what_a_model_of_ones_own_gives(&model));
    pm_model_free(&model);
}

static void an_offer_of_another_file_is_not_taken(void **state)
{
    (void)state;
    struct pm_arena arena, attached;
    struct pm_arena_offer offer;
    struct pm_error err = {0};
    assert_ok(pm_shared_arena_create(&arena, &offer, "weights", (size_t)1 << 30, &err), err);
    offer.inode++;
    assert_fails(pm_shared_arena_attach(&attached, &offer, &err), err,
                 "is another file than the one that was offered");
    pm_arena_offer_close(&offer);
    assert_fails(pm_shared_arena_attach(&attached, &offer, &err), err, "cannot open /proc/");
    pm_arena_free(&arena);
}

static bool fill_and_fail(void *self, struct pm_arena *arena, size_t share, size_t shares,
                          struct pm_error *err)
{
    assert_true(share < shares);
    pm_arena_floats(arena, 1000)[0] = 1.0f;
    return pm_fail(err, PM_E_FORMAT, "%s is broken", (const char *)self);
}

static void one_sentence_tells_all_ranks_what_is_broken(void **state)
{
    (void)state;
    struct pm_arena arena;
    struct pm_model model;
    struct pm_error err = {0};
    char it[] = "it";
    bool ok = pm_node_arena_fill(&arena, &world, "weights", 1 << 22, fill_and_fail, it, &err);
    assert_on_all_ranks(MPI_COMM_WORLD, !ok && strcmp(err.message, "it is broken") == 0);
    assert_on_all_ranks(MPI_COMM_WORLD, arena.base == NULL);

    ok = load_model_shared(&model, &world, "models/none", &none, NULL, &err);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        !ok && strstr(err.message, "cannot open the model models/none"));
    assert_on_all_ranks(MPI_COMM_WORLD, !model.tokenizer && !model.weights.base);
}

static void ranks_of_a_host_that_see_other_files_are_told_so(void **state)
{
    static const char *const parts[] = {
        "model_index.json",     "scheduler",           "text_encoder", "unet", "vae",
        "tokenizer/vocab.json", "tokenizer/merges.txt"};
    struct pm_model model;
    struct pm_error err = {0};
    char own[PATH_MAX], part[PATH_MAX], name[64];
    if (world.ranks_on_node == 1) return;
    temporary_make(state);
    temporary_write_text("own/tokenizer/notes", "");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(name, sizeof name, "models/scenes/%s", parts[i]);
        assert_non_null(realpath(name, part));
        snprintf(name, sizeof name, "own/%s", parts[i]);
        assert_int_equal(symlink(part, temporary_path(name)), 0);
    }
    snprintf(own, sizeof own, "%s", temporary_path("own"));
    bool ok = load_model_shared(&model, &world, world.node_rank == 0 ? model_folder : own, &none,
                                NULL, &err);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        !ok && strstr(err.message, "its files change while they are read"));
    temporary_remove(state);
}

int main(int argc, char **argv)
{
    pm_world_init(&world, &argc, &argv);
    pm_log_init(PM_LOG_ERROR, world.rank, world.ranks); /* memory is not shared, on purpose */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_model_gives_what_a_private_one_gives),
        cmocka_unit_test(all_ranks_of_a_host_read_the_same_bytes),
        cmocka_unit_test(weights_are_nobodys_own_memory),
        cmocka_unit_test(writing_to_weights_is_a_fault),
        cmocka_unit_test(two_models_are_shared_at_once),
        cmocka_unit_test(weights_that_were_kept_in_a_file_are_mapped_by_all_ranks_the_next_time),
        cmocka_unit_test(a_limit_on_files_makes_all_ranks_keep_their_own),
        cmocka_unit_test(ranks_of_a_host_that_see_other_files_are_told_so),
        cmocka_unit_test(an_offer_of_another_file_is_not_taken),
        cmocka_unit_test(one_sentence_tells_all_ranks_what_is_broken),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pm_world_free(&world);
    return failed;
}
