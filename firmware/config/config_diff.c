/* config_diff: what is not the same in two configurations, key by key as the table has them, and
 * which of it may be taken over while the gateway runs. */
#include "firmware/config/config_parts.h"

enum { VALUE_BYTES = 320, PATH_BYTES = 192 };

struct diff {
    FILE *out;
    struct config_diff count;
};

static void tell(struct diff *d, bool hot, const char *path, const char *before, const char *after)
{
    d->count.hot += hot;
    d->count.cold += !hot;
    if (d->out != NULL)
        (void)fprintf(d->out, "%-7s  %s: %s -> %s\n", hot ? "hot" : "restart", path, before, after);
}

static bool is_given(const struct config_key *key, const char *base)
{
    bool given = true;
    if (key->given != 0 && key->type != KEY_LIST)
        memcpy(&given, base + key->given, sizeof given);
    return given && config_key_applies(key, base);
}

static void print_value(const struct config_key *key, const char *base, char to[VALUE_BYTES])
{
    (void)snprintf(to, VALUE_BYTES, "not given");
    if (is_given(key, base))
        config_print_value(key, base + key->offset, to, VALUE_BYTES);
    if (to[0] == '\0')
        (void)snprintf(to, VALUE_BYTES, "\"\"");
}

static void tell_there(struct diff *d, bool hot, const char *path, bool before, bool after)
{
    tell(d, hot, path, before ? "there" : "not there", after ? "there" : "not there");
}

static void diff_section(struct diff *d, enum config_section section, const char *path,
                         const char *before, const char *after);

static void diff_fields(struct diff *d, const char *path, const char *before, const char *after)
{
    const struct json_mapping *a = (const struct json_mapping *)before;
    const struct json_mapping *b = (const struct json_mapping *)after;
    bool same = a->field_count == b->field_count;
    for (uint32_t i = 0; same && i < a->field_count; i++)
        same = strcmp(a->field_names[i], b->field_names[i]) == 0 &&
               strcmp(a->field_pointers[i], b->field_pointers[i]) == 0;
    if (!same)
        tell(d, false, path, "some fields", "others");
}

/* Items that have names keep them, wherever they stand. */
static const char *name_of(const struct config_key *list, const char *base, uint32_t index)
{
    const struct config_key *name = config_key_find(list->child, text_of("name"));
    return base + list->offset + index * config_sections[list->child].bytes + name->offset;
}

static bool goes_by_name(enum config_section section)
{
    return section == SECTION_STREAM || section == SECTION_STREAM_RULE ||
           section == SECTION_DETECTOR || section == SECTION_SOURCE || section == SECTION_CONTRACT;
}

static uint32_t find_named(const struct config_key *list, const char *base, const char *name)
{
    uint32_t count, i = 0;
    memcpy(&count, base + list->count, sizeof count);
    while (i < count && strcmp(name_of(list, base, i), name) != 0)
        i++;
    return i < count ? i : UINT32_MAX;
}

static void diff_named(struct diff *d, const struct config_key *key, const char *path,
                       const char *before, const char *after)
{
    char item[PATH_BYTES];
    uint32_t a, b;
    size_t bytes = config_sections[key->child].bytes;
    memcpy(&a, before + key->count, sizeof a);
    memcpy(&b, after + key->count, sizeof b);
    for (uint32_t i = 0; i < a; i++) {
        const char *name = name_of(key, before, i);
        uint32_t now = find_named(key, after, name);
        (void)snprintf(item, sizeof item, "%.80s[%s]", path, name);
        if (now == UINT32_MAX)
            tell_there(d, config_section_is_hot(key->child), item, true, false);
        else
            diff_section(d, key->child, item, before + key->offset + i * bytes,
                         after + key->offset + now * bytes);
        if (now != UINT32_MAX && now != i && key->child == SECTION_SOURCE)
            tell(d, false, item, "its place", "another place in the list");
    }
    for (uint32_t i = 0; i < b; i++) {
        const char *name = name_of(key, after, i);
        (void)snprintf(item, sizeof item, "%.80s[%s]", path, name);
        if (find_named(key, before, name) == UINT32_MAX)
            tell_there(d, config_section_is_hot(key->child), item, false, true);
    }
}

static void diff_list(struct diff *d, const struct config_key *key, const char *path,
                      const char *before, const char *after)
{
    char item[PATH_BYTES];
    uint32_t a, b;
    size_t bytes = config_sections[key->child].bytes;
    memcpy(&a, before + key->count, sizeof a);
    memcpy(&b, after + key->count, sizeof b);
    for (uint32_t i = 0; i < a || i < b; i++) {
        (void)snprintf(item, sizeof item, "%.150s[%u]", path, i);
        if (i < a && i < b)
            diff_section(d, key->child, item, before + key->offset + i * bytes,
                         after + key->offset + i * bytes);
        else
            tell_there(d, config_section_is_hot(key->child), item, i < a, i < b);
    }
}

static void diff_key(struct diff *d, const struct config_key *key, const char *path,
                     const char *before, const char *after)
{
    char a[VALUE_BYTES], b[VALUE_BYTES];
    bool both = is_given(key, before) && is_given(key, after);
    if (key->type == KEY_MAP && both) {
        diff_section(d, key->child, path, before + key->offset, after + key->offset);
    } else if (key->type == KEY_MAP) {
        if (is_given(key, before) != is_given(key, after))
            tell_there(d, false, path, is_given(key, before), is_given(key, after));
    } else if (key->type == KEY_LIST && goes_by_name(key->child)) {
        diff_named(d, key, path, before, after);
    } else if (key->type == KEY_LIST) {
        diff_list(d, key, path, before, after);
    } else if (key->type == KEY_FIELDS) {
        diff_fields(d, path, before, after);
    } else {
        print_value(key, before, a);
        print_value(key, after, b);
        if (strcmp(a, b) != 0)
            tell(d, config_key_is_hot(key), path, a, b);
    }
}

/* As deep as the table nests. */
static void diff_section(struct diff *d, enum config_section section, const char *path,
                         const char *before, const char *after)
{
    char below[PATH_BYTES];
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != section)
            continue;
        (void)snprintf(below, sizeof below, "%s%s%s", path, path[0] != '\0' ? "." : "", key->name);
        diff_key(d, key, below, before, after);
    }
}

struct config_diff config_print_diff(const struct config *before, const struct config *after,
                                     FILE *out)
{
    struct diff d = { .out = out };
    diff_section(&d, SECTION_ROOT, "", (const char *)before, (const char *)after);
    return d.count;
}
