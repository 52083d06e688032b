/* The one table: each key's type, unit, range, default and meaning. A row is one key. */
#include "firmware/config/config_parts.h"

#include "pipeline/detector.h"
#include "pipeline/envelope.h"

#define FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define MAP(name, of, at_type, at_field, text) \
    { SECTION_ROOT, name, KEY_MAP, FIELD(at_type, at_field), .child = of, .doc = text }
/* Durations and sizes in the base unit, for ranges. */
#define SECONDS 1e3
#define MINUTES 60e3
#define HOURS   3600e3
#define DAYS    86400e3
#define KIB     1024.0
#define MIB     (1024.0 * KIB)
#define GIB     (1024.0 * MIB)
#define KIND(kind) (1u << (kind))

const struct config_section_doc config_sections[SECTIONS] = {
    [SECTION_ROOT] = { "", sizeof(struct config), "The file as a whole." },
    [SECTION_GATEWAY] = { "gateway", sizeof(struct config), "The gateway itself." },
    [SECTION_CLOCK] = { "clock", sizeof(struct config), "How far the machine's clock is trusted." },
    [SECTION_LIMITS] = { "limits", sizeof(struct config),
                         "What the gateway has room for. Memory is set aside for all of it at "
                         "start." },
    [SECTION_SOURCE] = { "sources[]", sizeof(struct config_source),
                         "Where readings come from, at least one: a broker (`url`), or devices "
                         "that publish straight to us (`listen`)." },
    [SECTION_TOPIC] = { "sources[].topics[]", sizeof(struct config_topic),
                        "The topics to read. A plain text is a template that uses the "
                        "source's payload. A message that the broker retains is taken once, when "
                        "its session for us is new; later it is old news." },
    [SECTION_PAYLOAD] = { "sources[].payload", sizeof(struct json_mapping),
                          "Where in the JSON things are. A topic's own payload begins with "
                          "the source's." },
    [SECTION_CONTRACT] = { "contracts[]", sizeof(struct contract),
                           "What readings must look like; a source names the one it follows. "
                           "The store remembers each as it was last accepted. Under its name a "
                           "contract may only grow, by a greater version: a new optional metric, "
                           "a wider range, a unit no longer asked for. Any other change needs "
                           "another name; a start with it is refused." },
    [SECTION_METRIC] = { "contracts[].metrics[]", sizeof(struct contract_metric),
                         "The metrics of a contract." },
    [SECTION_WINDOW] = { "window", sizeof(struct config), "Windows and event time." },
    [SECTION_DEDUP] = { "dedup", sizeof(struct config), "How repeats are known." },
    [SECTION_LEARNING] = { "learning", sizeof(struct config),
                           "How long a new series' alerts are marked as learning. Both must "
                           "have passed." },
    [SECTION_DETECTOR] = { "detectors[]", sizeof(struct detector_config),
                           "What is watched for. Without this key: spike, shift, stuck and "
                           "silent on every series." },
    [SECTION_COMMIT] = { "commit", sizeof(struct config),
      "When readings are written and acknowledged." },
    [SECTION_RECOVERY] = { "recovery", sizeof(struct config), "How fast a restart must be." },
    [SECTION_STORE] = { "store", sizeof(struct config),
                        "The disk budget. Shares are percent of disk_max without wal_max and "
                        "ballast." },
    [SECTION_SHED] = { "shed", sizeof(struct config), "What is left out under pressure." },
    [SECTION_ALERTS] = { "alerts", sizeof(struct config), "Alerts about the gateway itself." },
    [SECTION_INVENTORY] = { "inventory", sizeof(struct config),
                            "What people know about devices, to enrich alerts with." },
    [SECTION_UPLINK] = { "uplink", sizeof(struct config_uplink),
                         "Where alerts and batches go. Without it everything stays here." },
    [SECTION_HTTP] = { "http", sizeof(struct config_http),
                       "HTTP beside the gateway's socket. On the loopback without TLS: metrics and "
                       "health alone. Anywhere with TLS: all that the command line asks, for those "
                       "who hold a token (`weir token`)." },
    [SECTION_WATCHDOG] = { "watchdog", sizeof(struct config), "The machine's watchdog." },
};

/* What sources and the uplink share: how to reach a broker. */
#define ADDRESS(type) offsetof(struct type, broker), offsetof(struct config_broker, client_id)
#define URL_DOC "The broker: mqtt://host:port (1883) or mqtts://host:port (8883)."
#define BROKER(section, type, of_kinds, own_kinds) \
    { section, "client_id", KEY_TEXT, FIELD(type, broker.client_id), .fallback = "", \
      .kinds = of_kinds, \
      .doc = "MQTT client id; the session hangs on it. Empty: made of the names." }, \
    { section, "username", KEY_TEXT, FIELD(type, broker.username), .fallback = "", \
      .kinds = of_kinds, .doc = "User name for the broker." }, \
    { section, "password_file", KEY_PATH, FIELD(type, broker.password_file), .fallback = "", \
      .kinds = of_kinds, .doc = "File that holds the password, mode 0600." }, \
    { section, "ca", KEY_PATH, FIELD(type, broker.ca_file), .fallback = "", \
      .kinds = of_kinds, \
      .doc = "Certificates (PEM) that may sign the broker's; needed with mqtts." }, \
    { section, "cert", KEY_PATH, FIELD(type, broker.cert_file), .fallback = "", \
      .kinds = own_kinds, \
      .doc = "Our own certificate (PEM): for mutual TLS, or to listen with." }, \
    { section, "key", KEY_PATH, FIELD(type, broker.key_file), .fallback = "", \
      .kinds = own_kinds, .doc = "Its private key (PEM), mode 0600." }, \
    { section, "keepalive", KEY_DURATION, FIELD(type, broker.keepalive_ms), 10 * SECONDS, \
      18 * HOURS, \
      .fallback = "60s", .kinds = of_kinds, \
      .doc = "A connection silent for 1.5 times as long is dead." }, \
    { section, "backoff_min", KEY_DURATION, FIELD(type, broker.backoff_min_ms), 100, 10 * MINUTES, \
      .fallback = "1s", .kinds = of_kinds, \
      .doc = "Least wait before connecting again; doubles, with jitter." }, \
    { section, "backoff_max", KEY_DURATION, FIELD(type, broker.backoff_max_ms), 100, 1 * HOURS, \
      .fallback = "60s", .kinds = of_kinds, \
      .doc = "Greatest wait before connecting again." }

const struct config_key config_keys[] = {
    MAP("gateway", SECTION_GATEWAY, config, path, "The gateway itself."),
    MAP("clock", SECTION_CLOCK, config, path, "How far the machine's clock is trusted."),
    MAP("limits", SECTION_LIMITS, config, path, "What the gateway has room for."),
    { SECTION_ROOT, "sources", KEY_LIST, FIELD(config, sources), .required = true,
      .child = SECTION_SOURCE, .count = offsetof(struct config, source_count),
      .items_max = CONFIG_SOURCES_MAX, .doc = "Where readings come from." },
    { SECTION_ROOT, "contracts", KEY_LIST, FIELD(config, contracts), .child = SECTION_CONTRACT,
      .count = offsetof(struct config, contract_count), .items_max = CONFIG_CONTRACTS_MAX,
      .doc = "What readings must look like." },
    MAP("window", SECTION_WINDOW, config, path, "Windows and event time."),
    MAP("dedup", SECTION_DEDUP, config, path, "How repeats are known."),
    MAP("learning", SECTION_LEARNING, config, path, "How long alerts are marked as learning."),
    { SECTION_ROOT, "detectors", KEY_LIST, FIELD(config, rules), .child = SECTION_DETECTOR,
      .count = offsetof(struct config, rule_count), .items_max = ENGINE_RULES_MAX,
      .given = offsetof(struct config, rules_given), .doc = "What is watched for." },
    MAP("commit", SECTION_COMMIT, config, path, "When readings are written and acknowledged."),
    MAP("recovery", SECTION_RECOVERY, config, path, "How fast a restart must be."),
    MAP("store", SECTION_STORE, config, path, "The disk budget."),
    MAP("shed", SECTION_SHED, config, path, "What is left out under pressure."),
    MAP("alerts", SECTION_ALERTS, config, path, "Alerts about the gateway itself."),
    MAP("inventory", SECTION_INVENTORY, config, path, "What people know about devices."),
    { SECTION_ROOT, "uplink", KEY_MAP, FIELD(config, uplink), .child = SECTION_UPLINK,
      .given = offsetof(struct config, uplink.given), .doc = "Where alerts and batches go." },
    { SECTION_ROOT, "http", KEY_MAP, FIELD(config, http), .child = SECTION_HTTP,
      .given = offsetof(struct config, http.given), .doc = "HTTP beside the gateway's socket." },
    MAP("watchdog", SECTION_WATCHDOG, config, path, "The machine's watchdog."),

    { SECTION_GATEWAY, "name", KEY_NAME, FIELD(config, gateway_name), .fallback = "weir",
      .doc = "Names this gateway to the cloud; unique among yours." },
    { SECTION_GATEWAY, "data_dir", KEY_PATH, FIELD(config, data_dir), .fallback = "/var/lib/weir",
      .doc = "Directory of the store, on a disk that honours flush." },
    { SECTION_GATEWAY, "socket", KEY_PATH, FIELD(config, socket_path),
      .fallback = "/run/weir/weir.sock",
      .doc = "Unix socket through which the command line talks to the daemon." },
    { SECTION_GATEWAY, "board", KEY_PATH, FIELD(config, board_file), .fallback = "",
      .doc = "The board's hal.conf (LED, relay, watchdog names, limits); empty: none." },
    { SECTION_GATEWAY, "memory_max", KEY_SIZE, FIELD(config, memory_bytes_max), 4 * MIB, 16 * GIB,
      .fallback = "64MiB", .doc = "Refuse to start when the memory budget is above this." },

    { SECTION_CLOCK, "trust", KEY_ENUM, FIELD(config, clock_trusted), .fallback = "kernel",
      .choices = "kernel|system",
      .doc = "kernel: synced when the kernel says so; system: always, where it can't tell." },
    { SECTION_CLOCK, "wait", KEY_DURATION, FIELD(config, clock_wait_ms), 0, 1 * DAYS,
      .fallback = "2m",
      .doc = "Wait so long for a synced clock before coarse time is used." },

    { SECTION_LIMITS, "devices", KEY_INTEGER, FIELD(config, engine.devices_max), 1, 100000,
      .fallback = "1000", .doc = "Devices; a further one's readings become dead letters." },
    { SECTION_LIMITS, "series", KEY_INTEGER, FIELD(config, engine.series_max), 1, 200000,
      .fallback = "2000", .doc = "Series, that is pairs of device and metric." },
    { SECTION_LIMITS, "payload", KEY_SIZE, FIELD(config, json.payload_bytes), 64, 256 * KIB,
      .fallback = "16KiB", .doc = "Bytes of one message." },
    { SECTION_LIMITS, "json_depth", KEY_INTEGER, FIELD(config, json.depth), 1, 32, .fallback = "8",
      .doc = "Nesting of a message." },
    { SECTION_LIMITS, "json_arena", KEY_SIZE, FIELD(config, json_arena_bytes), 16 * KIB, 16 * MIB,
      .fallback = "256KiB",
      .doc = "Memory for one decoded message, about 100 bytes a JSON value." },
    { SECTION_LIMITS, "readings_per_message", KEY_INTEGER, FIELD(config, json.readings), 1, 4096,
      .fallback = "256", .doc = "Readings in one message." },

    { SECTION_LIMITS, "sessions", KEY_INTEGER, FIELD(config, sessions_max), 1, 100000,
      .fallback = "1000",
      .doc = "Sessions of devices that publish to us, kept while they are away." },
    { SECTION_LIMITS, "exchanges", KEY_INTEGER, FIELD(config, exchanges_max), 1, 1000000,
      .fallback = "10000", .doc = "Messages at QoS 2 in those sessions that are not over." },

    { SECTION_SOURCE, "name", KEY_NAME, FIELD(config_source, name), .required = true,
      .doc = "Names the source in status, counters and dead letters." },
    { SECTION_SOURCE, "url", KEY_URL, ADDRESS(config_source),
      .given = offsetof(struct config_source, dials), .doc = URL_DOC },
    { SECTION_SOURCE, "listen", KEY_URL, ADDRESS(config_source),
      .given = offsetof(struct config_source, listens),
      .doc = "Instead of `url`: serve devices here, mqtts://0.0.0.0:8883. mqtt:// is not secret." },
    { SECTION_SOURCE, "anonymous", KEY_BOOLEAN, FIELD(config_source, anonymous),
      .fallback = "false", .kinds = KIND(SOURCE_LISTENER),
      .doc = "true: whoever reaches it may publish for any device; false: names and passwords." },
    { SECTION_SOURCE, "plaintext_network", KEY_BOOLEAN, FIELD(config_source, plaintext_network),
      .fallback = "false", .kinds = KIND(SOURCE_LISTENER),
      .doc = "true: it may listen beyond this machine, where readings can be read and forged." },
    { SECTION_SOURCE, "connections", KEY_INTEGER, FIELD(config_source, connections_max), 1, 20000,
      .fallback = "200", .kinds = KIND(SOURCE_LISTENER),
      .doc = "Devices connected at once; a further one is refused. Each has memory set aside." },
    { SECTION_SOURCE, "session_expiry", KEY_DURATION, FIELD(config_source, session_expiry_s), 1,
      30 * 86400, .fallback = "1d", .scale = 1000, .zero_off = true,
      .kinds = KIND(SOURCE_LISTENER),
      .doc = "How long a session is kept for a device that is away, at most; 0: not at all." },
    BROKER(SECTION_SOURCE, config_source, KIND(SOURCE_BROKER), 0),
    { SECTION_SOURCE, "receive_maximum", KEY_INTEGER, FIELD(config_source, receive_maximum), 1,
      65535,
      .fallback = "1000",
      .doc = "Messages that the broker, or a device, may send before one is acknowledged." },
    { SECTION_SOURCE, "qos", KEY_INTEGER, FIELD(config_source, qos), 0, 1, .fallback = "1",
      .kinds = KIND(SOURCE_BROKER),
      .doc = "1: acknowledged after the commit; 0: may be lost in transit." },
    { SECTION_SOURCE, "time", KEY_ENUM, FIELD(config_source, time_policy), .fallback = "device",
      .choices = "device|arrival|clamp",
      .doc = "Event time: the device's, the arrival's, or the device's cut at max_skew ahead." },
    { SECTION_SOURCE, "contract", KEY_NAME, FIELD(config_source, contract_name), .fallback = "",
      .doc = "The contract that its readings follow; empty: none." },
    { SECTION_SOURCE, "payload", KEY_MAP, FIELD(config_source, mapping), .child = SECTION_PAYLOAD,
      .doc = "Where in the JSON things are." },
    { SECTION_SOURCE, "topics", KEY_LIST, FIELD(config_source, topics), .required = true,
      .child = SECTION_TOPIC, .count = offsetof(struct config_source, topic_count),
      .items_max = CONFIG_TOPICS_MAX, .scalar = "template", .doc = "The topics to read." },

    { SECTION_TOPIC, "template", KEY_TEMPLATE, FIELD(config_topic, template), .required = true,
      .doc = "Topic with named parts: telemetry/{device}/{metric}; + is any level, # the rest." },
    { SECTION_TOPIC, "payload", KEY_MAP, FIELD(config_topic, mapping), .child = SECTION_PAYLOAD,
      .doc = "Where in this topic's JSON things are, as far as it differs from the source's." },

    { SECTION_PAYLOAD, "readings", KEY_POINTER, FIELD(json_mapping, readings), .fallback = "",
      .given = offsetof(struct json_mapping, readings_given),
      .doc = "An array of readings; \"\" is the whole message. Not given: the message is one." },
    { SECTION_PAYLOAD, "metrics", KEY_POINTER, FIELD(json_mapping, metrics), .fallback = "",
      .given = offsetof(struct json_mapping, metrics_given),
      .doc = "An object whose members are metrics; \"\" is the whole message. Instead of value." },
    { SECTION_PAYLOAD, "value", KEY_POINTER, FIELD(json_mapping, value), .fallback = "/value",
      .doc = "The value: number, boolean or string." },
    { SECTION_PAYLOAD, "time", KEY_POINTER, FIELD(json_mapping, time), .fallback = "/time",
      .doc = "The device's time; where it is absent, the arrival counts." },
    { SECTION_PAYLOAD, "time_format", KEY_ENUM, FIELD(json_mapping, time_format),
      .fallback = "auto",
      .choices = "auto|s|ms|rfc3339",
      .doc = "auto: a string is RFC 3339, a number from 1e11 on is milliseconds, else seconds." },
    { SECTION_PAYLOAD, "unit", KEY_POINTER, FIELD(json_mapping, unit), .fallback = "/unit",
      .doc = "The unit." },
    { SECTION_PAYLOAD, "sequence", KEY_POINTER, FIELD(json_mapping, sequence),
      .fallback = "/sequence",
      .doc = "The device's number for the message; by it repeats are known." },
    { SECTION_PAYLOAD, "version", KEY_POINTER, FIELD(json_mapping, version), .fallback = "",
      .doc = "The version of the contract that the message follows; not above the contract's." },
    { SECTION_PAYLOAD, "device", KEY_POINTER, FIELD(json_mapping, device), .fallback = "",
      .doc = "The device's name; must agree with the topic's." },
    { SECTION_PAYLOAD, "metric", KEY_POINTER, FIELD(json_mapping, metric), .fallback = "",
      .doc = "The metric's name, where the topic doesn't give it." },
    { SECTION_PAYLOAD, "fields", KEY_FIELDS, FIELD(json_mapping, field_names),
      .count = offsetof(struct json_mapping, field_count), .items_max = READING_FIELDS_MAX,
      .doc = "Further fields to keep with each reading: name: pointer." },

    { SECTION_CONTRACT, "name", KEY_NAME, FIELD(contract, name), .required = true,
      .doc = "The name by which sources refer to it." },
    { SECTION_CONTRACT, "version", KEY_INTEGER, FIELD(contract, version), 1, 1000000,
      .fallback = "1",
      .doc = "Grows with each change; results and alerts carry it." },
    { SECTION_CONTRACT, "allow_unknown", KEY_BOOLEAN, FIELD(contract, allow_unknown),
      .fallback = "false", .doc = "Whether metrics that are not listed are accepted." },
    { SECTION_CONTRACT, "metrics", KEY_LIST, FIELD(contract, metrics), .required = true,
      .child = SECTION_METRIC, .count = offsetof(struct contract, metric_count),
      .items_max = CONTRACT_METRICS_MAX, .doc = "The metrics of the contract." },

    { SECTION_METRIC, "name", KEY_TEXT, FIELD(contract_metric, name), .required = true,
      .doc = "The metric's name." },
    { SECTION_METRIC, "type", KEY_ENUM, FIELD(contract_metric, type), .fallback = "number",
      .choices = "number|boolean|text", .doc = "The type of its values." },
    { SECTION_METRIC, "unit", KEY_TEXT, FIELD(contract_metric, unit), .fallback = "",
      .doc = "A reading that names another unit is refused; empty: any." },
    { SECTION_METRIC, "min", KEY_NUMBER, FIELD(contract_metric, min),
      .given = offsetof(struct contract_metric, has_min), .doc = "Least value accepted." },
    { SECTION_METRIC, "max", KEY_NUMBER, FIELD(contract_metric, max),
      .given = offsetof(struct contract_metric, has_max), .doc = "Greatest value accepted." },
    { SECTION_METRIC, "required", KEY_BOOLEAN, FIELD(contract_metric, required),
      .fallback = "false",
      .doc = "Whether each message with several metrics must hold it." },

    { SECTION_WINDOW, "size", KEY_DURATION, FIELD(config, engine.window.size_ms), 100, 1 * DAYS,
      .fallback = "10s", .doc = "Span of a tumbling window." },
    { SECTION_WINDOW, "lateness", KEY_DURATION, FIELD(config, engine.window.lateness_ms), 0,
      1 * DAYS,
      .fallback = "15s", .doc = "How long after it fired a window is still revised." },
    { SECTION_WINDOW, "out_of_orderness", KEY_DURATION, FIELD(config,
      engine.out_of_orderness_ms), 0,
      1 * HOURS, .fallback = "2s",
      .doc = "How far the watermark stays behind the newest reading." },
    { SECTION_WINDOW, "idle", KEY_DURATION, FIELD(config, engine.idle_ms), 1 * SECONDS, 1 * DAYS,
      .fallback = "30s", .doc = "Without a reading for so long a series' windows close." },
    { SECTION_WINDOW, "slots", KEY_INTEGER, FIELD(config, engine.window.slots), 2, 64,
      .fallback = "3",
      .doc = "Windows open at once for a series; one too many closes the oldest early." },
    { SECTION_WINDOW, "reorder", KEY_DURATION, FIELD(config, engine.reorder_ms), 0, 10 * MINUTES,
      .fallback = "0", .doc = "Hold readings back so long to put them in order for detectors." },
    { SECTION_WINDOW, "reorder_slots", KEY_INTEGER, FIELD(config, engine.reorder_slots), 0, 256,
      .fallback = "16", .doc = "Readings held back at most, a series." },
    { SECTION_WINDOW, "max_skew", KEY_DURATION, FIELD(config, engine.max_skew_ms), 1 * SECONDS,
      1 * DAYS, .fallback = "5m", .doc = "How far ahead a device's clock may be." },
    { SECTION_WINDOW, "recent", KEY_INTEGER, FIELD(config, engine.recent), 0, ENVELOPE_RECENT_MAX,
      .fallback = "4", .doc = "Readings kept of a series, as context in its alerts." },

    { SECTION_DEDUP, "ranges", KEY_INTEGER, FIELD(config, engine.dedup.ranges), 1, 16,
      .fallback = "8",
      .doc = "Runs of sequence numbers remembered, a device." },
    { SECTION_DEDUP, "keep", KEY_INTEGER, FIELD(config, engine.dedup.keep), 0, 1024,
      .fallback = "24",
      .doc = "Readings without a sequence remembered, a device." },

    { SECTION_LEARNING, "readings", KEY_INTEGER, FIELD(config, engine.learning_readings), 0,
      1000000,
      .fallback = "200", .doc = "Readings of a new series." },
    { SECTION_LEARNING, "time", KEY_DURATION, FIELD(config, engine.learning_ms), 0, 30 * DAYS,
      .fallback = "20s", .doc = "Event time since its first." },

    { SECTION_DETECTOR, "type", KEY_ENUM, FIELD(detector_config, kind), .required = true,
      .choices = "limit|shift|spike|rate|stuck|silent", .doc = "The kind of anomaly." },
    { SECTION_DETECTOR, "name", KEY_NAME, FIELD(detector_config, name),
      .doc = "The rule's name, part of an alert's identity. Not given: its type." },
    { SECTION_DETECTOR, "device", KEY_PATTERN, FIELD(detector_config, device),
      .doc = "Devices it watches; one * stands for any run of characters." },
    { SECTION_DETECTOR, "metric", KEY_PATTERN, FIELD(detector_config, metric),
      .doc = "Metrics it watches; one * stands for any run of characters." },
    { SECTION_DETECTOR, "low", KEY_NUMBER, FIELD(detector_config, low),
      .given = offsetof(struct detector_config, has_low), .kinds = KIND(DETECTOR_LIMIT),
      .doc = "Anomalous below this, in the metric's unit." },
    { SECTION_DETECTOR, "high", KEY_NUMBER, FIELD(detector_config, high),
      .given = offsetof(struct detector_config, has_high), .kinds = KIND(DETECTOR_LIMIT),
      .doc = "Anomalous above this, in the metric's unit." },
    { SECTION_DETECTOR, "hysteresis", KEY_NUMBER, FIELD(detector_config, hysteresis), 0, 1e12,
      .kinds = KIND(DETECTOR_LIMIT), .doc = "How far inside the limit the anomaly ends." },
    { SECTION_DETECTOR, "threshold", KEY_NUMBER, FIELD(detector_config, threshold), 1, 1000,
      .kinds = KIND(DETECTOR_SPIKE) | KIND(DETECTOR_SHIFT),
      .doc = "Spike: robust deviations; shift: decision interval, in standard deviations." },
    { SECTION_DETECTOR, "drift", KEY_NUMBER, FIELD(detector_config, drift), 0, 100,
      .kinds = KIND(DETECTOR_SHIFT), .doc = "Change that is tolerated, in standard deviations." },
    { SECTION_DETECTOR, "per_second", KEY_NUMBER, FIELD(detector_config, per_second_max), 0, 1e12,
      .kinds = KIND(DETECTOR_RATE), .doc = "Greatest usual change a second, up or down." },
    { SECTION_DETECTOR, "readings", KEY_INTEGER, FIELD(detector_config, stuck_readings), 2, 1000000,
      .kinds = KIND(DETECTOR_STUCK), .doc = "Least run of equal values." },
    { SECTION_DETECTOR, "min_silence", KEY_DURATION, FIELD(detector_config, silent_min_ms), 100,
      30 * DAYS, .kinds = KIND(DETECTOR_SILENT), .doc = "Never silent before this." },
    { SECTION_DETECTOR, "intervals", KEY_NUMBER, FIELD(detector_config, silent_intervals), 1, 1000,
      .kinds = KIND(DETECTOR_SILENT), .doc = "Silent after so many of the series' own intervals." },
    { SECTION_DETECTOR, "for", KEY_DURATION, FIELD(detector_config, for_ms), 0, 1 * DAYS,
      .doc = "The anomaly must last so long before it is an alert." },
    { SECTION_DETECTOR, "clear_after", KEY_DURATION, FIELD(detector_config, clear_after_ms), 0,
      1 * DAYS, .doc = "And be gone so long before the alert is cleared." },
    { SECTION_DETECTOR, "cooldown", KEY_DURATION, FIELD(detector_config, cooldown_ms), 0, 30 * DAYS,
      .doc = "No new alert of this rule and series for so long after that." },
    { SECTION_DETECTOR, "severity", KEY_ENUM, FIELD(detector_config, severity),
      .choices = "info|warning|minor|major|critical", .doc = "How bad it is." },

    { SECTION_COMMIT, "max_age", KEY_DURATION, FIELD(config, commit_max_age_ms), 1, 1 * MINUTES,
      .fallback = "1s", .doc = "Oldest a reading may get before it is committed." },
    { SECTION_COMMIT, "max_readings", KEY_INTEGER, FIELD(config, commit_max_readings), 1, 50000,
      .fallback = "10000", .doc = "Readings in one commit." },
    { SECTION_COMMIT, "retry_for", KEY_DURATION, FIELD(config, commit_retry_for_ms), 1 * SECONDS,
      1 * HOURS, .fallback = "60s",
      .doc = "A commit that fails so long ends the process, unacknowledged; on a full disk it "
             "lets old raw readings make room instead." },
    { SECTION_RECOVERY, "max", KEY_DURATION, FIELD(config, recovery_max_ms), 100, 10 * MINUTES,
      .fallback = "2s", .doc = "Checkpoints are taken often enough for a restart within this." },

    { SECTION_STORE, "disk_max", KEY_SIZE, FIELD(config, store.disk_bytes_max), 8 * MIB, 1024 * GIB,
      .fallback = "256MiB", .doc = "Store, WAL and ballast together." },
    { SECTION_STORE, "wal_max", KEY_SIZE, FIELD(config, store.wal_bytes_max), 1 * MIB, 1 * GIB,
      .fallback = "16MiB", .doc = "SQLite's write-ahead log." },
    { SECTION_STORE, "ballast", KEY_SIZE, FIELD(config, store.ballast_bytes), 64 * KIB, 1 * GIB,
      .zero_off = true, .fallback = "4MiB",
      .doc = "Reserve that is given up when the disk is full; 0: none." },
    { SECTION_STORE, "journal_share", KEY_PERCENT, FIELD(config, shares.journal), 1, 90,
      .fallback = "50", .doc = "For raw readings." },
    { SECTION_STORE, "alerts_share", KEY_PERCENT, FIELD(config, shares.alerts), 1, 90,
      .fallback = "10",
      .doc = "For alerts on their way to the cloud." },
    { SECTION_STORE, "results_share", KEY_PERCENT, FIELD(config, shares.results), 1, 90,
      .fallback = "20", .doc = "For results on their way to the cloud." },
    { SECTION_STORE, "raw_share", KEY_PERCENT, FIELD(config, shares.raw), 1, 90, .fallback = "5",
      .doc = "For raw readings on their way to the cloud." },
    { SECTION_STORE, "letters_share", KEY_PERCENT, FIELD(config, shares.letters), 1, 90,
      .fallback = "5", .doc = "For dead letters." },
    { SECTION_STORE, "journal_age", KEY_DURATION, FIELD(config, store.journal_age_max_ms),
      1 * MINUTES, 3650 * DAYS, .fallback = "30d",
      .doc = "Raw readings older than this are removed." },
    { SECTION_STORE, "results_age", KEY_DURATION, FIELD(config,
      store.outbox_age_max_ms[LANE_RESULTS]), 1 * MINUTES, 3650 * DAYS, .fallback = "30d",
      .doc = "Results that were not taken for so long are removed; a gap event says so." },
    { SECTION_STORE, "raw_age", KEY_DURATION, FIELD(config,
      store.outbox_age_max_ms[LANE_RAW]), 1 * MINUTES, 3650 * DAYS, .fallback = "30d",
      .doc = "The same for raw readings to send. Alerts have no age." },
    { SECTION_STORE, "letters_age", KEY_DURATION, FIELD(config, store.letters_age_max_ms),
      1 * MINUTES, 3650 * DAYS, .fallback = "30d",
      .doc = "Dead letters older than this are removed." },
    { SECTION_STORE, "letters_max", KEY_INTEGER, FIELD(config, store.letters_max), 1, 1000000,
      .fallback = "10000", .doc = "Dead letters kept; the oldest goes first." },
    { SECTION_STORE, "sqlite_heap", KEY_SIZE, FIELD(config, store.sqlite_heap_bytes), 1 * MIB,
      256 * MIB, .fallback = "4MiB",
      .doc = "Memory of SQLite; above it a commit fails and is retried." },

    { SECTION_SHED, "enrichment_lag", KEY_DURATION, FIELD(config,
      shed.lag_ms[SHED_ENRICHMENT]), 100,
      1 * HOURS, .zero_off = true, .fallback = "2s",
      .doc = "A lag above this leaves enrichment out of alerts; 0: never." },
    { SECTION_SHED, "enter", KEY_DURATION, FIELD(config, shed.enter_ms), 0, 1 * HOURS,
      .fallback = "2s",
      .doc = "The lag must last so long." },
    { SECTION_SHED, "leave", KEY_DURATION, FIELD(config, shed.leave_ms), 0, 1 * HOURS,
      .fallback = "30s", .doc = "And be under half of it so long to end." },

    { SECTION_ALERTS, "reject_rate", KEY_RATE, FIELD(config, reject_rate_max), 0, 60e6,
      .fallback = "60/m", .doc = "More rejected readings than this raise an alert; 0: never." },
    { SECTION_ALERTS, "signal_severity", KEY_ENUM, FIELD(config, signal_severity),
      .fallback = "major", .choices = "info|warning|minor|major|critical",
      .doc = "Open alerts at least so bad turn the relay on and show on the LED." },
    { SECTION_INVENTORY, "file", KEY_PATH, FIELD(config, inventory_file), .fallback = "",
      .doc = "A .csv or .json file of devices, read again when it changes; empty: none." },
    { SECTION_INVENTORY, "entries_max", KEY_INTEGER, FIELD(config, inventory_max), 1, 20000,
      .fallback = "1000", .doc = "Devices in it at most." },

    { SECTION_UPLINK, "url", KEY_URL, ADDRESS(config_uplink), .required = true, .doc = URL_DOC },
    BROKER(SECTION_UPLINK, config_uplink, 0, 0),
    { SECTION_UPLINK, "topic", KEY_TOPIC, FIELD(config_uplink, topic),
      .fallback = "weir/{gateway}/{lane}",
      .doc = "Topic of what is sent; lane: alerts, results or raw." },
    { SECTION_UPLINK, "receipts", KEY_BOOLEAN, FIELD(config_uplink, receipts), .fallback = "false",
      .doc = "true: rows wait for the receiver's receipt; false: for the broker's PUBACK." },
    { SECTION_UPLINK, "receipt_topic", KEY_TOPIC, FIELD(config_uplink, receipt_topic),
      .fallback = "weir/{gateway}/receipt", .doc = "Where the receiver says what has arrived." },
    { SECTION_UPLINK, "replay_topic", KEY_TOPIC, FIELD(config_uplink, replay_topic),
      .fallback = "weir/{gateway}/replay", .doc = "Where the receiver asks for a range again." },
    { SECTION_UPLINK, "receipt_timeout", KEY_DURATION, FIELD(config_uplink, receipt_timeout_ms),
      1 * SECONDS, 1 * DAYS, .fallback = "60s",
      .doc = "Sent, but not covered for so long: sent again." },
    { SECTION_UPLINK, "in_flight", KEY_INTEGER, FIELD(config_uplink, in_flight), 1,
      CONFIG_IN_FLIGHT_MAX,
      .fallback = "50", .doc = "Messages sent and not yet acknowledged." },
    { SECTION_UPLINK, "refusals_max", KEY_INTEGER, FIELD(config_uplink, refusals_max), 1, 1000,
      .fallback = "5", .doc = "An entry refused so often becomes a dead letter." },
    { SECTION_UPLINK, "backlog_share", KEY_PERCENT, FIELD(config_uplink,
      backlog_share_percent), 1, 90,
      .fallback = "20", .doc = "Least share of sends for what waits behind alerts." },
    { SECTION_UPLINK, "rate_max", KEY_BYTE_RATE, FIELD(config_uplink, bytes_per_second), 1 * KIB,
      1 * GIB, .zero_off = true, .fallback = "0", .doc = "Cap on what is sent; 0: none." },
    { SECTION_UPLINK, "raw", KEY_BOOLEAN, FIELD(config_uplink, raw), .fallback = "false",
      .doc = "Send raw readings too; else all that retention removes counts as unforwarded." },

    { SECTION_HTTP, "listen", KEY_WEB, offsetof(struct config_http, at),
      offsetof(struct config_broker, client_id), .required = true,
      .doc = "Where: http://127.0.0.1:9464, or https:// with the three keys below." },
    { SECTION_HTTP, "cert", KEY_PATH, FIELD(config_http, at.cert_file), .fallback = "",
      .doc = "Our certificate and those between it and its authority (PEM)." },
    { SECTION_HTTP, "key", KEY_PATH, FIELD(config_http, at.key_file), .fallback = "",
      .doc = "Its private key (PEM), mode 0600." },
    { SECTION_HTTP, "tokens", KEY_PATH, FIELD(config_http, token_file), .fallback = "",
      .doc = "File of tokens, mode 0600; at least one each for viewer and engineer." },

    { SECTION_WATCHDOG, "timeout", KEY_DURATION, FIELD(config, watchdog_s), 5, 3600,
      .zero_off = true,
      .scale = 1000, .fallback = "2m",
      .doc = "The machine restarts when nothing moved for so long; 0: off." },
};

const uint32_t config_key_count = sizeof config_keys / sizeof config_keys[0];
