#include "sweep_label.h"

#include <string.h>

const char *sweep_label(const char *id, const json_t *config)
{
    bool has_sweep = json_object_size(json_object_get(config, "sweep")) > 0;
    const char *slash = has_sweep ? strrchr(id, '/') : NULL;
    return slash ? slash + 1 : id + strlen(id);
}
