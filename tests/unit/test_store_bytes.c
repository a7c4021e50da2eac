/* The bytes that a store is foretold to have are those that it has, whatever is kept: generated shapes. */
#include "generate.h"
#include "store_example.h"
#include "temporary.h"
#include "test.h"

#include "pm/data/store.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void choose_capture(struct pm_store_capture *c, size_t number, struct generator *g)
{
    static const enum pm_store_number numbers[] = {PM_STORE_F32, PM_STORE_F16, PM_STORE_U8};
    *c = (struct pm_store_capture){.is_self = generate_below(g, 2) == 0,
                                   .number = numbers[generate_below(g, 3)],
                                   .steps = generate_below(g, 3),
                                   .layers = generate_below(g, 3),
                                   .heads = generate_below(g, 5),
                                   .height = 1 + generate_below(g, 6),
                                   .width = 1 + generate_below(g, 6)};
    c->is_of_words = !c->is_self && generate_below(g, 2) == 0;
    snprintf(c->path, sizeof c->path, "/attention/capture_%zu", number);
}

static struct pm_store_shape choose_shape(struct generator *g)
{
    struct pm_store_shape s = example_real_shape();
    s.tokens += generate_below(g, 20);
    s.words += generate_below(g, 12);
    s.recipe_bytes += generate_below(g, 300);
    s.image_height = 1 + generate_below(g, 40);
    s.image_width = 1 + generate_below(g, 40);
    s.latent_height = 1 + generate_below(g, 8);
    s.latent_width = 1 + generate_below(g, 8);
    s.images = generate_below(g, 2) == 0;
    s.latents = (enum pm_store_latents)generate_below(g, 3);
    s.blend_mask = generate_below(g, 2) == 0;
    s.originals = s.images && generate_below(g, 2) == 0;
    s.inversions = generate_below(g, 2) == 0;
    s.embeddings = s.inversions && generate_below(g, 2) == 0;
    s.capture_count = generate_below(g, PM_STORE_MAX_CAPTURES < 5 ? PM_STORE_MAX_CAPTURES : 5);
    for (size_t i = 0; i < s.capture_count; i++) choose_capture(&s.captures[i], i, g);
    return s;
}

/* Whatever is kept: the bytes of each dataset, and that there is no other. */
static void any_policys_bytes_are_those_of_the_file(void **state)
{
    (void)state;
    static const size_t listed[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct pm_store_capture_about captures[PM_STORE_MAX_CAPTURES];
    const char *path = temporary_path("a.h5");
    for (uint64_t i = 0; i < 12; i++) {
        struct generator g = generate(i);
        struct pm_store_dataset datasets[PM_STORE_MAX_DATASETS];
        struct pm_store_shape shape = choose_shape(&g);
        struct pm_store_about about = example_about();
        struct stat file;
        uint64_t all = 0;
        for (size_t c = 0; c < shape.capture_count; c++)
            captures[c] = (struct pm_store_capture_about){
                .layers = listed,
                .steps = listed,
                .layer_count = shape.captures[c].layers ? shape.captures[c].layers : 2,
                .step_count = shape.captures[c].steps ? shape.captures[c].steps : 3,
                .head_count = shape.captures[c].heads ? shape.captures[c].heads : 4};
        about.captures = captures;
        pm_store_close(example_create_as(path, MPI_COMM_SELF, &shape, &about));
        assert_int_equal(stat(path, &file), 0);
        hid_t opened = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
        size_t count = pm_store_datasets(datasets, &shape);
        for (size_t d = 0; d < count; d++) {
            hid_t data = H5Dopen2(opened, datasets[d].path, H5P_DEFAULT);
            if (data < 0 || H5Dget_storage_size(data) != datasets[d].bytes)
                fail_msg("case %llu: %s", (unsigned long long)g.number, datasets[d].path);
            all += datasets[d].bytes;
            H5Dclose(data);
        }
        H5Fclose(opened);
        /* what is not in them is HDF5's own: were a dataset missed, its bytes would be there */
        double own = (double)pm_store_bytes(&shape) - (double)all;
        assert_true(own > 0.0 && fabs((double)file.st_size - (double)all - own) < 10000.0);
        unlink(path);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_policys_bytes_are_those_of_the_file),
    };
    MPI_Init(&argc, &argv); /* stores are made through it, with one rank */
    int failed = cmocka_run_group_tests(tests, temporary_make, temporary_remove);
    MPI_Finalize();
    return failed;
}
