/** @file fuzz.h  What comes from outside, as bytes that a fuzzer makes up.
 *
 *  Each test_*.c here has one function that takes any bytes and must come back: no crash, nothing
 *  that a sanitizer sees, in less than a second. `make fuzz` (clang's libFuzzer) looks for bytes that
 *  break this; `make test` goes through those in corpus/ (replay.c), the seeds and what was found. */
#ifndef FUZZ_H
#define FUZZ_H
#include <stddef.h>
#include <stdint.h>

/** A target. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/** The bytes as a file, in memory. @return its path, good until the next call */
const char *fuzz_file(const uint8_t *bytes, size_t count);

/** An empty folder of this process, in memory where that is possible; it is removed at the end.
 *  @return its path */
const char *fuzz_folder(void);

/** Write a file into it. */
void fuzz_write(const char *name, const uint8_t *bytes, size_t count);

/** Remove a file that may be there. */
void fuzz_remove(const char *name);

/** Link a file of the repository into it. */
void fuzz_link(const char *name, const char *file);
#endif
