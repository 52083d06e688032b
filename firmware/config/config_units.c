/* Quantities with units, exactly: integers throughout. `0.1s` is 100 ms, and `0.5x` is nothing. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/err.h"

enum { HINT_BYTES = 64, DIGITS_MAX = 15 };

struct unit {
    const char *name;
    int64_t scale;
};

static const struct unit durations[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};
static const struct unit sizes[] = {
    { "B", 1 }, { "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 }, { NULL, 0 },
};
static const struct unit per_hour[] = { { "/s", 3600 }, { "/m", 60 }, { "/h", 1 }, { NULL, 0 } };

/* What people write instead. */
static const struct {
    const char *written, *meant;
} habits[] = {
    { "sec", "s" },      { "secs", "s" },     { "second", "s" }, { "seconds", "s" },
    { "S", "s" },        { "msec", "ms" },    { "min", "m" },    { "mins", "m" },
    { "minute", "m" },   { "minutes", "m" },  { "M", "MiB" },    { "hour", "h" },
    { "hours", "h" },    { "H", "h" },        { "day", "d" },    { "days", "d" },
    { "D", "d" },        { "b", "B" },        { "bytes", "B" },  { "k", "KiB" },
    { "K", "KiB" },      { "kB", "KiB" },     { "KB", "KiB" },   { "kb", "KiB" },
    { "kib", "KiB" },    { "MB", "MiB" },     { "mb", "MiB" },   { "mib", "MiB" },
    { "G", "GiB" },      { "g", "GiB" },      { "GB", "GiB" },   { "gb", "GiB" },
    { "gib", "GiB" },    { "/sec", "/s" },    { "/min", "/m" },  { "/minute", "/m" },
    { "/hour", "/h" },   { "/second", "/s" }, { "Bps", "B/s" },  { "KB/s", "KiB/s" },
    { "kB/s", "KiB/s" }, { "MB/s", "MiB/s" }, { "m", "MiB" },    { "ps", "/s" },
};

struct quantity {
    int64_t digits;    /* the number without its point */
    uint32_t decimals; /* digits behind it */
    uint32_t number_bytes;
    bool octal;       /* began with a zero that means nothing */
    struct text unit; /* the rest */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int quantity_split(struct text text, struct quantity *q)
{
    uint32_t i = 0, digits = 0;
    bool point = false;
    *q = (struct quantity){ 0 };
    q->octal = text.bytes > 1 && text.at[0] == '0' && is_digit(text.at[1]);
    for (; i < text.bytes && (is_digit(text.at[i]) || (text.at[i] == '.' && !point)); i++) {
        if (text.at[i] == '.') {
            point = true;
            continue;
        }
        if (++digits > DIGITS_MAX)
            return WEIR_EINVAL;
        q->digits = q->digits * 10 + (text.at[i] - '0');
        q->decimals += point;
    }
    q->number_bytes = i;
    q->unit = (struct text){ text.at + i, text.bytes - i };
    bool whole = digits > 0 && text.at[0] != '.' && text.at[i - 1] != '.';
    return whole && !q->octal ? 0 : WEIR_EINVAL;
}

/* digits * scale / 10^decimals, when that is whole and fits. */
static int quantity_scale(const struct quantity *q, int64_t scale, int64_t *to)
{
    int64_t value;
    if (__builtin_mul_overflow(q->digits, scale, &value))
        return WEIR_EINVAL;
    for (uint32_t i = 0; i < q->decimals; i++) {
        if (value % 10 != 0)
            return WEIR_EINVAL;
        value /= 10;
    }
    *to = value;
    return 0;
}

static const struct unit *unit_find(const struct unit *units, struct text name)
{
    for (const struct unit *u = units; u->name != NULL; u++)
        if (text_equal(text_of(u->name), name))
            return u;
    return NULL;
}

/* "64MB" was meant as "64MiB"; a bare number as one of the unit that is usual for its kind. */
static void hint_at(struct text text, const struct quantity *q, const struct unit *units,
                    const char *usual, char *hint)
{
    hint[0] = '\0';
    if (q->number_bytes == 0 || q->octal || q->number_bytes >= HINT_BYTES / 2)
        return;
    int number = (int)q->number_bytes;
    struct text written = q->unit;
    while (written.bytes > 0 && *written.at == ' ')
        written = (struct text){ written.at + 1, written.bytes - 1 };
    if (written.bytes == 0) {
        (void)snprintf(hint, HINT_BYTES, "%.*s%s", number, text.at, usual);
        return;
    }
    if (unit_find(units, written) != NULL && written.bytes < q->unit.bytes) { /* a space between */
        (void)snprintf(hint, HINT_BYTES, "%.*s%.*s", number, text.at, (int)written.bytes,
                       written.at);
        return;
    }
    for (size_t i = 0; i < sizeof habits / sizeof habits[0]; i++)
        if (text_equal(text_of(habits[i].written), written)
            && unit_find(units, text_of(habits[i].meant)) != NULL) {
            (void)snprintf(hint, HINT_BYTES, "%.*s%s", number, text.at, habits[i].meant);
            return;
        }
}

static int quantity_parse(struct text text, const struct unit *units, const char *usual,
                          int64_t *to, char *hint)
{
    struct quantity q;
    hint[0] = '\0';
    if (quantity_split(text, &q) == 0) {
        const struct unit *unit = unit_find(units, q.unit);
        bool zero = q.digits == 0 && q.unit.bytes == 0; /* 0 needs no unit */
        if (zero || unit != NULL)
            return quantity_scale(&q, zero ? 1 : unit->scale, to);
    }
    hint_at(text, &q, units, usual, hint);
    return WEIR_EINVAL;
}

int units_duration(struct text text, int64_t *ms, char *hint)
{
    return quantity_parse(text, durations, "s", ms, hint);
}

int units_size(struct text text, int64_t *bytes, char *hint)
{
    return quantity_parse(text, sizes, "B", bytes, hint);
}

int units_rate(struct text text, double *per_minute, char *hint)
{
    int64_t an_hour;
    if (quantity_parse(text, per_hour, "/m", &an_hour, hint) != 0)
        return WEIR_EINVAL;
    *per_minute = (double)an_hour / 60.0;
    return 0;
}

int units_byte_rate(struct text text, int64_t *bytes_per_second, char *hint)
{
    hint[0] = '\0';
    bool per_second = text.bytes > 2 && memcmp(text.at + text.bytes - 2, "/s", 2) == 0;
    bool zero = text.bytes == 1 && text.at[0] == '0';
    struct text size = { text.at, text.bytes - (per_second ? 2 : 0) };
    if ((per_second || zero) && units_size(size, bytes_per_second, hint) == 0)
        return 0;
    if (!per_second && units_size(text, bytes_per_second, hint) == 0 && text.bytes < HINT_BYTES / 2)
        (void)snprintf(hint, HINT_BYTES, "%.*s", (int)text.bytes, text.at);
    if (hint[0] != '\0' && strlen(hint) < HINT_BYTES - 3)
        strcat(hint, "/s");
    return WEIR_EINVAL;
}

int units_integer(struct text text, int64_t *number, char *hint)
{
    bool minus = text.bytes > 0 && text.at[0] == '-';
    struct text rest = { text.at + minus, text.bytes - minus };
    struct quantity q;
    hint[0] = '\0';
    int err = quantity_split(rest, &q);
    if (q.octal && q.unit.bytes == 0 && q.decimals == 0 && rest.bytes < HINT_BYTES / 2) {
        while (rest.bytes > 1 && *rest.at == '0')
            rest = (struct text){ rest.at + 1, rest.bytes - 1 };
        (void)snprintf(hint, HINT_BYTES, "%s%.*s", minus ? "-" : "", (int)rest.bytes, rest.at);
    }
    if (err != 0 || q.unit.bytes != 0 || quantity_scale(&q, 1, number) != 0)
        return WEIR_EINVAL;
    *number = minus ? -*number : *number;
    return 0;
}

/* JSON's grammar for numbers, and within what Weir computes with. */
static bool number_grammar(struct text text)
{
    uint32_t i = text.bytes > 0 && text.at[0] == '-';
    uint32_t whole = i;
    while (i < text.bytes && is_digit(text.at[i]))
        i++;
    if (i == whole || (i > whole + 1 && text.at[whole] == '0'))
        return false;
    if (i < text.bytes && text.at[i] == '.') {
        uint32_t fraction = ++i;
        while (i < text.bytes && is_digit(text.at[i]))
            i++;
        if (i == fraction)
            return false;
    }
    if (i < text.bytes && (text.at[i] == 'e' || text.at[i] == 'E')) {
        i++;
        i += i < text.bytes && (text.at[i] == '+' || text.at[i] == '-');
        uint32_t exponent = i;
        while (i < text.bytes && is_digit(text.at[i]))
            i++;
        if (i == exponent)
            return false;
    }
    return i == text.bytes;
}

int units_number(struct text text, double *number, char *hint)
{
    char copy[64];
    hint[0] = '\0';
    if (text.bytes >= sizeof copy || !number_grammar(text))
        return WEIR_EINVAL;
    memcpy(copy, text.at, text.bytes);
    copy[text.bytes] = '\0';
    double value = strtod(copy, NULL);
    if (!(fabs(value) <= READING_NUMBER_MAX))
        return WEIR_EINVAL;
    *number = value;
    return 0;
}

/* In the largest unit that leaves a whole number. */
static void print_scaled(uint64_t value, const struct unit *units, char *to, size_t bytes)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL && value != 0; u++)
        if (value % (uint64_t)u->scale == 0)
            best = u;
    (void)snprintf(to, bytes, "%llu%s", (unsigned long long)(value / (uint64_t)best->scale),
                   value == 0 ? "" : best->name);
}

void units_print_duration(int64_t ms, char *to, size_t bytes)
{
    assert(ms >= 0);
    print_scaled((uint64_t)ms, durations, to, bytes);
}

struct shown shown_ms(int64_t ms)
{
    struct shown shown;
    units_print_duration(ms, shown.text, sizeof shown.text);
    return shown;
}

void units_print_size(uint64_t size_bytes, char *to, size_t bytes)
{
    print_scaled(size_bytes, sizes, to, bytes);
}

/* The shortest form that reads back as the same bits. */
void units_print_number(double number, char *to, size_t bytes)
{
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(to, bytes, "%.*g", digits, number);
        if (strtod(to, NULL) == number)
            return;
    }
}
