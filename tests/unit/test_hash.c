#include "test.h"

#include "pm/base/hash.h"

#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 32 << 20 };

/* A file in memory, mapped: letting go of its pages loses nothing. */
static char *map_file(size_t bytes)
{
    int file = memfd_create("hashed", 0);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)bytes), 0);
    char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    assert_true(map != MAP_FAILED);
    return map;
}

static void a_mapped_file_of_one_piece_hashes_as_its_bytes_do(void **state)
{
    (void)state;
    char *map = map_file(PIECE);
    map[0] = 1;
    map[PIECE - 1] = 2;
    assert_int_equal(pm_hash64_map(map, PIECE, 0, NULL), pm_hash64(map, PIECE, 0));
    assert_int_equal(pm_hash64_map(map, 12345, 0, NULL), pm_hash64(map, 12345, 0));
    assert_int_equal(pm_hash64_map(map, 0, 0, NULL), pm_hash64(map, 0, 0));
    assert_int_not_equal(pm_hash64_map(map, PIECE, 7, NULL), pm_hash64_map(map, PIECE, 8, NULL));
    munmap(map, PIECE);
}

static void a_large_files_hash_depends_on_each_piece_its_place_and_the_seed(void **state)
{
    (void)state;
    enum { BYTES = 2 * PIECE + 100 };
    char *map = map_file(BYTES);
    map[5] = 1;
    uint64_t hash = pm_hash64_map(map, BYTES, 0, NULL);
    assert_int_not_equal(hash, pm_hash64_map(map, BYTES, 1, NULL));
    assert_int_not_equal(hash, pm_hash64_map(map, BYTES - 1, 0, NULL));
    map[BYTES - 1] = 1;
    assert_int_not_equal(hash, pm_hash64_map(map, BYTES, 0, NULL));
    map[BYTES - 1] = 0;
    map[5] = 0;
    map[PIECE + 5] = 1;
    assert_int_not_equal(hash, pm_hash64_map(map, BYTES, 0, NULL));
    map[PIECE + 5] = 0;
    map[5] = 1;
    assert_int_equal(hash, pm_hash64_map(map, BYTES, 0, NULL));
    munmap(map, BYTES);
}

static void a_large_files_hash_is_the_same_on_any_number_of_threads(void **state)
{
    (void)state;
    enum { BYTES = 4 * PIECE + 1 };
    int usual = omp_get_max_threads();
    char *map = map_file(BYTES);
    for (size_t i = 0; i < BYTES; i += 4099) map[i] = (char)i;
    omp_set_num_threads(1);
    uint64_t alone = pm_hash64_map(map, BYTES, 0, NULL);
    omp_set_num_threads(3);
    assert_int_equal(alone, pm_hash64_map(map, BYTES, 0, NULL));
    omp_set_num_threads(usual);
    munmap(map, BYTES);
}

static void shares_of_the_pieces_come_together_to_the_same_hashes(void **state)
{
    (void)state;
    enum { SHARES = 3, LARGE = 4 * PIECE + 1, SMALL = 100 };
    char *large = map_file(LARGE), *small = map_file(SMALL);
    for (size_t i = 0; i < LARGE; i += 4099) large[i] = (char)i;
    small[7] = 1;
    struct pm_hash_pieces all = {.shares = SHARES};
    for (size_t share = 0; share < SHARES; share++) {
        struct pm_hash_pieces one = {.share = share, .shares = SHARES};
        assert_int_equal(pm_hash64_map(large, LARGE, 0, &one), 0);
        assert_int_equal(pm_hash64_map(small, SMALL, 0, &one), 0);
        assert_int_equal(one.count, 6);
        if (share == 0) all.hashes = calloc(one.count, sizeof *all.hashes);
        for (size_t i = 0; i < one.count; i++) {
            assert_int_equal(one.hashes[i] != 0, i % SHARES == share);
            all.hashes[i] |= one.hashes[i];
        }
        all.count = one.count;
        free(one.hashes);
    }
    all.are_known = true;
    uint64_t first = pm_hash64_map(large, LARGE, 0, &all);
    assert_int_equal(first, pm_hash64_map(large, LARGE, 0, NULL));
    assert_int_equal(pm_hash64_map(small, SMALL, first, &all),
                     pm_hash64_map(small, SMALL, first, NULL));
    assert_int_equal(all.used, all.count);
    pm_hash64_map(small, SMALL, 0, &all); /* a file more than there were */
    assert_true(all.used > all.count);
    free(all.hashes);
    munmap(large, LARGE);
    munmap(small, SMALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_file_of_one_piece_hashes_as_its_bytes_do),
        cmocka_unit_test(a_large_files_hash_depends_on_each_piece_its_place_and_the_seed),
        cmocka_unit_test(shares_of_the_pieces_come_together_to_the_same_hashes),
        cmocka_unit_test(a_large_files_hash_is_the_same_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
