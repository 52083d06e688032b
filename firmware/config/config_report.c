/* Faults: kept while reading, then told in order of place, each with its line quoted. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <stdarg.h>

enum { QUOTE_COLUMNS = 92 };

static struct config_fault *fault_make(struct config_reader *r, struct config_place place,
                                       const char *format, va_list arguments)
{
    /* Past the maximum all go into the last one: they are counted, and the last is not shown. */
    uint32_t slot = r->fault_count < CONFIG_FAULTS_MAX ? r->fault_count : CONFIG_FAULTS_MAX - 1;
    struct config_fault *f = &r->faults[slot];
    r->fault_count++;
    *f = (struct config_fault){ .line = place.line, .column = place.column, .width = place.width };
    (void)vsnprintf(f->message, sizeof f->message, format, arguments);
    return f;
}

struct config_fault *fault_new(struct config_reader *r, struct config_place place,
                               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct config_fault *f = fault_make(r, place, format, arguments);
    va_end(arguments);
    return f;
}

void fault_unknown_key(struct config_reader *r, struct config_place place,
                       enum config_section section, struct text text)
{
    const char *where = config_sections[section].path;
    int shown = text.bytes > 60 ? 60 : (int)text.bytes;
    struct config_fault *f = fault_new(r, place, "unknown key `%.*s`%s%s", shown, text.at,
                                       *where != '\0' ? " in " : "", where);
    const struct config_key *near = config_nearest(section, text);
    const struct config_key *elsewhere = NULL;
    for (uint32_t i = 0; i < config_key_count && near == NULL && elsewhere == NULL; i++)
        if (text_equal(text_of(config_keys[i].name), text))
            elsewhere = &config_keys[i];
    fault_why(f, "nothing reads it, so it would be without effect");
    char path[CONFIG_KEY_PATH_BYTES];
    if (section == SECTION_CONTRACT && text_equal(text, text_of("file")))
        fault_fix(f, "write `- file: PATH` alone on a line under `contracts:`");
    else if (near != NULL)
        fault_fix(f, "did you mean `%s`?", near->name);
    else if (elsewhere != NULL)
        fault_fix(f, "there is `%s`: look at the indentation", config_key_path(elsewhere, path));
    else
        fault_fix(f, "`weir config explain %s` lists the keys", *where != '\0' ? where : "all");
}

bool config_given(const struct config_reader *r, const void *field)
{
    for (uint32_t i = 0; i < r->place_count; i++)
        if (r->places[i].at == field && r->places[i].leaf)
            return !r->places[i].bad;
    return false;
}

bool config_is_bad(const struct config_reader *r, const void *field)
{
    for (uint32_t i = 0; i < r->place_count; i++)
        if (r->places[i].at == field && r->places[i].leaf)
            return r->places[i].bad;
    return false;
}

static struct config_fault *fault_around(struct config_reader *r, const char *at, size_t bytes,
                                         const char *format, va_list arguments)
{
    struct config_place best = { .line = 1, .column = 1, .width = 1, .bytes = SIZE_MAX };
    for (uint32_t i = 0; i < r->place_count; i++) {
        const struct config_place *p = &r->places[i];
        if (at >= p->at && at + bytes <= p->at + p->bytes && p->bytes <= best.bytes)
            best = *p;
    }
    return best.bad ? &r->nowhere : fault_make(r, best, format, arguments);
}

struct config_fault *fault_at(struct config_reader *r, const void *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct config_fault *f = fault_around(r, field, 1, format, arguments);
    va_end(arguments);
    return f;
}

struct config_fault *fault_on(struct config_reader *r, const void *field, size_t bytes,
                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct config_fault *f = fault_around(r, field, bytes, format, arguments);
    va_end(arguments);
    return f;
}

void fault_why(struct config_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->why, sizeof fault->why, format, arguments);
    va_end(arguments);
}

void fault_fix(struct config_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->fix, sizeof fault->fix, format, arguments);
    va_end(arguments);
}

/* --- telling ----------------------------------------------------------------------------- */

static struct text line_of(struct text text, uint32_t line)
{
    uint32_t at = 0;
    for (uint32_t n = 1; n < line && at < text.bytes; at++)
        n += text.at[at] == '\n';
    uint32_t end = at;
    while (end < text.bytes && text.at[end] != '\n' && text.at[end] != '\r')
        end++;
    return (struct text){ text.at + at, end - at };
}

static bool begins_character(char c)
{
    return ((uint8_t)c & 0xc0) != 0x80;
}

/* One line of text for people: no control character reaches the terminal. */
static void print_clean(const char *at, size_t bytes, FILE *out)
{
    for (size_t i = 0; i < bytes; i++) {
        bool control = (uint8_t)at[i] < 0x20 || at[i] == 0x7f;
        (void)fputc(control ? '?' : at[i], out);
    }
}

/* user:password in a URL: bytes from..to of the line, which are not shown. */
static void find_secret(struct text line, uint32_t *from, uint32_t *to)
{
    *from = *to = 0;
    for (uint32_t i = 0; i + 3 <= line.bytes; i++) {
        char c = line.at[i];
        if (memcmp(line.at + i, "://", 3) == 0)
            *from = i + 3;
        if (*from > 0 && c == '@')
            *to = i;
        if (c == ' ' || c == '"' || c == '\'' || c == ',')
            *from = *to > 0 ? *from : 0;
    }
}

static uint32_t column_of(const struct config_fault *f, const struct config_origin *origin)
{
    return f->column > origin->indent ? f->column - origin->indent : 1;
}

/* The line, and under it ^~~~ in the columns of the fault. A long line is cut around them; a tab
 * counts as one column in both. */
static void print_quote(const struct config_reader *r, const struct config_fault *f, FILE *out)
{
    struct config_origin origin = config_origin(r, f->line);
    struct text line = line_of(r->text, f->line);
    uint32_t cut = line.bytes < origin.indent ? line.bytes : origin.indent;
    uint32_t column = 1, at = column_of(f, &origin);
    uint32_t from = at > QUOTE_COLUMNS / 2 ? at - QUOTE_COLUMNS / 2 : 1;
    line = (struct text){ line.at + cut, line.bytes - cut };
    uint32_t to = from + QUOTE_COLUMNS, shown = 0, secret, secret_end;
    find_secret(line, &secret, &secret_end);
    if (at < QUOTE_COLUMNS - 12)
        from = 1, to = 1 + QUOTE_COLUMNS;
    (void)fprintf(out, "%6u | %s", origin.line, from > 1 ? "..." : "");
    for (uint32_t i = 0; i < line.bytes; column++) {
        uint32_t next = i + 1;
        while (next < line.bytes && !begins_character(line.at[next]))
            next++;
        if (column >= from && column < to) {
            if (i >= secret && i < secret_end)
                (void)fputc('*', out);
            else if (line.at[i] == '\t')
                (void)fputc(' ', out);
            else
                print_clean(line.at + i, next - i, out);
            shown++;
        }
        i = next;
    }
    (void)fprintf(out, "%s\n       | %s", column > to ? "..." : "", from > 1 ? "   " : "");
    for (uint32_t i = from; i < at; i++)
        (void)fputc(' ', out);
    (void)fputc('^', out);
    for (uint32_t i = 1; i < f->width && at + i < from + shown; i++)
        (void)fputc('~', out);
    (void)fputc('\n', out);
}

static void print_sentence(const char *label, const char *sentence, FILE *out)
{
    if (*sentence == '\0')
        return;
    (void)fprintf(out, "  %s: ", label);
    print_clean(sentence, strlen(sentence), out);
    (void)fputc('\n', out);
}

/* By place; equal places in the order in which they were found. */
static uint32_t sort_faults(struct config_reader *r)
{
    uint32_t count = r->fault_count < CONFIG_FAULTS_MAX ? r->fault_count : CONFIG_FAULTS_MAX - 1;
    for (uint32_t i = 1; i < count; i++) {
        struct config_fault moving = r->faults[i];
        uint32_t to = i;
        for (; to > 0; to--) {
            const struct config_fault *before = &r->faults[to - 1];
            if (before->line < moving.line
                || (before->line == moving.line && before->column <= moving.column))
                break;
            r->faults[to] = *before;
        }
        r->faults[to] = moving;
    }
    return count;
}

void config_report(struct config_reader *r, FILE *out)
{
    if (out == NULL || r->fault_count == 0)
        return;
    uint32_t shown = sort_faults(r);
    for (uint32_t i = 0; i < shown; i++) {
        const struct config_fault *f = &r->faults[i];
        struct config_origin origin = config_origin(r, f->line);
        if (f->line > 0)
            (void)fprintf(out, "%s:%u:%u: error: ", origin.name, origin.line,
                          column_of(f, &origin));
        else
            (void)fprintf(out, "%s: error: ", r->name);
        print_clean(f->message, strlen(f->message), out);
        (void)fputc('\n', out);
        if (f->line > 0)
            print_quote(r, f, out);
        print_sentence("why", f->why, out);
        print_sentence("fix", f->fix, out);
    }
    if (shown < r->fault_count)
        (void)fprintf(out, "%s: and %u more\n", r->name, r->fault_count - shown);
    (void)fprintf(out, "%u error%s\n", r->fault_count, r->fault_count == 1 ? "" : "s");
}

/* Bytes that are not UTF-8 (cut sentences, paths) become '?', so that the whole stays JSON. */
static uint32_t utf8_bytes(const char *at, uint32_t room)
{
    uint8_t first = (uint8_t)at[0];
    uint32_t bytes = first < 0x80                    ? 1
                     : first >= 0xc2 && first < 0xe0 ? 2
                     : first >= 0xe0 && first < 0xf0 ? 3
                     : first >= 0xf0 && first < 0xf5 ? 4
                                                     : 0;
    if (bytes == 0 || bytes > room)
        return 0;
    for (uint32_t i = 1; i < bytes; i++)
        if (begins_character(at[i]))
            return 0;
    return bytes;
}

void config_print_quoted(struct text text, FILE *out)
{
    (void)fputc('"', out);
    for (uint32_t i = 0; i < text.bytes;) {
        uint32_t bytes = utf8_bytes(text.at + i, text.bytes - i);
        char c = text.at[i];
        if (bytes == 1 && (c == '"' || c == '\\'))
            (void)fprintf(out, "\\%c", c);
        else if (bytes == 1 && ((uint8_t)c < 0x20 || c == 0x7f))
            (void)fprintf(out, "\\u%04x", (unsigned)c);
        else if (bytes == 0)
            (void)fputc('?', out);
        else
            (void)fwrite(text.at + i, 1, bytes, out);
        i += bytes > 0 ? bytes : 1;
    }
    (void)fputc('"', out);
}

void config_report_json(struct config_reader *r, FILE *out)
{
    uint32_t shown = r->fault_count > 0 ? sort_faults(r) : 0;
    (void)fputc('[', out);
    for (uint32_t i = 0; i < shown; i++) {
        const struct config_fault *f = &r->faults[i];
        struct config_origin origin = config_origin(r, f->line);
        (void)fprintf(out, "%s{\"file\":", i > 0 ? "," : "");
        config_print_quoted(text_of(origin.name), out);
        (void)fprintf(out, ",\"line\":%u,\"column\":%u,\"message\":", origin.line,
                      f->line > 0 ? column_of(f, &origin) : 0);
        config_print_quoted(text_of(f->message), out);
        (void)fputs(",\"why\":", out);
        config_print_quoted(text_of(f->why), out);
        (void)fputs(",\"fix\":", out);
        config_print_quoted(text_of(f->fix), out);
        (void)fputc('}', out);
    }
    (void)fputc(']', out);
}

/* --- near names -------------------------------------------------------------------------- */

enum { WORD_BYTES_MAX = 40 };

/* Optimal string alignment: insert, delete, replace, swap of neighbours cost one each. */
uint32_t config_distance(struct text a, struct text b)
{
    uint32_t rows[3][WORD_BYTES_MAX + 1];
    if (a.bytes > WORD_BYTES_MAX || b.bytes > WORD_BYTES_MAX)
        return UINT32_MAX;
    uint32_t *before = rows[0], *previous = rows[1], *now = rows[2];
    for (uint32_t j = 0; j <= b.bytes; j++)
        previous[j] = j;
    for (uint32_t i = 1; i <= a.bytes; i++) {
        now[0] = i;
        for (uint32_t j = 1; j <= b.bytes; j++) {
            uint32_t cost = previous[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            cost = previous[j] + 1 < cost ? previous[j] + 1 : cost;
            cost = now[j - 1] + 1 < cost ? now[j - 1] + 1 : cost;
            bool swap = i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1];
            now[j] = swap && before[j - 2] + 1 < cost ? before[j - 2] + 1 : cost;
        }
        uint32_t *oldest = before;
        before = previous;
        previous = now;
        now = oldest;
    }
    return previous[b.bytes];
}

const struct config_key *config_nearest(enum config_section section, struct text name)
{
    const struct config_key *nearest = NULL;
    uint32_t best = name.bytes <= 4 ? 2 : 3; /* one edit in a short word, else two */
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].section != section)
            continue;
        uint32_t distance = config_distance(text_of(config_keys[i].name), name);
        if (distance < best) {
            best = distance;
            nearest = &config_keys[i];
        }
    }
    return nearest;
}
