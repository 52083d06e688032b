/* The table for people: `weir config explain`, and docs/configuration.md. */
#include "firmware/config/config_parts.h"

#include "pipeline/detect/detector.h"
#include "pipeline/err.h"

enum { VALUE_BYTES = 320 };

static void print_kind_default(const struct config_key *key, enum detector_kind kind, char *to)
{
    const struct detector_config rule = detector_defaults(kind);
    bool off = key->given != 0;
    double number;
    if (key->type == KEY_NUMBER) {
        memcpy(&number, (const char *)&rule + key->offset, sizeof number);
        off =
            off || (number == 0 && key->offset == offsetof(struct detector_config, per_second_max));
    }
    if (off)
        (void)snprintf(to, VALUE_BYTES, "none");
    else
        config_print_value(key, (const char *)&rule + key->offset, to, VALUE_BYTES);
}

/* A detector's defaults are its kind's: one where all kinds agree, else one for each. */
static void print_detector_default(const struct config_key *key, char *to)
{
    char values[DETECTOR_KINDS][VALUE_BYTES];
    uint32_t first = DETECTOR_KINDS;
    bool same = true;
    for (uint32_t kind = 0; kind < DETECTOR_KINDS; kind++) {
        if (key->kinds != 0 && (key->kinds & (1u << kind)) == 0)
            continue;
        print_kind_default(key, (enum detector_kind)kind, values[kind]);
        first = first == DETECTOR_KINDS ? kind : first;
        same = same && strcmp(values[first], values[kind]) == 0;
    }
    if (same) {
        (void)snprintf(to, VALUE_BYTES, "%s", values[first]);
        return;
    }
    size_t used = 0;
    for (uint32_t kind = 0; kind < DETECTOR_KINDS && used < VALUE_BYTES; kind++)
        if (key->kinds == 0 || (key->kinds & (1u << kind)) != 0)
            used += (size_t)snprintf(to + used, VALUE_BYTES - used, "%s%s %s", used > 0 ? ", " : "",
                                     detector_ops((enum detector_kind)kind)->name, values[kind]);
}

static void print_default(const struct config_key *key, char *to)
{
    const char *text = key->fallback;
    if (key->required)
        text = "required";
    else if (key->type == KEY_MAP)
        text = "its keys'";
    else if (key->type == KEY_LIST || key->type == KEY_FIELDS)
        text = "none";
    else if (key->section == SECTION_DETECTOR && strcmp(key->name, "name") == 0)
        text = "its type";
    else if (key->section == SECTION_DETECTOR) {
        print_detector_default(key, to);
        return;
    } else if (text == NULL || key->given != 0)
        text = "none";
    else if (*text == '\0')
        text = "empty";
    (void)snprintf(to, VALUE_BYTES, "%s", text);
}

static void print_range(const struct config_key *key, char *to)
{
    char min[32], max[32];
    to[0] = '\0';
    if (key->type == KEY_ENUM) {
        config_print_choices(key->choices, to, VALUE_BYTES);
    } else if (key->items_max > 0) {
        (void)snprintf(to, VALUE_BYTES, "at most %u", key->items_max);
    } else if (key->type == KEY_BOOLEAN) {
        (void)snprintf(to, VALUE_BYTES, "true, false");
    } else if (key->max != 0) {
        config_print_number(key, key->min, min, sizeof min);
        config_print_number(key, key->max, max, sizeof max);
        (void)snprintf(to, VALUE_BYTES, "%s to %s%s", min, max, key->zero_off ? ", or 0" : "");
    }
}

static void print_kinds(const struct config_key *key, FILE *out)
{
    const char *name;
    if (key->kinds == 0)
        return;
    bool most = key->kinds >> 31 != 0; /* written as all but some */
    (void)fputs(most ? " Not for:" : " For:", out);
    for (uint32_t kind = 0; (name = config_kind_name(key->section, kind)) != NULL; kind++)
        if (((key->kinds & (1u << kind)) != 0) != most)
            (void)fprintf(out, " %s", name);
    (void)fputc('.', out);
}

/* --- explain --------------------------------------------------------------------------------- */

static void explain_key(const struct config_key *key, FILE *out)
{
    char path[CONFIG_KEY_PATH_BYTES], value[VALUE_BYTES], range[VALUE_BYTES];
    print_default(key, value);
    print_range(key, range);
    (void)fprintf(out, "%s\n  %s", config_key_path(key, path), key->doc);
    print_kinds(key, out);
    (void)fprintf(out, "\n  type     %s: %s\n  default  %s\n", config_type_name(key->type),
                  config_type_rule(key->type), value);
    if (range[0] != '\0')
        (void)fprintf(out, "  range    %s\n", range);
}

static void explain_section(enum config_section section, FILE *out)
{
    const struct config_section_doc *doc = &config_sections[section];
    (void)fprintf(out, "%s\n  %s\n", *doc->path != '\0' ? doc->path : "the file", doc->doc);
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char value[VALUE_BYTES];
        if (key->section != section)
            continue;
        print_default(key, value);
        (void)fprintf(out, "  %-22s %-14s %-24s %s\n", key->name, config_type_name(key->type),
                      value, key->doc);
    }
}

/* `sources.url` for `sources[].url`: people leave the brackets out. */
static void without_brackets(const char *path, char to[CONFIG_KEY_PATH_BYTES])
{
    size_t used = 0;
    for (; *path != '\0' && used < CONFIG_KEY_PATH_BYTES - 1; path++)
        if (*path != '[' && *path != ']')
            to[used++] = *path;
    to[used] = '\0';
}

static uint32_t explain_matches(const char *wanted, FILE *out)
{
    char path[CONFIG_KEY_PATH_BYTES], plain[CONFIG_KEY_PATH_BYTES];
    uint32_t found = 0;
    for (uint32_t section = 0; section < SECTIONS; section++) {
        without_brackets(config_sections[section].path, plain);
        if (strcmp(plain, wanted) == 0 || (section == SECTION_ROOT && strcmp(wanted, "all") == 0)) {
            explain_section((enum config_section)section, out);
            found++;
        }
    }
    for (uint32_t i = 0; i < config_key_count && found == 0; i++) {
        without_brackets(config_key_path(&config_keys[i], path), plain);
        if (strcmp(plain, wanted) == 0) {
            explain_key(&config_keys[i], out);
            found++;
        }
    }
    for (uint32_t i = 0, whole = found; i < config_key_count && whole == 0; i++) {
        if (strcmp(config_keys[i].name, wanted) != 0)
            continue;
        explain_key(&config_keys[i], out);
        found++;
    }
    return found;
}

int config_explain(const char *key, FILE *out, FILE *errors)
{
    char wanted[CONFIG_KEY_PATH_BYTES], path[CONFIG_KEY_PATH_BYTES], plain[CONFIG_KEY_PATH_BYTES];
    without_brackets(key, wanted);
    if (explain_matches(wanted, out) > 0)
        return 0;
    const char *dot = strrchr(wanted, '.');
    const char *last = dot != NULL ? dot + 1 : wanted;
    uint32_t near = 0;
    (void)fprintf(errors, "there is no key `%s`\n", wanted);
    for (uint32_t i = 0; i < config_key_count; i++) {
        without_brackets(config_key_path(&config_keys[i], path), plain);
        bool alike = config_distance(text_of(plain), text_of(wanted)) <= 2
                     || config_distance(text_of(config_keys[i].name), text_of(last)) <= 1;
        if (alike)
            (void)fprintf(errors, "%s %s\n", near++ == 0 ? "did you mean:" : "             ", path);
    }
    if (near == 0)
        (void)fputs("`weir config explain all` lists the sections\n", errors);
    return WEIR_ENOTFOUND;
}

/* --- reference ------------------------------------------------------------------------------- */

static void reference_key(const struct config_key *key, FILE *out)
{
    char value[VALUE_BYTES], range[VALUE_BYTES];
    print_default(key, value);
    print_range(key, range);
    bool word = key->required || strcmp(value, "none") == 0 || strcmp(value, "empty") == 0
                || strcmp(value, "its type") == 0 || key->type == KEY_MAP;
    const char *tick = word ? "" : "`";
    (void)fprintf(out, "| `%s` | %s | %s%s%s | %s | %s", key->name, config_type_name(key->type),
                  tick, value, tick, range, key->doc);
    print_kinds(key, out);
    (void)fputs(" |\n", out);
}

static void reference_types(FILE *out)
{
    (void)fputs("## Types\n\n| Type | How it is written |\n|---|---|\n", out);
    for (uint32_t type = KEY_DURATION; type <= KEY_WEB; type++)
        (void)fprintf(out, "| %s | %s |\n", config_type_name((enum config_type)type),
                      config_type_rule((enum config_type)type));
    (void)fputs(
        "\n0 needs no unit. A key that is not listed here is an error, so that a misspelt one\n"
        "can't be without effect; so are YAML's anchors, aliases, tags and a second document.\n"
        "Secrets are never in the file itself: it names files of mode 0600.\n",
        out);
}

/* What of a section a reload takes over. */
static void reference_hot(enum config_section section, FILE *out)
{
    uint32_t hot = 0, all = 0;
    for (uint32_t i = 0; i < config_key_count; i++) {
        all += config_keys[i].section == section;
        hot += config_keys[i].section == section && config_key_is_hot(&config_keys[i]);
    }
    if (hot == all || hot == 0) {
        (void)fprintf(out, "%s\n\n", hot > 0 ? "Hot: `weir reload` takes a change over."
                                             : "A change needs a restart.");
        return;
    }
    (void)fputs("Hot: `weir reload` takes a change of", out);
    for (uint32_t i = 0, told = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && config_key_is_hot(&config_keys[i]))
            (void)fprintf(out, "%s `%s`", told++ > 0 ? "," : "", config_keys[i].name);
    (void)fputs(" over; any other needs a restart.\n\n", out);
}

void config_print_reference(FILE *out)
{
    (void)fputs(
        "# Configuration\n\n"
        "Made by `weir config reference` from the table in firmware/config/config_schema.c; a\n"
        "test compares the two. `weir check -c FILE` says what is wrong with a file, and what it\n"
        "costs and loses; `weir config explain KEY` says the same as this page about one key;\n"
        "`weir config show` prints a file with every default filled in. Examples, all checked\n"
        "by a test, stand in docs/examples.\n\n",
        out);
    reference_types(out);
    for (uint32_t section = 0; section < SECTIONS; section++) {
        const struct config_section_doc *doc = &config_sections[section];
        (void)fprintf(out, "\n## %s\n\n%s\n\n", *doc->path != '\0' ? doc->path : "The file",
                      doc->doc);
        if (section != SECTION_ROOT)
            reference_hot((enum config_section)section, out);
        (void)fputs("| Key | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n", out);
        for (uint32_t i = 0; i < config_key_count; i++)
            if (config_keys[i].section == section)
                reference_key(&config_keys[i], out);
    }
}
