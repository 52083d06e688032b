/* config_include: a contract in a file of its own. The line `- file: PATH` of the list `contracts`
 * becomes an item that holds that file's lines, indented under it, before anything is parsed: so
 * what is journalled, hashed, compared at a reload and replayed is one whole text, and nobody
 * behind this knows of files. Faults are told where they were written, by the parts noted here. */
#include "firmware/config/config_parts.h"

enum { UNDER_ITEM = 2 }; /* columns from an item's dash to its keys */

struct item { /* a line `- file: PATH` */
    uint32_t start, end; /* of it in the text; end: behind its newline */
    uint32_t line, indent;
    struct text path;
};

static struct text line_at(const struct config_reader *r, uint32_t start)
{
    const char *at = r->text.at + start;
    const char *end = memchr(at, '\n', r->text.bytes - start);
    return (struct text){ at, end != NULL ? (uint32_t)(end + 1 - at) : r->text.bytes - start };
}

static bool begins(struct text line, const char *word)
{
    size_t bytes = strlen(word);
    return line.bytes >= bytes && memcmp(line.at, word, bytes) == 0;
}

static struct text without(struct text line, uint32_t bytes)
{
    return (struct text){ line.at + bytes, line.bytes - bytes };
}

static uint32_t spaces(struct text line)
{
    uint32_t n = 0;
    while (n < line.bytes && line.at[n] == ' ')
        n++;
    return n;
}

static bool is_blank(struct text line)
{
    uint32_t n = spaces(line);
    return n == line.bytes || line.at[n] == '\n' || line.at[n] == '\r' || line.at[n] == '#';
}

/* A plain or quoted scalar up to the end of the line or a comment; empty: it is none. */
static struct text scalar_of(struct text rest)
{
    rest = without(rest, spaces(rest));
    char quote = rest.bytes > 0 && (rest.at[0] == '"' || rest.at[0] == '\'') ? rest.at[0] : '\0';
    uint32_t from = quote != '\0', end = from;
    while (end < rest.bytes && rest.at[end] != '\n' && rest.at[end] != '\r' &&
           (quote != '\0' ? rest.at[end] != quote : rest.at[end] != ' '))
        end++;
    bool whole = quote == '\0' || (end < rest.bytes && rest.at[end] == quote);
    bool last = whole && is_blank(without(rest, end + (quote != '\0')));
    return last ? (struct text){ rest.at + from, end - from } : (struct text){ 0 };
}

static bool is_item(struct text line, struct item *item)
{
    item->indent = spaces(line);
    struct text rest = without(line, item->indent);
    if (!begins(rest, "- "))
        return false;
    rest = without(rest, 1);
    rest = without(rest, spaces(rest));
    if (!begins(rest, "file: "))
        return false;
    item->path = scalar_of(without(rest, 6));
    return item->path.bytes > 0;
}

/* The next item of `contracts` that names a file, from item->end on. */
static bool find_item(const struct config_reader *r, struct item *item, bool *in_contracts)
{
    while (item->end < r->text.bytes) {
        struct text line = line_at(r, item->end);
        item->start = item->end;
        item->end += line.bytes;
        item->line++;
        bool top = !is_blank(line) && line.at[0] != ' ' && line.at[0] != '-';
        if (top)
            *in_contracts = begins(line, "contracts:") && is_blank(without(line, 10));
        if (!top && *in_contracts && is_item(line, item))
            return true;
    }
    return false;
}

/* --- taking it in ------------------------------------------------------------------------ */

static void unreadable(struct config_reader *r, const struct item *item, const char *path,
                       const char *why)
{
    struct config_place place = { .line = item->line, .width = item->path.bytes };
    place.column = (uint32_t)(item->path.at - r->text.at) - item->start + 1;
    struct config_fault *f = fault_new(r, place, "the contract's file can't be read");
    fault_why(f, "%s", why);
    fault_fix(f, "its name goes from the directory of this file: %.180s", path);
}

static void print_path(const struct config_reader *r, struct text path,
                       char to[CONFIG_PATH_BYTES_MAX + 1])
{
    const char *slash = path.at[0] == '/' ? NULL : strrchr(r->name, '/');
    int folder = slash != NULL ? (int)(slash + 1 - r->name) : 0;
    (void)snprintf(to, CONFIG_PATH_BYTES_MAX + 1, "%.*s%.*s", folder, r->name, (int)path.bytes,
                   path.at);
}

static uint32_t indented_bytes(struct text content, uint32_t indent, uint32_t *lines)
{
    uint32_t bytes = 0, at = 0;
    *lines = 0;
    while (at < content.bytes) {
        const char *end = memchr(content.at + at, '\n', content.bytes - at);
        uint32_t line = end != NULL ? (uint32_t)(end + 1 - (content.at + at)) : content.bytes - at;
        bytes += indent + line + (end == NULL);
        ++*lines;
        at += line;
    }
    return bytes;
}

static void write_indented(char *to, struct text content, uint32_t indent)
{
    bool begun = false;
    for (uint32_t i = 0; i < content.bytes; i++) {
        if (!begun)
            memset(to, ' ', indent);
        to += begun ? 0 : indent;
        begun = content.at[i] != '\n';
        *to++ = content.at[i];
    }
    if (begun)
        *to = '\n';
}

/* The item's line becomes "-" and the content under it, which stands behind the text and is put
 * out of the way, at the end of the room. False: there is not enough. */
static bool splice(struct config_reader *r, struct item *item, uint32_t content_bytes,
                   const char *path)
{
    uint32_t indent = item->indent + UNDER_ITEM, lines, head = item->indent + 2;
    char *text = r->config->text, *end = text + CONFIG_FILE_BYTES_MAX - content_bytes;
    memmove(end, text + r->text.bytes, content_bytes);
    struct text content = { end, content_bytes };
    uint32_t bytes = head + indented_bytes(content, indent, &lines);
    if ((uint64_t)r->text.bytes - (item->end - item->start) + bytes + content_bytes >=
        CONFIG_FILE_BYTES_MAX)
        return false;
    memmove(text + item->start + bytes, text + item->end, r->text.bytes - item->end);
    memcpy(text + item->start + item->indent, "-\n", 2);
    write_indented(text + item->start + head, content, indent);
    r->text.bytes = r->text.bytes - (item->end - item->start) + bytes;
    struct config_part *part = &r->parts[r->part_count++];
    *part = (struct config_part){ .line = item->line + 1, .lines = lines, .indent = indent };
    (void)snprintf(part->name, sizeof part->name, "%s", path);
    item->end = item->start + bytes;
    item->line += lines;
    return true;
}

/* libyaml begins a line behind these too: at its first column, where the configuration's own keys
 * are. */
static bool breaks_otherwise(const char *text)
{
    bool otherwise = false;
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++)
        otherwise = otherwise || (c[0] == '\r' && c[1] != '\n') || (c[0] == 0xc2 && c[1] == 0x85) ||
                    (c[0] == 0xe2 && c[1] == 0x80 && (c[2] & 0xfe) == 0xa8);
    return otherwise;
}

static bool take(struct config_reader *r, struct item *item)
{
    char why[256], path[CONFIG_PATH_BYTES_MAX + 1], *room = r->config->text + r->text.bytes;
    uint32_t room_bytes = CONFIG_FILE_BYTES_MAX - r->text.bytes;
    print_path(r, item->path, path);
    if (room_bytes >= 2 && config_file(path, room, room_bytes, why) != 0) {
        unreadable(r, item, path, why);
        return false;
    }
    if (room_bytes >= 2 && breaks_otherwise(room)) {
        unreadable(r, item, path, "it has line breaks that are none to other programs (a lone CR, "
                                  "U+0085, U+2028 or U+2029)");
        return false;
    }
    if (room_bytes >= 2 && splice(r, item, (uint32_t)strlen(room), path))
        return true;
    config_too_large(r);
    return false;
}

bool config_include(struct config_reader *r)
{
    struct item item = { 0 };
    bool in_contracts = false, good = true;
    while (good && r->part_count < CONFIG_CONTRACTS_MAX && find_item(r, &item, &in_contracts))
        good = take(r, &item);
    r->config->text_bytes = r->text.bytes;
    return good;
}

struct config_origin config_origin(const struct config_reader *r, uint32_t line)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < r->part_count && line >= r->parts[i].line; i++) {
        const struct config_part *part = &r->parts[i];
        if (line < part->line + part->lines)
            return (struct config_origin){ part->name, line - part->line + 1, part->indent };
        others += part->lines;
    }
    return (struct config_origin){ r->name, line - others, 0 };
}
