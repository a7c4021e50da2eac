/* What is read of a host's memory, from trees like /proc and /sys/fs/cgroup. */
#include "test.h"

#include "pm/runtime/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/promptmill-memory.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command); /* NOLINT: a name of our own making */
}

/* Write ROOT/PATH and the folders on its way. */
static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(whole, 0777);
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_host_without_limits_has_all_its_memory(void **state)
{
    (void)state;
    assert_true(isinf(pm_memory_bytes(root)));
    put("proc/meminfo", "MemTotal:       1000 kB\nMemFree:         10 kB\n");
    assert_true(pm_memory_bytes(root) == 1024000.0);
    put("proc/self/cgroup", "0::/user/job\n");
    put("sys/fs/cgroup/user/job/memory.max", "max\n");
    assert_true(pm_memory_bytes(root) == 1024000.0);
}

static void the_lowest_limit_above_the_process_counts(void **state)
{
    (void)state;
    put("proc/meminfo", "MemTotal:       1000 kB\n");
    put("proc/self/cgroup", "0::/user/job\n");
    put("sys/fs/cgroup/user/job/memory.max", "700000\n");
    assert_true(pm_memory_bytes(root) == 700000.0);
    put("sys/fs/cgroup/user/memory.max", "600000\n");
    assert_true(pm_memory_bytes(root) == 600000.0);
    put("sys/fs/cgroup/memory.max", "900000\n");
    assert_true(pm_memory_bytes(root) == 600000.0);
}

static void version_1_is_read_too(void **state)
{
    (void)state;
    put("proc/meminfo", "MemTotal:       1000 kB\n");
    put("proc/self/cgroup", "9:name=systemd:/\n4:memory:/slurm/job_7/step_0\nnonsense\n0::/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(pm_memory_bytes(root) == 1024000.0);
    put("sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", "500000\n");
    assert_true(pm_memory_bytes(root) == 500000.0);
}

static void a_containers_own_group_is_found(void **state)
{
    (void)state;
    put("proc/meminfo", "MemTotal:       1000 kB\n");
    put("proc/self/cgroup", "0::/system/container-not-seen-in-here\n");
    put("sys/fs/cgroup/memory.max", "400000\n");
    assert_true(pm_memory_bytes(root) == 400000.0);
}

static void this_host_has_some(void **state)
{
    (void)state;
    double bytes = pm_memory_bytes("");
    assert_true(isfinite(bytes) && bytes > 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_without_limits_has_all_its_memory, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(the_lowest_limit_above_the_process_counts, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(version_1_is_read_too, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_containers_own_group_is_found, make_root, remove_root),
        cmocka_unit_test(this_host_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
