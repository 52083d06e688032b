/* `weir config show`: the configuration as it applies. What is printed can be read again and comes
 * to the same (a test does that), so it is also how a file is brought to a newer version. */
#include "firmware/config/config_parts.h"

enum { SHOWN_BYTES = 320 };

struct printer {
    FILE *out;
    bool json;
    bool first; /* JSON: no comma before the next */
    bool item;  /* YAML: the next line begins a list's item */
    uint32_t indent;
};

static void begin(struct printer *p, const char *name)
{
    if (p->json) {
        (void)fprintf(p->out, "%s\"%s\":", p->first ? "" : ",", name);
    } else {
        uint32_t spaces = p->indent - (p->item ? 2 : 0);
        (void)fprintf(p->out, "%*s%s%s:", (int)spaces, "", p->item ? "- " : "", name);
    }
    p->first = p->item = false;
}

static bool unquoted(enum config_type type)
{
    return type == KEY_INTEGER || type == KEY_NUMBER || type == KEY_PERCENT || type == KEY_BOOLEAN;
}

static void print_scalar(struct printer *p, const struct config_key *key, const void *field)
{
    char value[SHOWN_BYTES];
    begin(p, key->name);
    config_print_value(key, field, value, sizeof value);
    bool plain =
        unquoted(key->type) || (!p->json && key->type <= KEY_ENUM && key->type >= KEY_DURATION);
    (void)fputs(p->json ? "" : " ", p->out);
    if (plain)
        (void)fputs(value, p->out);
    else
        config_print_quoted(text_of(value), p->out);
    (void)fputs(p->json ? "" : "\n", p->out);
}

/* Not printed: what was not given, and what another key makes meaningless. */
static bool left_out(const struct config_key *key, const char *base)
{
    bool given = true;
    uint32_t count = 1;
    if (key->given != 0 && key->type != KEY_LIST)
        memcpy(&given, base + key->given, sizeof given);
    if (key->type == KEY_LIST || key->type == KEY_FIELDS)
        memcpy(&count, base + key->count, sizeof count);
    if (key->section == SECTION_PAYLOAD && key->offset == offsetof(struct json_mapping, value))
        given = !((const struct json_mapping *)base)->metrics_given;
    return !given || count == 0 || !config_key_applies(key, base);
}

static void print_section(struct printer *p, enum config_section section, const char *base);

static void open_map(struct printer *p)
{
    p->indent += 2;
    p->first = true;
    if (p->json)
        (void)fputc('{', p->out);
}

static void close_map(struct printer *p)
{
    p->indent -= 2;
    p->first = false;
    if (p->json)
        (void)fputc('}', p->out);
}

static void print_list(struct printer *p, const struct config_key *key, const char *base)
{
    uint32_t count;
    memcpy(&count, base + key->count, sizeof count);
    (void)fputs(p->json ? "[" : "\n", p->out);
    for (uint32_t i = 0; i < count; i++) {
        if (p->json && i > 0)
            (void)fputc(',', p->out);
        p->indent += 2;
        open_map(p);
        p->item = true;
        print_section(p, key->child, base + key->offset + i * config_sections[key->child].bytes);
        close_map(p);
        p->indent -= 2;
    }
    if (p->json)
        (void)fputc(']', p->out);
}

static void print_fields(struct printer *p, const struct json_mapping *mapping)
{
    (void)fputs(p->json ? "" : "\n", p->out);
    open_map(p);
    for (uint32_t i = 0; i < mapping->field_count; i++) {
        begin(p, mapping->field_names[i]);
        (void)fputs(p->json ? "" : " ", p->out);
        config_print_quoted(text_of(mapping->field_pointers[i]), p->out);
        (void)fputs(p->json ? "" : "\n", p->out);
    }
    close_map(p);
}

/* As deep as the table nests. */
static void print_section(struct printer *p, enum config_section section, const char *base)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != section || left_out(key, base))
            continue;
        if (key->type != KEY_MAP && key->type != KEY_LIST && key->type != KEY_FIELDS) {
            print_scalar(p, key, base + key->offset);
            continue;
        }
        begin(p, key->name);
        if (key->type == KEY_LIST) {
            print_list(p, key, base);
        } else if (key->type == KEY_FIELDS) {
            print_fields(p, (const struct json_mapping *)base);
        } else {
            (void)fputs(p->json ? "" : "\n", p->out);
            open_map(p);
            print_section(p, key->child, base + key->offset);
            close_map(p);
        }
    }
}

void config_print_effective(const struct config *config, bool json, FILE *out)
{
    struct printer p = { .out = out, .json = json, .first = true };
    (void)fputs(json ? "{" : "", out);
    print_section(&p, SECTION_ROOT, (const char *)config);
    (void)fputs(json ? "}\n" : "", out);
}
