/** @file memory.h  How much memory this host lets its processes have. */
#ifndef PM_RUNTIME_MEMORY_H
#define PM_RUNTIME_MEMORY_H

/** @return bytes: all of the host's, or less where the control group of this process or one above it
 *  (version 1 or 2, as batch systems and containers make them) has a limit; infinite when nothing
 *  tells. Read from /proc and /sys/fs/cgroup below @p root, which is "" but in tests */
double pm_memory_bytes(const char *root);
#endif
