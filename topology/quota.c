/* topology/quota.c - what a control group (version 1 or 2) lets the process use.
 *
 * A process has as many CPUs as its quota buys, not as many as it may run on, and a container's
 * memory ends at its limit. Limits hold for a group and everything below it, so the smallest one on
 * the way from the process's group up to the root counts. The group's path may not exist below the
 * mount point (a container that sees the host's names): then only the levels that do exist count.
 *
 * Invariant: a file that is missing or does not parse means no limit; nothing here ever fails.
 * Lock order: none. All data is on the caller's stack, but for the two paths, which only tests change. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology/os.h"
#include "topology/topology.h"

struct ht_groups ht_groups = {"/sys/fs/cgroup", "/proc/self/cgroup"};

enum { HT_GROUPS_BYTES = 32768, HT_VALUE_BYTES = 128 };

/* Version 1 writes "no limit" as the largest number of whole pages. */
#define HT_MEMORY_NONE (UINT64_C(1) << 62)

/* A directory of one hierarchy. */
struct ht_group {
    char path[PATH_MAX]; /* now looked at                                */
    size_t root;         /* length of the mount point at the front of it */
    bool version2;       /* unified hierarchy                            */
};

/* Reads one limit of the directory; 0: none there. */
typedef uint64_t ht_limit_reader(const struct ht_group *group);

static bool ht_read_value(const struct ht_group *group, const char *name, char *text)
{
    char path[PATH_MAX + NAME_MAX];

    snprintf(path, sizeof(path), "%s/%s", group->path, name);
    return ht_os_read_file(path, text, HT_VALUE_BYTES);
}

/* A decimal number at *text, which is moved behind it. "max", "-1" and the like are none. */
static bool ht_read_number(char **text, uint64_t *number)
{
    char *end;

    while (**text == ' ')
        ++*text;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

static uint64_t ht_read_cpus(const struct ht_group *group)
{
    char text[HT_VALUE_BYTES], *at = text;
    uint64_t quota, period;

    if (group->version2) {
        if (!ht_read_value(group, "cpu.max", text) || !ht_read_number(&at, &quota) ||
            !ht_read_number(&at, &period))
            return 0;
    } else {
        if (!ht_read_value(group, "cpu.cfs_quota_us", text) || !ht_read_number(&at, &quota))
            return 0;
        at = text;
        if (!ht_read_value(group, "cpu.cfs_period_us", text) || !ht_read_number(&at, &period))
            return 0;
    }
    if (quota == 0 || period == 0)
        return 0;
    return quota / period + (quota % period != 0);
}

static uint64_t ht_read_bytes(const struct ht_group *group, const char *name)
{
    char text[HT_VALUE_BYTES], *at = text;
    uint64_t bytes;

    if (!ht_read_value(group, name, text) || !ht_read_number(&at, &bytes) ||
        bytes >= HT_MEMORY_NONE)
        return 0;
    /* A limit of zero bytes is a limit, and 0 means none. */
    return bytes == 0 ? 1 : bytes;
}

static uint64_t ht_read_memory(const struct ht_group *group)
{
    return ht_read_bytes(group, group->version2 ? "memory.max" : "memory.limit_in_bytes");
}

static uint64_t ht_read_memory_high(const struct ht_group *group)
{
    return ht_read_bytes(group, group->version2 ? "memory.high" : "memory.soft_limit_in_bytes");
}

/* The smallest limit from the group up to its mount point. */
static uint64_t ht_limit_upwards(struct ht_group *group, ht_limit_reader *read_limit)
{
    uint64_t smallest = 0, limit;
    size_t end = strlen(group->path);

    for (;;) {
        while (end > group->root && group->path[end - 1] == '/')
            end--;
        group->path[end] = '\0';
        limit = read_limit(group);
        if (limit != 0 && (smallest == 0 || limit < smallest))
            smallest = limit;
        if (end <= group->root)
            return smallest;
        while (end > group->root && group->path[end - 1] != '/')
            end--;
    }
}

/* Point at `member` below root/mount. A member seen from inside another namespace ("/../..") lies
 * outside the mount: only the mount point itself is looked at then. */
static bool ht_group_open(struct ht_group *group, const char *root, const char *mount,
                          const char *member, bool version2)
{
    int length = snprintf(group->path, sizeof(group->path), "%s%s%s", root,
                          mount[0] == '\0' ? "" : "/", mount);

    if (length < 0 || (size_t)length >= sizeof(group->path) || access(group->path, F_OK) != 0)
        return false;
    group->root = (size_t)length;
    group->version2 = version2;
    if (strstr(member, "/..") == NULL && strlen(member) < sizeof(group->path) - group->root)
        strcpy(group->path + group->root, member);
    return true;
}

/* Whether the comma-separated list has the word. */
static bool ht_has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (;;) {
        if (strncmp(list, word, length) == 0 && (list[length] == '\0' || list[length] == ','))
            return true;
        list = strchr(list, ',');
        if (list == NULL)
            return false;
        list++;
    }
}

/* One line of /proc/self/cgroup, "number:controllers:member"; version 2 has number 0 and no
 * controllers. Where both versions are mounted, version 2 is under "unified". */
static uint64_t ht_limit_of_line(char *line, const char *root, const char *controller,
                                 ht_limit_reader *read_limit)
{
    struct ht_group group;
    char *controllers = strchr(line, ':');
    char *member = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    uint64_t limit = 0;

    if (member == NULL)
        return 0;
    *controllers++ = '\0';
    *member++ = '\0';
    if (controllers[0] == '\0' && strcmp(line, "0") == 0) {
        if (ht_group_open(&group, root, "unified", member, true) ||
            ht_group_open(&group, root, "", member, true))
            limit = ht_limit_upwards(&group, read_limit);
    } else if (ht_has_word(controllers, controller)) {
        if (ht_group_open(&group, root, controllers, member, false) ||
            ht_group_open(&group, root, controller, member, false))
            limit = ht_limit_upwards(&group, read_limit);
    }
    return limit;
}

static uint64_t ht_limit_of_process(const char *root, const char *self, const char *controller,
                                    ht_limit_reader *read_limit)
{
    char groups[HT_GROUPS_BYTES], *rest = groups, *line;
    uint64_t smallest = 0, limit;

    if (!ht_os_read_file(self, groups, sizeof(groups)))
        return 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        limit = ht_limit_of_line(line, root, controller, read_limit);
        if (limit != 0 && (smallest == 0 || limit < smallest))
            smallest = limit;
    }
    return smallest;
}

int ht_quota_cpus(const char *root, const char *self)
{
    uint64_t cpus = ht_limit_of_process(root, self, "cpu", ht_read_cpus);

    return cpus > INT_MAX ? INT_MAX : (int)cpus;
}

uint64_t ht_quota_memory(const char *root, const char *self)
{
    return ht_limit_of_process(root, self, "memory", ht_read_memory);
}

uint64_t ht_quota_memory_high(const char *root, const char *self)
{
    return ht_limit_of_process(root, self, "memory", ht_read_memory_high);
}
