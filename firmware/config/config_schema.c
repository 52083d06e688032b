/* The one table: each key's type, unit, range, default and meaning. A row is one key. */
#include "firmware/config/config_parts.h"

#include "firmware/config/config_schema_alerts.h"
#include "firmware/config/config_schema_contracts.h"
#include "firmware/config/config_schema_streams.h"
#include "pipeline/detect/detector.h"
#include "pipeline/codec/envelope.h"

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

#define USUAL(key, kind, text) \
    { SECTION_USUAL, key, KEY_BOOLEAN, FIELD(config, usual.on[kind]), .fallback = "true", \
      .doc = text }

#define PART(key, part, text) \
    { SECTION_DETECTOR, key, KEY_BOOLEAN, FIELD(detector_config, parts.part), \
      .kinds = KIND(DETECTOR_BASELINE), .doc = text }

#define SHED(key, cause, level, at_type, least, most, usual, text) \
    { SECTION_SHED, key, at_type, FIELD(config, shed.over[cause][level]), least, most, \
      .zero_off = true, .fallback = usual, .doc = text }

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
    MAP("usual", SECTION_USUAL, config, path, "What every series is watched for."),
    { SECTION_ROOT, "detectors", KEY_LIST, FIELD(config, rules), .child = SECTION_DETECTOR,
      .count = offsetof(struct config, listed_count), .items_max = CONFIG_RULES_LISTED_MAX,
      .doc = "What is watched for besides." },
    { SECTION_ROOT, "streams", KEY_LIST, FIELD(config, streams), .child = SECTION_STREAM,
      .count = offsetof(struct config, stream_count), .items_max = STREAMS_MAX,
      .doc = "Readings put together by any key, into any windows." },
    MAP("commit", SECTION_COMMIT, config, path, "When readings are written and acknowledged."),
    MAP("recovery", SECTION_RECOVERY, config, path, "How fast a restart must be."),
    MAP("checkpoint", SECTION_CHECKPOINT, config, path, "States that are kept for replays."),
    MAP("store", SECTION_STORE, config, path, "The disk budget."),
    MAP("shed", SECTION_SHED, config, path, "What is left out under pressure."),
    MAP("scale", SECTION_SCALE, config, path, "How many gateways the load wants."),
    MAP("alerts", SECTION_ALERTS, config, path, "When alerts are worth calling somebody for."),
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
    { SECTION_GATEWAY, "pii_key", KEY_PATH, FIELD(config, pii_key_file), .fallback = "",
      .doc = "File that holds the key for `pii: hmac`, at least 32 characters, mode 0600." },
    { SECTION_GATEWAY, "memory_max", KEY_SIZE, FIELD(config, memory_bytes_max), 4 * MIB, 16 * GIB,
      .fallback = "96MiB", .doc = "Refuse to start when the memory budget is above this." },

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
      .fallback = "1000", .doc = "Sessions kept for devices; and devices that want receipts." },
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
    { SECTION_SOURCE, "client_ca", KEY_PATH, FIELD(config_source, client_ca_file), .fallback = "",
      .kinds = KIND(SOURCE_LISTENER),
      .doc = "Certificates (PEM) that may sign devices'; who shows one needs no password." },
    { SECTION_SOURCE, "client_name", KEY_TEXT, FIELD(config_source, client_name),
      .fallback = "CN={device}", .kinds = KIND(SOURCE_LISTENER),
      .doc = "Where in that the device's name is: CN=, or DNS: or URI: of its alternative names." },
    { SECTION_SOURCE, "plaintext_network", KEY_BOOLEAN, FIELD(config_source, plaintext_network),
      .fallback = "false", .kinds = KIND(SOURCE_LISTENER),
      .doc = "true: it may listen beyond this machine, where readings can be read and forged." },
    { SECTION_SOURCE, "connections", KEY_INTEGER, FIELD(config_source, connections_max), 1, 20000,
      .fallback = "200", .kinds = KIND(SOURCE_LISTENER),
      .doc = "Devices connected at once; a further one is refused. Each has memory set aside." },
    { SECTION_SOURCE, "connections_per_device", KEY_INTEGER,
      FIELD(config_source, connections_of_one), 1, 20000, .fallback = "4",
      .kinds = KIND(SOURCE_LISTENER),
      .doc = "Of them, at once, of one device by its credentials; and sessions, the newest." },
    { SECTION_SOURCE, "rate", KEY_INTEGER, FIELD(config_source, rate_max), 1, 1000000,
      .fallback = "0", .zero_off = true, .kinds = KIND(SOURCE_LISTENER),
      .doc = "Messages a second of all its devices; they are read no faster. 0: no limit." },
    { SECTION_SOURCE, "rate_per_connection", KEY_INTEGER, FIELD(config_source, rate_of_one), 1,
      1000000, .fallback = "0", .zero_off = true, .kinds = KIND(SOURCE_LISTENER),
      .doc = "Likewise of one connection; a second's worth may come at once." },
    { SECTION_SOURCE, "session_expiry", KEY_DURATION, FIELD(config_source, session_expiry_s), 1,
      30 * 86400, .fallback = "1d", .scale = 1000, .zero_off = true, .kinds = KIND(SOURCE_LISTENER),
      .doc = "How long a session is kept for a device that is away, at most; 0: not at all." },
    BROKER(SECTION_SOURCE, config_source, KIND(SOURCE_BROKER), 0),
    { SECTION_SOURCE, "receive_maximum", KEY_INTEGER, FIELD(config_source, receive_maximum), 1,
      65535, .fallback = "1000",
      .doc = "Messages that the broker, or a device, may send before one is acknowledged." },
    { SECTION_SOURCE, "priority", KEY_ENUM, FIELD(config_source, priority), .fallback = "normal",
      .choices = "low|normal|high",
      .doc = "Under pressure (shed level 3) a source of lower priority is read less, and who "
             "connects to it is told a smaller receive maximum." },
    { SECTION_SOURCE, "qos", KEY_INTEGER, FIELD(config_source, qos), 0, 1, .fallback = "1",
      .kinds = KIND(SOURCE_BROKER),
      .doc = "1: acknowledged after the commit; 0: may be lost in transit." },
    { SECTION_SOURCE, "time", KEY_ENUM, FIELD(config_source, time_policy), .fallback = "device",
      .choices = "device|arrival|clamp",
      .doc = "Event time: the device's, the arrival's, or the device's cut at max_skew ahead." },
    { SECTION_SOURCE, "contract", KEY_NAME, FIELD(config_source, contract_name), .fallback = "",
      .doc = "The contract that its readings follow; empty: none." },
    { SECTION_SOURCE, "pii", KEY_LIST, FIELD(config_source, pii), .child = SECTION_PII,
      .count = offsetof(struct config_source, pii_count), .items_max = PII_FIELDS_MAX,
      .scalar = "field", .doc = "Fields of its payloads that are nobody's business." },
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
      .fallback = "auto", .choices = "auto|s|ms|rfc3339",
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

    CONTRACT_KEYS,

    { SECTION_WINDOW, "size", KEY_DURATION, FIELD(config, engine.window.size_ms), 100, 1 * DAYS,
      .fallback = "10s", .doc = "Span of a tumbling window." },
    { SECTION_WINDOW, "lateness", KEY_DURATION, FIELD(config, engine.window.lateness_ms), 0,
      1 * DAYS, .fallback = "15s", .doc = "How long after it fired a window is still revised." },
    { SECTION_WINDOW, "late", KEY_ENUM, FIELD(config, engine.late_out), .fallback = "count",
      .choices = "count|side_output",
      .doc = "A reading that is too late is counted; side_output: and forwarded, as a "
             "correction record." },
    { SECTION_WINDOW, "out_of_orderness", KEY_DURATION, FIELD(config,
      engine.out_of_orderness_ms), 0, 1 * HOURS, .fallback = "2s",
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
      .fallback = "8", .doc = "Runs of sequence numbers remembered, a device." },
    { SECTION_DEDUP, "keep", KEY_INTEGER, FIELD(config, engine.dedup.keep), 0, 1024,
      .fallback = "24",
      .doc = "Readings without a sequence remembered, a device." },

    { SECTION_LEARNING, "readings", KEY_INTEGER, FIELD(config, engine.learning_readings), 0,
      1000000, .fallback = "300", .doc = "Readings of a new series." },
    { SECTION_LEARNING, "time", KEY_DURATION, FIELD(config, engine.learning_ms), 0, 30 * DAYS,
      .fallback = "1d", .doc = "Event time since its first." },

    { SECTION_USUAL, "all", KEY_BOOLEAN, FIELD(config, usual.all), .fallback = "true",
      .doc = "False: only what `detectors` lists." },
    USUAL("baseline", DETECTOR_BASELINE, "What is not usual at this hour."),
    { SECTION_USUAL, "sensitivity", KEY_ENUM, FIELD(config, usual.sensitivity),
      .choices = "high|normal|low", .fallback = "normal",
      .doc = "Of the baseline: high tells most, low least." },
    USUAL("stuck", DETECTOR_STUCK, "The same value for longer than ever."),
    USUAL("silent", DETECTOR_SILENT, "No reading for longer than usual."),
    USUAL("missing", DETECTOR_MISSING, "Fewer readings in an hour than usual."),
    USUAL("range", DETECTOR_RANGE, "Error codes, and what the unit does not allow."),
    USUAL("noise", DETECTOR_NOISE, "A signal that has lost its noise."),
    USUAL("counter", DETECTOR_COUNTER, "A counter that began again."),
    { SECTION_USUAL, "clock", KEY_BOOLEAN, FIELD(config, usual.clock), .fallback = "true",
      .doc = "Clocks of devices that are off by more than a minute; whatever `all` says." },

    { SECTION_DETECTOR, "type", KEY_ENUM, FIELD(detector_config, kind), .required = true,
      .choices = "limit|shift|spike|rate|stuck|silent|baseline|missing|range|noise|counter"
                 "|cycle|siblings",
      .doc = "The kind of anomaly." },
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
      .given = offsetof(struct detector_config, has_hysteresis), .kinds = KIND(DETECTOR_LIMIT),
      .doc = "How far inside the limit the anomaly ends. Not given: 2 % of the band, or of the "
             "one limit." },
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
    { SECTION_DETECTOR, "sensitivity", KEY_ENUM, FIELD(detector_config, sensitivity),
      .choices = "high|normal|low", .kinds = KIND(DETECTOR_BASELINE),
      .doc = "How easily it tells: high tells most, low least." },
    PART("seasons", seasons, "False: weekends are always apart, and no clock is put forward."),
    PART("pace", pace, "False: the same memories at every rate of readings."),
    PART("jump", jump, "False: a step within what the hour has seen is no spike."),
    PART("habit", habit, "False: patterns that were as odd before count in full."),
    { SECTION_DETECTOR, "off", KEY_BOOLEAN, FIELD(detector_config, off), .fallback = "false",
      .doc = "True: nothing of this type watches these series." },
    DELAY_KEYS,

    STREAM_KEYS,

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

    { SECTION_CHECKPOINT, "keep_daily", KEY_INTEGER, FIELD(config, store.daily_max), 1,
      STORE_DAILY_MAX, .zero_off = true, .fallback = "7",
      .doc = "One state a day is kept for so many days, for `weir replay --from`; where room is "
             "short they are the first to go. 0: none." },

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
    STORE_TABLE_KEYS,
    { SECTION_STORE, "sqlite_heap", KEY_SIZE, FIELD(config, store.sqlite_heap_bytes), 1 * MIB,
      256 * MIB, .fallback = "4MiB",
      .doc = "Memory of SQLite; above it a commit fails and is retried." },

    SHED("enrichment_lag", SHED_LAG, SHED_ENRICHMENT, KEY_DURATION, 100, 1 * HOURS, "2s",
         "A lag above this leaves enrichment out of alerts (level 1). In all of these, 0: never."),
    SHED("optional_lag", SHED_LAG, SHED_OPTIONAL, KEY_DURATION, 100, 1 * HOURS, "5s",
         "Above this raw readings, and results without an open alert, don't leave (level 2)."),
    SHED("sources_lag", SHED_LAG, SHED_SOURCES, KEY_DURATION, 100, 1 * HOURS, "10s",
         "Above this sources are read in smaller pieces, by their priority (level 3)."),
    SHED("qos0_lag", SHED_LAG, SHED_QOS0, KEY_DURATION, 100, 1 * HOURS, "30s",
         "Above this QoS 0 readings are dropped, and counted (level 4)."),
    SHED("enrichment_commit", SHED_COMMIT, SHED_ENRICHMENT, KEY_DURATION, 100, 1 * HOURS, "5s",
         "A commit that takes longer: level 1."),
    SHED("optional_commit", SHED_COMMIT, SHED_OPTIONAL, KEY_DURATION, 100, 1 * HOURS, "10s",
         "A commit that takes longer: level 2."),
    SHED("sources_commit", SHED_COMMIT, SHED_SOURCES, KEY_DURATION, 100, 1 * HOURS, "20s",
         "A commit that takes longer: level 3."),
    SHED("enrichment_outbox", SHED_OUTBOX, SHED_ENRICHMENT, KEY_PERCENT, 1, 100, "80",
         "A lane that takes more of its share of the disk: level 1."),
    SHED("optional_outbox", SHED_OUTBOX, SHED_OPTIONAL, KEY_PERCENT, 1, 100, "0",
         "The same, level 2. What that leaves out is newer than the rows that make room else."),
    SHED("enrichment_outbox_age", SHED_OUTBOX_AGE, SHED_ENRICHMENT, KEY_DURATION, 1 * SECONDS,
         30 * DAYS, "0", "A row that has waited longer to leave: level 1."),
    SHED("optional_outbox_age", SHED_OUTBOX_AGE, SHED_OPTIONAL, KEY_DURATION, 1 * SECONDS,
         30 * DAYS, "0", "A row that has waited longer to leave: level 2."),
    SHED("enrichment_memory", SHED_MEMORY, SHED_ENRICHMENT, KEY_PERCENT, 1, 1000, "105",
         "More memory than this part of what may be taken: level 1."),
    SHED("optional_memory", SHED_MEMORY, SHED_OPTIONAL, KEY_PERCENT, 1, 1000, "110",
         "More memory than this part of what may be taken: level 2."),
    SHED("sources_memory", SHED_MEMORY, SHED_SOURCES, KEY_PERCENT, 1, 1000, "120",
         "More memory than this part of what may be taken: level 3."),
    SHED("enrichment_loop", SHED_LOOP, SHED_ENRICHMENT, KEY_DURATION, 10, 1 * MINUTES, "500ms",
         "A turn of the loop that takes longer: level 1."),
    SHED("optional_loop", SHED_LOOP, SHED_OPTIONAL, KEY_DURATION, 10, 1 * MINUTES, "1s",
         "A turn of the loop that takes longer: level 2."),
    SHED("sources_loop", SHED_LOOP, SHED_SOURCES, KEY_DURATION, 10, 1 * MINUTES, "2s",
         "A turn of the loop that takes longer: level 3."),
    { SECTION_SHED, "enter", KEY_DURATION, FIELD(config, shed.enter_ms), 0, 1 * HOURS,
      .fallback = "2s", .doc = "It must last so long to enter the next level." },
    { SECTION_SHED, "leave", KEY_DURATION, FIELD(config, shed.leave_ms), 0, 1 * HOURS,
      .fallback = "5s", .doc = "All must be under half of theirs so long to leave one level." },
    { SECTION_SCALE, "headroom", KEY_PERCENT, FIELD(config, scale.headroom_percent), 0, 90,
      .fallback = "30", .doc = "Part of a gateway's capacity that is to stay unused." },
    { SECTION_SCALE, "up_for", KEY_DURATION, FIELD(config, scale.up_ms), 0, 1 * DAYS,
      .fallback = "2m", .doc = "More gateways must be wanted so long before that is told." },
    { SECTION_SCALE, "down_for", KEY_DURATION, FIELD(config, scale.down_ms), 0, 1 * DAYS,
      .fallback = "15m", .doc = "And fewer so long, with a tenth more of load." },
    ALERT_KEYS,
    { SECTION_INVENTORY, "file", KEY_PATH, FIELD(config, inventory_file), .fallback = "",
      .doc = "A .csv or .json file of devices, read again when it changes; empty: none." },
    { SECTION_INVENTORY, "entries_max", KEY_INTEGER, FIELD(config, inventory_max), 1, 16000,
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
      CONFIG_IN_FLIGHT_MAX, .fallback = "50", .doc = "Messages sent and not yet acknowledged." },
    { SECTION_UPLINK, "refusals_max", KEY_INTEGER, FIELD(config_uplink, refusals_max), 1, 1000,
      .fallback = "5", .doc = "An entry refused so often becomes a dead letter." },
    { SECTION_UPLINK, "backlog_share", KEY_PERCENT, FIELD(config_uplink,
      backlog_share_percent), 1, 90,
      .fallback = "20", .doc = "Least share of sends for what waits behind alerts." },
    { SECTION_UPLINK, "rate_max", KEY_BYTE_RATE, FIELD(config_uplink, bytes_per_second), 1 * KIB,
      1 * GIB, .zero_off = true, .fallback = "0", .doc = "Cap on what is sent; 0: none." },
    { SECTION_UPLINK, "corrections_per_minute", KEY_INTEGER, FIELD(config_uplink,
      corrections_per_minute), 1, 60000, .fallback = "600",
      .doc = "Readings that are too late and forwarded (`late: side_output`); more are counted." },
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
      .zero_off = true, .scale = 1000, .fallback = "2m",
      .doc = "The machine restarts when nothing moved for so long; 0: off." },
};

const uint32_t config_key_count = sizeof config_keys / sizeof config_keys[0];
