/* config: what a YAML file says, checked, as one plain struct. The schema in config_schema.c is the
 * one table from which parsing, `weir
 * check`, `weir config explain` and docs/configuration.md come. Everything has a default; every
 * default is in the table.
 * All pointers inside point into the struct itself or to its own arrays. */
#ifndef FIRMWARE_CONFIG_H
#define FIRMWARE_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "hal/hal.h"
#include "pipeline/codec_json.h"
#include "pipeline/contract.h"
#include "pipeline/engine.h"
#include "pipeline/shed.h"
#include "pipeline/topic.h"
#include "storage/block.h"
#include "storage/store.h"

enum {
    CONFIG_SOURCES_MAX = 8,
    CONFIG_TOPICS_MAX = 16,     /* a source */
    CONFIG_CONTRACTS_MAX = 8,
    CONFIG_PATH_BYTES_MAX = 255,
    CONFIG_FILE_BYTES_MAX = 256 * 1024
};

struct config_topic {           /* sources[].topics[] */
    struct topic_template template;
    struct json_mapping mapping; /* sources[].payload, or the topic's own */
};

struct config_broker {          /* how to reach a broker, for a source or the uplink */
    char host[CONFIG_PATH_BYTES_MAX + 1];
    uint16_t port;
    bool tls;                   /* the URL's scheme is mqtts */
    char client_id[65];
    char username[129];
    char password_file[CONFIG_PATH_BYTES_MAX + 1]; /* secrets only by file, mode 0600 */
    char ca_file[CONFIG_PATH_BYTES_MAX + 1];
    char cert_file[CONFIG_PATH_BYTES_MAX + 1];
    char key_file[CONFIG_PATH_BYTES_MAX + 1];
    int64_t keepalive_ms;
    int64_t backoff_min_ms, backoff_max_ms;
};

struct config_source {
    char name[READING_NAME_BYTES_MAX + 1];
    struct config_broker broker;
    uint32_t receive_maximum;   /* messages in flight, unacknowledged */
    uint8_t qos;
    uint32_t topic_count;
    struct config_topic topics[CONFIG_TOPICS_MAX];
    char contract_name[READING_NAME_BYTES_MAX + 1];
};

struct config_uplink {
    bool given;
    struct config_broker broker;
    char topic[CONFIG_PATH_BYTES_MAX + 1];         /* "weir/{gateway}/{lane}" */
    char receipt_topic[CONFIG_PATH_BYTES_MAX + 1]; /* "weir/{gateway}/receipt" */
    char replay_topic[CONFIG_PATH_BYTES_MAX + 1];  /* "weir/{gateway}/replay" */
    /* rows wait for the receiver's receipt, else for the broker's PUBACK */
    bool receipts;
    int64_t receipt_timeout_ms; /* sent but not covered for so long: sent again */
    uint32_t in_flight;
    uint32_t refusals_max;      /* after so many an entry goes to the dead letters */
    uint32_t backlog_share_percent; /* of sends, at least, for the lanes behind alerts */
    uint64_t bytes_per_second;  /* cap; 0: none */
    bool raw;                   /* forward raw readings too */
};

struct config {
    char path[CONFIG_PATH_BYTES_MAX + 1];
    char gateway_name[READING_NAME_BYTES_MAX + 1];
    char data_dir[CONFIG_PATH_BYTES_MAX + 1];
    char socket_path[CONFIG_PATH_BYTES_MAX + 1];
    char board_file[CONFIG_PATH_BYTES_MAX + 1];    /* a board's hal.conf; empty: none */
    char inventory_file[CONFIG_PATH_BYTES_MAX + 1];/* .csv or .json; empty: none */
    uint32_t inventory_max;
    /* clock.trust: system, where the kernel can't tell whether it is synced */
    bool clock_trusted;
    int64_t clock_wait_ms;
    uint32_t watchdog_s;        /* 0: off */
    uint64_t memory_bytes_max;  /* refuses to start above */
    int64_t commit_max_age_ms;
    uint32_t commit_max_readings;
    int64_t commit_retry_for_ms;
    int64_t recovery_max_ms;
    double reject_rate_max;     /* rejects a minute above which an alert is raised */
    struct json_limits json;
    uint32_t json_arena_bytes;
    struct engine_config engine; /* rules and sources point below */
    struct shed_config shed;
    struct store_config store;
    struct block_limits block;   /* derived from commit_max_readings */
    struct config_uplink uplink;
    uint32_t source_count;
    struct config_source sources[CONFIG_SOURCES_MAX];
    struct engine_source engine_sources[CONFIG_SOURCES_MAX];
    uint32_t contract_count;
    struct contract contracts[CONFIG_CONTRACTS_MAX];
    uint32_t rule_count;
    struct detector_config rules[ENGINE_RULES_MAX];
    uint8_t digest[32];          /* SHA-256 of the file */
    uint32_t text_bytes;
    char text[CONFIG_FILE_BYTES_MAX];
};

/* Read and check `path`. Every fault in one run goes to `errors` (may be NULL), each with
 * file:line:column, the line quoted
 * with a caret, why and the fix. Returns the number of errors; 0: *config is good. Runs before the
 * heap is sealed. */
int config_read(const char *path, struct config *config, FILE *errors);

/* A secret's file: WEIR_EINVAL with a sentence in `why` (256 bytes) when others may read it (mode
 * wider than 0600). */
int config_secret(const char *path, char *to, size_t bytes, char *why);

/* What `weir check` prints behind the verdict: warnings, budget, promises. */
void config_print_warnings(const struct config *config, FILE *out);
void config_print_losses(const struct config *config, FILE *out); /* promise P7 */
/* `weir config explain KEY` (a dotted path, or a part of one): 0, or WEIR_ENOTFOUND with near names
 * printed. */
int config_explain(const char *key, FILE *out);
/* docs/configuration.md, whole. */
void config_print_reference(FILE *out);

#endif
