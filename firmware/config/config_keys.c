/* What is asked of the table of keys. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <stdio.h>

#include "pipeline/detector.h"

const struct config_key *config_key_find(enum config_section section, struct text name)
{
    for (uint32_t i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && text_equal(text_of(config_keys[i].name), name))
            return &config_keys[i];
    return NULL;
}

const char *config_key_path(const struct config_key *key, char to[CONFIG_KEY_PATH_BYTES])
{
    const char *section = config_sections[key->section].path;
    int used = snprintf(to, CONFIG_KEY_PATH_BYTES, "%s%s%s", section, *section != '\0' ? "." : "",
                        key->name);
    assert(used > 0 && used < CONFIG_KEY_PATH_BYTES);
    return to;
}

/* Which of its section's kinds the thing at `base` is. */
static uint32_t kind_at(enum config_section section, const void *base)
{
    return section == SECTION_SOURCE ? ((const struct config_source *)base)->listens
                                     : ((const struct detector_config *)base)->kind;
}

bool config_key_applies(const struct config_key *key, const void *base)
{
    return key->kinds == 0 || (key->kinds >> kind_at(key->section, base) & 1) != 0;
}

const char *config_kind_name(enum config_section section, uint32_t kind)
{
    static const char *const sources[SOURCE_KINDS] = { "url", "listen" };
    if (section == SECTION_SOURCE)
        return kind < SOURCE_KINDS ? sources[kind] : NULL;
    return kind < DETECTOR_KINDS ? detector_ops((enum detector_kind)kind)->name : NULL;
}

static void take_default(const struct config_key *key, void *field)
{
    struct config_fault fault;
    int err = config_parse(key, text_of(key->fallback), field, &fault);
    assert(err == 0); /* a default is what its own row allows */
}

/* The table nests a few maps deep at most, and no section holds itself. */
void config_defaults(enum config_section section, void *base)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != section)
            continue;
        char *field = (char *)base + key->offset;
        if (key->type == KEY_MAP)
            config_defaults(key->child, field);
        else if (key->fallback != NULL)
            take_default(key, field);
    }
}
