/** @file store_example.h  A small store of odd sizes whose every byte follows from its place:
 *  5 items with 0, 1, 2, 0, 1 targets, so 9 entries; every third entry has a blend mask.
 *
 *  EXAMPLE_FILE is such a store, kept so that format version 1 stays readable. Only with a new
 *  format version is it to be made anew: mpirun -n 1 build/tests/mpi/test_store EXAMPLE_FILE */
#ifndef STORE_EXAMPLE_H
#define STORE_EXAMPLE_H
#include "pm/data/store.h"

#define EXAMPLE_FILE "tests/golden/data/store/example.h5"
enum { EXAMPLE_ITEMS = 5, EXAMPLE_ENTRIES = 9 };

struct pm_store_shape example_shape(void);
/** The same with real pictures: items 1 and 4, of which 4 has null-text embeddings. */
struct pm_store_shape example_real_shape(void);
struct pm_store_about example_about(void);

/** Create, put the plan on rank 0, commit. Collective over @p comm; fails the test on failure. */
struct pm_store *example_create(const char *path, MPI_Comm comm);

/** The same with another shape, which has room for the example's plan. */
struct pm_store *example_create_as(const char *path, MPI_Comm comm,
                                   const struct pm_store_shape *shape,
                                   const struct pm_store_about *about);

/** One entry's payload; the caller frees with example_free. */
struct pm_store_payload example_payload(const struct pm_store_shape *shape, size_t entry);
/** Its row's flags. */
uint8_t example_flags(const struct pm_store_shape *shape, size_t entry);
void example_free(struct pm_store_payload *payload);

/** Put one entry. Fails the test on failure. */
void example_put(struct pm_store *store, size_t entry);

/** @return whether the store has, of plan and payload, exactly what was put for this entry */
bool example_matches(const struct pm_store *store, size_t entry);
#endif
