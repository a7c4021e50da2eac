#include "pm/data/safe_name.h"

#include "pm/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HASH_BYTES = 17 }; /* ~ and 16 digits */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._-+=,", c));
}

static void name_part(char name[PM_SAFE_NAME_BYTES], const char *text, size_t bytes)
{
    bool plain = bytes > 0 && bytes < PM_SAFE_NAME_BYTES && text[0] != '.' && text[0] != '-';
    size_t length = bytes < PM_SAFE_NAME_BYTES ? bytes : PM_SAFE_NAME_BYTES - 1;
    for (size_t i = 0; i < bytes; i++) plain = plain && is_plain(text[i]);
    if (!plain && length > PM_SAFE_NAME_BYTES - 1 - HASH_BYTES)
        length = PM_SAFE_NAME_BYTES - 1 - HASH_BYTES;
    for (size_t i = 0; i < length; i++) name[i] = is_plain(text[i]) ? text[i] : '_';
    name[length] = '\0';
    if (plain) return;
    if (length > 0 && (name[0] == '.' || name[0] == '-')) name[0] = '_';
    snprintf(name + length, PM_SAFE_NAME_BYTES - length, "~%016" PRIx64, pm_hash64(text, bytes, 0));
}

void pm_safe_name(char name[PM_SAFE_NAME_BYTES], const char *text)
{
    name_part(name, text, strlen(text));
}

bool pm_safe_path(char *out, size_t size, const char *path, struct pm_error *err)
{
    size_t used = 0;
    for (const char *part = path; *part;) {
        char name[PM_SAFE_NAME_BYTES];
        size_t bytes = strcspn(part, "/");
        if (bytes > 0) {
            name_part(name, part, bytes);
            int n = snprintf(out + used, size - used, "%s%s", used > 0 ? "/" : "", name);
            if ((size_t)n >= size - used)
                return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", path);
            used += (size_t)n;
        }
        part += bytes + (part[bytes] == '/');
    }
    return used > 0 || pm_fail(err, PM_E_INPUT, "the path \"%.100s\" names no file", path);
}
