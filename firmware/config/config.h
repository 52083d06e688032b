/* config: what a YAML file says, checked, as one plain struct. The schema in config_schema.c is the
 * one table from which parsing, `weir check`, `weir config explain` and docs/configuration.md come.
 * Everything has a default; every default is in the table, those of detectors in theirs.
 * Pointers inside point into the struct itself: it is large (about 1.2 MiB, most of it untouched
 * and so without memory behind it), stands still, and is never copied. */
#ifndef FIRMWARE_CONFIG_H
#define FIRMWARE_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "hal/hal.h"
#include "pipeline/codec/codec_json.h"
#include "pipeline/codec/codec_json_redact.h"
#include "pipeline/contract.h"
#include "pipeline/engine/engine.h"
#include "pipeline/pressure/scale.h"
#include "pipeline/pressure/shed.h"
#include "pipeline/topic.h"
#include "storage/block.h"
#include "storage/store.h"

enum {
    CONFIG_SOURCES_MAX = 8,
    CONFIG_RULES_LISTED_MAX = 32, /* of the configuration; the usual ones come to them */
    CONFIG_TOPICS_MAX = 16,     /* a source */
    CONFIG_CONTRACTS_MAX = 8,
    CONFIG_IN_FLIGHT_MAX = 256, /* rows sent upstream and not yet acknowledged */
    CONFIG_PATH_BYTES_MAX = 255,
    CONFIG_FILE_BYTES_MAX = 64 * 1024
};

struct config_topic {           /* sources[].topics[] */
    struct topic_template template;
    struct json_mapping mapping; /* sources[].payload, or the topic's own */
};

struct config_broker {          /* how to reach a broker, for a source or the uplink */
    char host[CONFIG_PATH_BYTES_MAX + 1];
    uint16_t port;
    bool tls;                   /* the URL's scheme is mqtts */
    char client_id[129];        /* given, or made of the gateway's and the source's names */
    char username[129];
    char password_file[CONFIG_PATH_BYTES_MAX + 1]; /* secrets only by file, mode 0600 */
    char ca_file[CONFIG_PATH_BYTES_MAX + 1];
    char cert_file[CONFIG_PATH_BYTES_MAX + 1];
    char key_file[CONFIG_PATH_BYTES_MAX + 1];
    int64_t keepalive_ms;
    int64_t backoff_min_ms, backoff_max_ms;
};

enum source_priority { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH };
enum source_kind { SOURCE_BROKER, SOURCE_LISTENER, SOURCE_KINDS };

struct config_source {
    char name[READING_NAME_BYTES_MAX + 1];
    bool dials, listens;        /* `url` or `listen` was given: one of them */
    enum source_kind kind;      /* which */
    /* a listener: only where it listens (host, port, tls), and its own cert_file and key_file */
    struct config_broker broker;
    bool anonymous; /* a listener, as all until receive_maximum */
    char client_ca_file[CONFIG_PATH_BYTES_MAX + 1];
    char client_name[129]; /* "CN={device}", "DNS:..." or "URI:..." */
    bool plaintext_network;
    uint32_t connections_max;
    uint32_t connections_of_one; /* device that shows who it is */
    uint32_t rate_max, rate_of_one; /* messages a second, of all and of a connection; 0: any */
    uint32_t session_expiry_s;  /* at most; 0: no session outlives its connection */
    uint32_t receive_maximum;   /* messages in flight, unacknowledged; of a connection */
    enum source_priority priority;
    uint8_t qos;
    uint32_t topic_count;
    struct config_topic topics[CONFIG_TOPICS_MAX];
    char contract_name[READING_NAME_BYTES_MAX + 1];
    uint32_t pii_count;
    struct pii_field pii[PII_FIELDS_MAX];
    enum time_policy time_policy;
    struct json_mapping mapping; /* the default for its topics, copied into each */
    /* further fields of all its topics; in the journal each goes by its place here */
    uint32_t field_count;
    char field_names[READING_FIELDS_MAX][READING_NAME_BYTES_MAX + 1];
};

struct config_uplink {
    bool given;
    struct config_broker broker;
    /* {gateway} is filled in already; {lane} is left for the one who sends */
    char topic[CONFIG_PATH_BYTES_MAX + 1];         /* "weir/site-1/{lane}" */
    char receipt_topic[CONFIG_PATH_BYTES_MAX + 1]; /* "weir/site-1/receipt" */
    char replay_topic[CONFIG_PATH_BYTES_MAX + 1];  /* "weir/site-1/replay" */
    /* rows wait for the receiver's receipt, else for the broker's PUBACK */
    bool receipts;
    int64_t receipt_timeout_ms; /* sent but not covered for so long: sent again */
    uint32_t in_flight;         /* <= CONFIG_IN_FLIGHT_MAX */
    uint32_t refusals_max;      /* after so many an entry goes to the dead letters */
    uint32_t backlog_share_percent; /* of sends, at least, for the lanes behind alerts */
    uint64_t bytes_per_second;  /* cap; 0: none */
    bool raw;                   /* forward raw readings too */
    uint32_t corrections_per_minute; /* too late for their windows, forwarded; most */
};

struct config_http {            /* beside the socket */
    bool given;
    struct config_broker at;    /* only host, port, tls, cert_file and key_file */
    char token_file[CONFIG_PATH_BYTES_MAX + 1]; /* config/tokens.h */
};

/* percent of what the disk budget leaves beside the WAL and the ballast; the rest, at least
 * CONFIG_SPARE_PERCENT, holds checkpoints, indexes and half-filled pages */
enum { CONFIG_SPARE_PERCENT = 10 };
struct config_shares {
    uint32_t journal, alerts, results, raw, letters;
    uint32_t table; /* percent of the journal's own: kept results of streams, where there are any */
};

struct config_usual { /* the rules that watch every series */
    bool all;
    bool on[DETECTOR_KINDS];
    enum sensitivity sensitivity;
    bool clock;
};

struct config {
    char path[CONFIG_PATH_BYTES_MAX + 1];
    char gateway_name[READING_NAME_BYTES_MAX + 1];
    char data_dir[CONFIG_PATH_BYTES_MAX + 1];
    char store_path[CONFIG_PATH_BYTES_MAX + 16];   /* data_dir/weir.db */
    char socket_path[CONFIG_PATH_BYTES_MAX + 1];
    char updater_path[CONFIG_PATH_BYTES_MAX + 1];
    char pii_key_file[CONFIG_PATH_BYTES_MAX + 1];  /* empty: no source has `pii: hmac` */
    char board_file[CONFIG_PATH_BYTES_MAX + 1];    /* a board's hal.conf; empty: none */
    struct hal_board board;     /* what that file says; nothing, before it was read */
    char inventory_file[CONFIG_PATH_BYTES_MAX + 1];/* .csv or .json; empty: none */
    uint32_t inventory_max;      /* entries, and */
    uint32_t inventory_bytes;    /* derived: of the file, at most */
    /* clock.trust: system, where the kernel can't tell whether it is synced */
    bool clock_trusted;
    int64_t clock_wait_ms;
    uint32_t watchdog_s;        /* 0: off */
    uint32_t sessions_max;      /* of devices, kept between connections, of all listeners */
    uint32_t exchanges_max;     /* of them: QoS 2, not over */
    uint64_t memory_bytes_max;  /* refuses to start above */
    uint64_t reload_bytes;      /* set aside for what a reload may add */
    int64_t commit_max_age_ms;
    uint32_t commit_max_readings;
    int64_t commit_retry_for_ms;
    int64_t recovery_max_ms;
    double reject_rate_max;     /* rejects a minute above which an alert is raised */
    enum severity signal_severity; /* from here on an alert moves the relay and the LED */
    struct json_limits json;
    uint32_t json_arena_bytes;
    struct engine_config engine; /* rules and sources point below */
    struct shed_config shed;
    struct scale_config scale;
    struct store_config store;   /* its shares in bytes are worked out from `shares` */
    struct config_shares shares;
    struct block_limits block;   /* derived from commit_max_readings */
    struct config_uplink uplink;
    struct config_http http;
    uint32_t source_count;
    struct config_source sources[CONFIG_SOURCES_MAX];
    struct engine_source engine_sources[CONFIG_SOURCES_MAX];
    uint32_t contract_count;
    struct contract contracts[CONFIG_CONTRACTS_MAX];
    struct config_usual usual;
    uint32_t listed_count;       /* of `rules`, as `detectors` lists them; behind them the usual */
    uint32_t rule_count;
    struct detector_config rules[ENGINE_RULES_MAX];
    uint32_t stream_count;
    struct stream_config streams[STREAMS_MAX];
    struct stream_fields stream_fields;
    struct stream_plan stream_plans[STREAMS_MAX];
    uint8_t digest[32];          /* SHA-256 of the file */
    uint32_t text_bytes;
    char text[CONFIG_FILE_BYTES_MAX];
};

/* Read and check `path`: syntax and types, then contradictions between keys, then the files it
 * names (stage `environment`, only when the first two are clean). Every fault in one run goes to
 * `errors` (may be NULL), each with file:line:column, the line quoted with a caret, why and fix.
 * Returns the number of errors; 0: *config is good. Allocates nothing itself; libyaml's heap is
 * given back. *config may have been used before: it is cleared. */
int config_read(const char *path, struct config *config, FILE *errors);
/* For who only asks the gateway: 0 where config->socket_path is known, also of a file with faults,
 * of which one line tells then; else as config_read. */
int config_read_socket(const char *path, struct config *config, FILE *errors);

/* The same for text in memory, without the environment stage. `name` stands for the file in
 * messages. */
int config_read_text(const char *name, const char *text, size_t bytes, struct config *config,
                     FILE *errors);

/* A secret's file, at most bytes - 1, its trailing newline cut off: WEIR_EINVAL with a sentence in
 * `why` (256 bytes) when it can't be read, is empty or too long, or others may read it (mode wider
 * than 0600). */
int config_secret(const char *path, char *to, size_t bytes, char *why);
enum { CONFIG_PII_KEY_BYTES = 256, CONFIG_PII_KEY_LEAST = 32 }; /* its file, and what it holds */
/* The same for a file that anybody may read. */
int config_file(const char *path, char *to, size_t bytes, char *why);

/* The most that may be set aside: gateway.memory_max, or what the board allows, where that is
 * less. */
uint64_t config_memory_max(const struct config *config);
/* A memory budget, and what takes most of it, the most first. */
enum { CONFIG_COSTS_MAX = 4 };
struct config_cost {
    uint64_t bytes;
    char what[128];
    char lower[160]; /* the settings that make it less; empty: none does */
};
struct config_costs {
    uint64_t total_bytes;
    uint32_t count;
    struct config_cost most[CONFIG_COSTS_MAX];
};
/* Whether it stays within that; 0, or 1 with the sentences printed. */
int config_check_budget(const struct config *config, const struct config_costs *costs,
                        FILE *errors);

/* The contracts against those that the store accepted last, each by its name. 0 when all may
 * follow: `changed` has a bit for each that is new or newer. Else the number of errors, each
 * printed with what is incompatible, why, and the fix; or, negative, the store's. Changes nothing.
 */
int config_check_contracts(const struct config *config, struct store *store, FILE *errors,
                           uint32_t *changed);

/* What differs, a line each: "hot" where a running gateway may take it over, else "restart"; and
 * how many of each. `out` may be NULL. */
struct config_diff {
    uint32_t hot, cold;
};
struct config_diff config_print_diff(const struct config *before, const struct config *after,
                                     FILE *out);

/* What `weir check` prints behind the verdict: warnings, budget, promises. One line each. */
void config_print_warnings(const struct config *config, FILE *out); /* each "warning: ..." */
void config_print_broker(const struct config *config, FILE *out); /* mosquitto.conf for sources */
void config_print_disk(const struct config *config, FILE *out);   /* the disk budget by use */
void config_print_losses(const struct config *config, FILE *out); /* promise P7 */
/* What each stream costs. */
void config_print_streams(const struct config *config, FILE *out);
/* How many TCP connections a listener has room for: more than may connect, so that one too many is
 * told so. */
static inline uint32_t config_connection_places(const struct config_source *source)
{
    return source->connections_max + source->connections_max / 16 + 16;
}

/* Corrections that one reading may make: one for its own window, one for each stream. */
uint32_t config_corrections_max(const struct config *config);

static inline bool config_listens(const struct config *config)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_LISTENER)
            return true;
    return false;
}

/* The whole configuration as it applies, defaults included, as YAML or as JSON. */
void config_print_effective(const struct config *config, bool json, FILE *out);
/* `weir config explain KEY` (a dotted path, a section, or a key's bare name): 0, or WEIR_ENOTFOUND
 * with near names printed to `errors`. */
int config_explain(const char *key, FILE *out, FILE *errors);
/* docs/configuration.md, whole. */
void config_print_reference(FILE *out);

#endif
