/* One value at a time: from the text in the file to the field in the struct, and back. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <stdarg.h>

#include "pipeline/err.h"

static const struct {
    const char *name, *rule;
} types[] = {
    [KEY_MAP] = { "map", "keys with values, indented under it" },
    [KEY_LIST] = { "list", "items that begin with `- `, or [a, b]" },
    [KEY_FIELDS] = { "map", "names with a JSON pointer each" },
    [KEY_DURATION] = { "duration",
                       "a number with ms, s, m, h or d, such as 10s; at least whole milliseconds" },
    [KEY_SIZE] = { "size", "a number with B, KiB, MiB or GiB, such as 64MiB" },
    [KEY_RATE] = { "rate", "a number with /s, /m or /h, such as 60/m" },
    [KEY_BYTE_RATE] = { "byte rate", "a size a second, such as 64KiB/s" },
    [KEY_PERCENT] = { "percent", "a whole number of percent, without a sign behind it" },
    [KEY_INTEGER] = { "whole number", "decimal digits, without unit and without leading zeros" },
    [KEY_NUMBER] = { "number", "a decimal number such as 12, -0.5 or 1e3, without unit" },
    [KEY_BOOLEAN] = { "boolean", "true or false" },
    [KEY_ENUM] = { "word", "one of the words listed" },
    [KEY_TEXT] = { "text", "any text without control characters" },
    [KEY_NAME] = { "name", "letters, digits, dot, dash and underscore, at most 64" },
    [KEY_PATTERN] = { "pattern",
                      "a name, with at most one * that stands for any run of characters" },
    [KEY_POINTER] = { "JSON pointer",
                      "/ and a name for each step (RFC 6901), or \"\" for the whole" },
    [KEY_TEMPLATE] = { "topic template",
                       "levels between /: words, {device}, {metric}, {other}, + or a last #" },
    [KEY_TOPIC] = { "topic", "a topic without + and #; {gateway} and {lane} are filled in" },
    [KEY_PATH] = { "path", "the name of a file or directory" },
    [KEY_URL] = { "broker URL",
                  "mqtt://host:port, or mqtts://host:port for TLS; no user and password in it" },
    [KEY_WEB] = { "web address",
                  "http://address:port, or https://address:port for TLS; the port is 9464 if none "
                  "is given" },
};

const char *config_type_name(enum config_type type)
{
    return types[type].name;
}

const char *config_type_rule(enum config_type type)
{
    return types[type].rule;
}

struct text config_choice(const char *choices, uint32_t n)
{
    const char *at = choices;
    for (; n > 0 && at != NULL; n--) {
        at = strchr(at, '|');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL)
        return (struct text){ 0 };
    const char *end = strchr(at, '|');
    return (struct text){ at, (uint32_t)(end != NULL ? (size_t)(end - at) : strlen(at)) };
}

void config_print_choices(const char *choices, char *to, size_t bytes)
{
    size_t used = 0;
    to[0] = '\0';
    for (uint32_t n = 0; used < bytes; n++) {
        struct text c = config_choice(choices, n);
        if (c.bytes == 0)
            break;
        used += (size_t)snprintf(to + used, bytes - used, "%s%.*s", n > 0 ? ", " : "", (int)c.bytes,
                                 c.at);
    }
}

int config_wrong(const struct config_key *key, struct text value, const char *hint,
                 struct config_fault *f)
{
    char path[CONFIG_KEY_PATH_BYTES];
    char example[64];
    int shown = value.bytes > 60 ? 60 : (int)value.bytes;
    bool at = value.bytes > 0 && memchr(value.at, '@', value.bytes) != NULL;
    bool secret = (key->type == KEY_URL || key->type == KEY_WEB) && at; /* user:password@host */
    if (value.bytes == 0 || secret)
        (void)snprintf(f->message, sizeof f->message, "`%s` can't be %s",
                       config_key_path(key, path), secret ? "this" : "empty");
    else
        (void)snprintf(f->message, sizeof f->message, "`%s` can't be `%.*s`",
                       config_key_path(key, path), shown, value.at);
    fault_why(f, "it is a %s: %s", types[key->type].name, types[key->type].rule);
    if (hint != NULL && *hint != '\0')
        fault_fix(f, "did you mean `%s`?", hint);
    else if (key->fallback != NULL && *key->fallback != '\0')
        fault_fix(f, "such as the default, `%s`", key->fallback);
    else if (key->max != 0) {
        config_print_number(key, key->max, example, sizeof example);
        fault_fix(f, "a value up to `%s`", example);
    }
    return WEIR_EINVAL;
}

void config_print_number(const struct config_key *key, double number, char *to, size_t bytes)
{
    char size[32];
    switch (key->type) {
    case KEY_DURATION:
        units_print_duration((int64_t)number * (key->scale > 1 ? key->scale : 1), to, bytes);
        break;
    case KEY_SIZE:
        units_print_size((uint64_t)number, to, bytes);
        break;
    case KEY_BYTE_RATE:
        units_print_size((uint64_t)number, size, sizeof size);
        (void)snprintf(to, bytes, "%s%s", size, number > 0 ? "/s" : "");
        break;
    case KEY_RATE:
        units_print_number(number, size, sizeof size);
        (void)snprintf(to, bytes, "%s%s", size, number > 0 ? "/m" : "");
        break;
    default:
        units_print_number(number, to, bytes);
    }
}

static int in_range(const struct config_key *key, double number, struct config_fault *f)
{
    if ((key->min == 0 && key->max == 0) || (number >= key->min && number <= key->max)
        || (key->zero_off && number == 0))
        return 0;
    char path[CONFIG_KEY_PATH_BYTES];
    char min[32], max[32];
    config_print_number(key, key->min, min, sizeof min);
    config_print_number(key, key->max, max, sizeof max);
    bool low = number < key->min;
    (void)snprintf(f->message, sizeof f->message, "`%s` is out of range: %s than %s",
                   config_key_path(key, path), low ? "less" : "more", low ? min : max);
    fault_why(f, "it may be from %s to %s%s", min, max, key->zero_off ? ", or 0 for off" : "");
    fault_fix(f, "`%s` is the %s possible", low ? min : max, low ? "least" : "most");
    return WEIR_EINVAL;
}

static void store_integer(const struct config_key *key, int64_t number, void *field)
{
    int64_t value = number / (key->scale > 1 ? key->scale : 1);
    uint8_t one = (uint8_t)value;
    uint32_t four = (uint32_t)value;
    switch (key->bytes) {
    case 1:
        memcpy(field, &one, 1);
        break;
    case 4:
        memcpy(field, &four, 4);
        break;
    default:
        assert(key->bytes == 8);
        memcpy(field, &value, 8);
    }
}

static int64_t load_integer(const struct config_key *key, const void *field)
{
    uint8_t one;
    uint32_t four;
    int64_t value;
    if (key->bytes == 1)
        return memcpy(&one, field, 1), one;
    if (key->bytes == 4)
        return memcpy(&four, field, 4), four;
    assert(key->bytes == 8);
    memcpy(&value, field, 8);
    return value;
}

static int parse_whole(const struct config_key *key, struct text value, void *field,
                       struct config_fault *f)
{
    int64_t number;
    char hint[64] = "";
    int err;
    if (key->type == KEY_DURATION)
        err = units_duration(value, &number, hint);
    else if (key->type == KEY_SIZE)
        err = units_size(value, &number, hint);
    else if (key->type == KEY_BYTE_RATE)
        err = units_byte_rate(value, &number, hint);
    else
        err = units_integer(value, &number, hint);
    int64_t scale = key->scale > 1 ? key->scale : 1;
    if (err != 0 || number % scale != 0)
        return config_wrong(key, value, hint, f);
    if (in_range(key, (double)(number / scale), f) != 0)
        return WEIR_EINVAL;
    store_integer(key, number, field);
    return 0;
}

static int parse_real(const struct config_key *key, struct text value, void *field,
                      struct config_fault *f)
{
    double number;
    char hint[64] = "";
    int err = key->type == KEY_RATE ? units_rate(value, &number, hint)
                                    : units_number(value, &number, hint);
    if (err != 0)
        return config_wrong(key, value, hint, f);
    if (in_range(key, number, f) != 0)
        return WEIR_EINVAL;
    memcpy(field, &number, sizeof number);
    return 0;
}

static int parse_boolean(const struct config_key *key, struct text value, void *field,
                         struct config_fault *f)
{
    static const char *const yes[] = { "yes", "on", "True", "TRUE", "Yes", "1", "y" };
    static const char *const no[] = { "no", "off", "False", "FALSE", "No", "0", "n" };
    bool on = text_equal(value, text_of("true"));
    if (on || text_equal(value, text_of("false"))) {
        memcpy(field, &on, sizeof on);
        return 0;
    }
    const char *hint = "";
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (text_equal(value, text_of(yes[i])))
            hint = "true";
        if (text_equal(value, text_of(no[i])))
            hint = "false";
    }
    return config_wrong(key, value, hint, f);
}

static int parse_enum(const struct config_key *key, struct text value, void *field,
                      struct config_fault *f)
{
    char path[CONFIG_KEY_PATH_BYTES];
    struct text nearest = { 0 };
    uint32_t best = 3;
    for (uint32_t i = 0;; i++) {
        struct text choice = config_choice(key->choices, i);
        if (choice.bytes == 0)
            break;
        if (text_equal(choice, value)) {
            store_integer(key, i, field);
            return 0;
        }
        uint32_t distance = config_distance(choice, value);
        if (distance < best) {
            best = distance;
            nearest = choice;
        }
    }
    int shown = value.bytes > 60 ? 60 : (int)value.bytes;
    (void)snprintf(f->message, sizeof f->message, "`%s` can't be `%.*s`",
                   config_key_path(key, path), shown, value.at);
    char choices[CONFIG_SENTENCE_BYTES];
    config_print_choices(key->choices, choices, sizeof choices);
    fault_why(f, "it is one of: %s", choices);
    if (nearest.bytes > 0)
        fault_fix(f, "did you mean `%.*s`?", (int)nearest.bytes, nearest.at);
    return WEIR_EINVAL;
}

int config_parse(const struct config_key *key, struct text value, void *field,
                 struct config_fault *fault)
{
    fault->why[0] = fault->fix[0] = '\0';
    switch (key->type) {
    case KEY_DURATION:
    case KEY_SIZE:
    case KEY_BYTE_RATE:
    case KEY_PERCENT:
    case KEY_INTEGER:
        return parse_whole(key, value, field, fault);
    case KEY_RATE:
    case KEY_NUMBER:
        return parse_real(key, value, field, fault);
    case KEY_BOOLEAN:
        return parse_boolean(key, value, field, fault);
    case KEY_ENUM:
        return parse_enum(key, value, field, fault);
    case KEY_TEMPLATE:
    case KEY_URL:
    case KEY_WEB:
    case KEY_TEXT:
    case KEY_NAME:
    case KEY_PATTERN:
    case KEY_POINTER:
    case KEY_TOPIC:
    case KEY_PATH:
        return config_parse_text(key, value, field, fault);
    case KEY_MAP:
    case KEY_LIST:
    case KEY_FIELDS:
        break;
    }
    assert(key->type > KEY_FIELDS); /* maps and lists are walked, not parsed */
    return WEIR_EINVAL;
}

void config_print_value(const struct config_key *key, const void *field, char *to, size_t bytes)
{
    double number;
    switch (key->type) {
    case KEY_RATE:
    case KEY_NUMBER:
        memcpy(&number, field, sizeof number);
        config_print_number(key, number, to, bytes);
        return;
    case KEY_BOOLEAN:
        (void)snprintf(to, bytes, "%s", load_integer(key, field) != 0 ? "true" : "false");
        return;
    case KEY_ENUM: {
        struct text choice = config_choice(key->choices, (uint32_t)load_integer(key, field));
        (void)snprintf(to, bytes, "%.*s", (int)choice.bytes, choice.at);
        return;
    }
    case KEY_TEMPLATE:
        (void)snprintf(to, bytes, "%s", ((const struct topic_template *)field)->text);
        return;
    case KEY_URL:
    case KEY_WEB: {
        const struct config_broker *b = field;
        bool six = strchr(b->host, ':') != NULL;
        (void)snprintf(to, bytes, "%s%s://%s%s%s:%u", key->type == KEY_WEB ? "http" : "mqtt",
                       b->tls ? "s" : "", six ? "[" : "", b->host, six ? "]" : "", b->port);
        return;
    }
    case KEY_TEXT:
    case KEY_NAME:
    case KEY_PATTERN:
    case KEY_POINTER:
    case KEY_TOPIC:
    case KEY_PATH:
        (void)snprintf(to, bytes, "%s", (const char *)field);
        return;
    default:
        config_print_number(key, (double)load_integer(key, field), to, bytes);
    }
}
