/* config_parts: what the files of config share: the schema's rows, and the reader with its faults.
 * Nobody outside this folder, the two command lines over it and the tests includes this. */
#ifndef FIRMWARE_CONFIG_PARTS_H
#define FIRMWARE_CONFIG_PARTS_H

#include "firmware/config/config.h"

/* --- the schema -------------------------------------------------------------------------- */

enum config_section {
    SECTION_ROOT,
    SECTION_GATEWAY,
    SECTION_CLOCK,
    SECTION_LIMITS,
    SECTION_SOURCE,
    SECTION_PII,
    SECTION_TOPIC,
    SECTION_PAYLOAD,
    SECTION_CONTRACT,
    SECTION_METRIC,
    SECTION_WINDOW,
    SECTION_DEDUP,
    SECTION_LEARNING,
    SECTION_USUAL,
    SECTION_DETECTOR,
    SECTION_STREAM,
    SECTION_STREAM_KEY,
    SECTION_STREAM_INPUT,
    SECTION_STREAM_WINDOW,
    SECTION_STREAM_AGGREGATE,
    SECTION_STREAM_DERIVED,
    SECTION_STREAM_RULE,
    SECTION_COMMIT,
    SECTION_RECOVERY,
    SECTION_CHECKPOINT,
    SECTION_STORE,
    SECTION_SHED,
    SECTION_SCALE,
    SECTION_ALERTS,
    SECTION_INVENTORY,
    SECTION_UPLINK,
    SECTION_HTTP,
    SECTION_WATCHDOG,
    SECTIONS
};

enum config_type {
    KEY_MAP,
    KEY_LIST,      /* of `child` */
    KEY_FIELDS,    /* a map of any names to JSON pointers */
    KEY_DURATION,  /* milliseconds, divided by `scale` */
    KEY_SIZE,      /* bytes */
    KEY_RATE,      /* a minute, as a double */
    KEY_BYTE_RATE, /* bytes a second */
    KEY_PERCENT,
    KEY_INTEGER,
    KEY_NUMBER,
    KEY_BOOLEAN,
    KEY_ENUM, /* index into `choices` */
    KEY_TEXT,
    KEY_NAME,
    KEY_PATTERN,  /* at most one * */
    KEY_POINTER,  /* JSON pointer */
    KEY_TEMPLATE, /* struct topic_template */
    KEY_TOPIC,    /* to publish to or subscribe without wildcards */
    KEY_PATH,
    KEY_URL, /* the first fields of struct config_broker: host, port, tls */
    KEY_WEB  /* likewise, of our own HTTP */
};

struct config_key {
    enum config_section section;
    const char *name;
    enum config_type type;
    size_t offset, bytes; /* of the field in its section's struct */
    double min, max;      /* in the field's unit, before `scale`; both 0: no range */
    const char *fallback; /* the default, as it would be written; NULL: none */
    bool required;
    bool zero_off;             /* 0 is allowed below `min` and means off */
    size_t given;              /* offset of a bool that says whether the key was there; 0: none */
    uint32_t scale;            /* DURATION: milliseconds in the field's unit; 0 means 1 */
    enum config_section child; /* MAP, LIST */
    size_t count;              /* LIST: offset of its uint32_t count */
    uint32_t items_max;        /* LIST */
    const char *scalar;        /* LIST: an item that is a plain text gives this key of the child */
    const char *choices;       /* ENUM: "a|b|c" */
    uint32_t kinds; /* DETECTOR, SOURCE, STREAM_WINDOW: bit for each kind that uses it; 0: all */
    const char *doc;           /* one line */
};

struct config_section_doc {
    const char *path; /* "sources[].topics[]"; "" for the root */
    size_t bytes;     /* of its struct */
    const char *doc;
};

/* A stream's windows: by `type`, and what a sliding one goes by. */
enum window_kind {
    WINDOW_TUMBLING, WINDOW_HOPPING, WINDOW_SESSION, WINDOW_LAST, WINDOW_SPAN, WINDOW_KINDS
};

extern const struct config_key config_keys[];
extern const uint32_t config_key_count;
extern const struct config_section_doc config_sections[SECTIONS];

const struct config_key *config_key_find(enum config_section section, struct text name);
enum window_kind config_window_kind(const struct stream_config *stream);
/* Whether the kind of detector, source or window that `base` is has a use for this key of it. */
bool config_key_applies(const struct config_key *key, const void *base);
/* A kind of detector or window, or the key that makes a source one; NULL past the last. */
const char *config_kind_name(enum config_section section, uint32_t kind);
/* Whether `weir reload` takes a change of the section's keys over; else it needs a restart. */
bool config_section_is_hot(enum config_section section);
/* The same of one key, which may be hot where others of its section are not. */
bool config_key_is_hot(const struct config_key *key);
/* "sources[].url", as messages and the reference name it. Returns `to`. */
enum { CONFIG_KEY_PATH_BYTES = 96 };
const char *config_key_path(const struct config_key *key, char to[CONFIG_KEY_PATH_BYTES]);
/* Write a section's defaults, its maps included, its lists not. */
void config_defaults(enum config_section section, void *base);

/* --- values ------------------------------------------------------------------------------ */

enum { CONFIG_SENTENCE_BYTES = 240 };
struct config_fault {
    uint32_t line, column, width; /* from 1, in characters; line 0: the file as a whole */
    char message[CONFIG_SENTENCE_BYTES];
    char why[CONFIG_SENTENCE_BYTES];
    char fix[CONFIG_SENTENCE_BYTES];
};

/* Parse one value into its field. WEIR_EINVAL with message, why and fix: the field is unchanged. */
int config_parse(const struct config_key *key, struct text value, void *field,
                 struct config_fault *fault);
int config_parse_text(const struct config_key *key, struct text value, void *field,
                      struct config_fault *fault); /* config_text.c */
/* The value is not of the key's type, and says so; `hint`: what was probably meant, or NULL. */
int config_wrong(const struct config_key *key, struct text value, const char *hint,
                 struct config_fault *fault);
/* A field's value as one would write it. */
void config_print_value(const struct config_key *key, const void *field, char *to, size_t bytes);
/* A number in the unit of the key's type ("10s", "64MiB", "60/m"). */
void config_print_number(const struct config_key *key, double number, char *to, size_t bytes);
/* What a type looks like, for people: name, and one sentence. */
const char *config_type_name(enum config_type type);
const char *config_type_rule(enum config_type type);
/* The n-th of "a|b|c"; empty past the end. */
struct text config_choice(const char *choices, uint32_t n);
/* "a, b, c". */
void config_print_choices(const char *choices, char *to, size_t bytes);

/* Units (config_units.c). WEIR_EINVAL when it is no such quantity or not a whole number of the base
 * unit. `hint` (64 bytes) receives what was probably meant, or becomes empty. */
int units_duration(struct text text, int64_t *ms, char *hint);
int units_size(struct text text, int64_t *bytes, char *hint);
int units_rate(struct text text, double *per_minute, char *hint);
int units_byte_rate(struct text text, int64_t *bytes_per_second, char *hint);
int units_integer(struct text text, int64_t *number, char *hint);
int units_number(struct text text, double *number, char *hint);
void units_print_duration(int64_t ms, char *to, size_t bytes);
void units_print_size(uint64_t size_bytes, char *to, size_t bytes);
void units_print_number(double number, char *to, size_t bytes);

struct shown { /* as a value: it lives as long as the caller's full expression */
    char text[32];
};
struct shown shown_ms(int64_t ms); /* as units_print_duration */

/* --- the reader -------------------------------------------------------------------------- */

struct config_place { /* where in the file a field of struct config was written */
    const char *at;
    size_t bytes;
    bool leaf; /* a key's own value, not a map or an item around it */
    bool bad;  /* a fault about it was told already: contradictions with it are not */
    uint32_t line, column, width;
};

enum { CONFIG_PLACES_MAX = 2048, CONFIG_FAULTS_MAX = 64 };

struct config_part { /* lines of the text that come from a file of their own */
    char name[CONFIG_PATH_BYTES_MAX + 1];
    uint32_t line, lines; /* from 1, in the whole text */
    uint32_t indent;      /* that was put in front of them */
};

struct config_reader {
    const char *name; /* of the file */
    uint32_t part_count; /* in order of place */
    struct config_part parts[CONFIG_CONTRACTS_MAX];
    struct text text;
    struct config *config;
    uint32_t place_count; /* places past the maximum are not kept: their section's is named */
    struct config_place places[CONFIG_PLACES_MAX];
    uint32_t fault_count; /* may exceed the maximum: those are only counted */
    struct config_fault faults[CONFIG_FAULTS_MAX];
    struct config_fault nowhere;
    bool may_be_contract; /* the file may hold the keys of one contract instead */
    bool is_contract;     /* and does: it is config->contracts[0] */
};

/* A new fault at a line and column; its message by format. Then fault_why and fault_fix. */
struct config_fault *fault_new(struct config_reader *r, struct config_place place,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same at the place where the field's first byte was written, or the smallest thing around it
 * that was. What is about a place that is bad already goes nowhere. */
struct config_fault *fault_at(struct config_reader *r, const void *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a whole item or list: the smallest thing that holds all its bytes. */
struct config_fault *fault_on(struct config_reader *r, const void *field, size_t bytes,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A key that the section has not, with what was probably meant. */
void fault_unknown_key(struct config_reader *r, struct config_place place,
                       enum config_section section, struct text text);
void fault_why(struct config_fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fault_fix(struct config_fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether this field's own key was written in the file, as it should be. */
bool config_given(const struct config_reader *r, const void *field);
/* Whether it was written, and a fault about it was told already. */
bool config_is_bad(const struct config_reader *r, const void *field);

/* All faults in order of place, with the lines quoted. `out` may be NULL. */
void config_report(struct config_reader *r, FILE *out);
void config_report_json(struct config_reader *r, FILE *out);
/* A JSON string, quoted and escaped. */
void config_print_quoted(struct text text, FILE *out);

/* The stages. Each only adds faults. */
void config_walk(struct config_reader *r);   /* config_yaml.c */
void config_derive(struct config_reader *r); /* config_derive.c */
void config_check(struct config_reader *r);  /* config_check.c */
void config_check_contract_list(struct config_reader *r); /* config_check_contracts.c */
void config_check_pii(struct config_reader *r, const struct config_source *source);
void config_check_broker(struct config_reader *r, const struct config_broker *broker);
/* config_check_listener.c */
void config_check_kind(struct config_reader *r, const struct config_source *source);
void config_check_listener(struct config_reader *r, uint32_t index);
void config_check_http(struct config_reader *r);  /* config_check_http.c */
void config_check_rules(struct config_reader *r); /* config_check_out.c */
void config_check_uplink(struct config_reader *r);
void config_check_shed(struct config_reader *r); /* config_check_shed.c */
void config_derive_streams(struct config_reader *r); /* config_streams.c */
void config_check_streams(struct config_reader *r);
/* config_check_streams.c: what needs no compiling, and what does. False: a fault tells. */
bool config_check_stream(struct config_reader *r, const struct stream_config *stream);
bool config_check_names(struct config_reader *r, const struct stream_plan *plan);
void config_check_environment(struct config_reader *r); /* config_environment.c */
/* A line of the whole text, where it was written. */
struct config_origin {
    const char *name; /* of the file */
    uint32_t line, indent;
};
struct config_origin config_origin(const struct config_reader *r, uint32_t line);
/* Put the files that contracts name in their places; false: a fault tells. config_include.c */
bool config_include(struct config_reader *r);
void config_too_large(struct config_reader *r);
/* Read the file's text, and those that it takes in; false: a fault tells. */
bool config_load(struct config_reader *r, const char *path);
void config_stages(struct config_reader *r, bool environment);
/* config_read, with the faults kept in *r. */
void config_reader_run(struct config_reader *r, const char *path, struct config *config,
                       bool environment);

/* Likewise of a file that may hold one contract and no more: the keys of `contracts[]`. What it
 * names is not looked for. */
void config_reader_contracts(struct config_reader *r, const char *path, struct config *config);

/* The nearest of `count` names within two edits (one for short words); -1: none is near. */
uint32_t config_distance(struct text a, struct text b); /* edit distance, a swap counts once */
/* The nearest key of a section; NULL: none is near. */
const struct config_key *config_nearest(enum config_section section, struct text name);

/* A file in which a secret stands: 0, or WEIR_EINVAL with a sentence in `why` (256 bytes). */
int config_secret_open(const char *path, int *descriptor, char *why);
bool config_loopback(const char *host);

#endif
