/* config_schema_streams: the rows of the schema's table that are about streams. For config_schema.c
 * alone, which has the macros that they are written with. */
#ifndef FIRMWARE_CONFIG_SCHEMA_STREAMS_H
#define FIRMWARE_CONFIG_SCHEMA_STREAMS_H

#define KINDS_SLIDING (KIND(WINDOW_LAST) | KIND(WINDOW_SPAN))

#define STREAM_KEYS \
    { SECTION_STREAM, "name", KEY_NAME, FIELD(stream_config, name), .required = true, \
      .doc = "Names the stream in results; its state hangs on it." }, \
    { SECTION_STREAM, "where", KEY_TEXT, FIELD(stream_config, where), .fallback = "", \
      .doc = "An expression: readings of which it is true are taken. Empty: all." }, \
    { SECTION_STREAM, "key", KEY_LIST, FIELD(stream_config, key), .required = true, \
      .child = SECTION_STREAM_KEY, .count = offsetof(struct stream_config, key_count), \
      .items_max = STREAM_KEY_FIELDS_MAX, .scalar = "field", \
      .doc = "Fields by whose values readings are kept apart, such as [device, metric]." }, \
    { SECTION_STREAM, "inputs", KEY_LIST, FIELD(stream_config, inputs), \
      .child = SECTION_STREAM_INPUT, .count = offsetof(struct stream_config, input_count), \
      .items_max = STREAM_SOURCES_MAX, .scalar = "source", \
      .doc = "Names of the sources whose readings it takes; of each key the slowest of them that " \
             "is not idle moves its windows. Not given: all." }, \
    { SECTION_STREAM, "window", KEY_MAP, FIELD(stream_config, name), \
      .child = SECTION_STREAM_WINDOW, .doc = "What is put together." }, \
    { SECTION_STREAM, "aggregates", KEY_LIST, FIELD(stream_config, aggregates), \
      .child = SECTION_STREAM_AGGREGATE, \
      .count = offsetof(struct stream_config, aggregate_count), \
      .items_max = STREAM_AGGREGATES_MAX, .scalar = "of", \
      .doc = "What is told of a window. Not given: count, sum, mean, min, max of the value." }, \
    { SECTION_STREAM, "out_of_orderness", KEY_DURATION, \
      FIELD(stream_config, out_of_orderness_ms), 0, 1 * DAYS, .fallback = "2s", \
      .doc = "How far a key's watermark stays behind its newest reading." }, \
    { SECTION_STREAM, "lateness", KEY_DURATION, FIELD(stream_config, lateness_ms), 0, 30 * DAYS, \
      .fallback = "15s", .doc = "How long after it was told a window is still revised." }, \
    { SECTION_STREAM, "late", KEY_ENUM, FIELD(stream_config, late_out), .fallback = "count", \
      .choices = "count|side_output", \
      .doc = "A reading too late for a window is counted; side_output: and forwarded, as a " \
             "correction record." }, \
    { SECTION_STREAM, "idle", KEY_DURATION, FIELD(stream_config, idle_ms), 1 * SECONDS, 30 * DAYS, \
      .fallback = "30s", \
      .doc = "Without a reading for so long a key's windows that are over are told." }, \
    { SECTION_STREAM, "emit", KEY_ENUM, FIELD(stream_config, final_only), \
      .fallback = "revisions", .choices = "revisions|final", \
      .doc = "final: a window is told once, when its lateness has passed, for receivers that " \
             "can't revise." }, \
    { SECTION_STREAM, "early", KEY_DURATION, FIELD(stream_config, early_ms), 100, 1 * DAYS, \
      .zero_off = true, .fallback = "0", \
      .doc = "While readings come, windows that are open are told so often; 0: not." }, \
    { SECTION_STREAM, "derive", KEY_LIST, FIELD(stream_config, derived), \
      .child = SECTION_STREAM_DERIVED, .count = offsetof(struct stream_config, derived_count), \
      .items_max = STREAM_DERIVED_MAX, .doc = "Further values of each result." }, \
    { SECTION_STREAM, "rules", KEY_LIST, FIELD(stream_config, rules), \
      .child = SECTION_STREAM_RULE, .count = offsetof(struct stream_config, rule_count), \
      .items_max = STREAM_RULES_MAX, .doc = "Expressions over results that raise alerts." }, \
    { SECTION_STREAM, "keys", KEY_INTEGER, FIELD(stream_config, keys_max), 1, 1000000, \
      .fallback = "1000", .doc = "Keys kept at once; memory is set aside for all of them." }, \
    { SECTION_STREAM, "key_bytes", KEY_INTEGER, FIELD(stream_config, key_bytes), 16, \
      STREAM_KEY_BYTES_MAX, .fallback = "64", \
      .doc = "Room for a key: of each field its text and 3 bytes, or 10 bytes." }, \
    { SECTION_STREAM, "ttl", KEY_DURATION, FIELD(stream_config, ttl_ms), 1 * SECONDS, 3650 * DAYS, \
      .fallback = "1h", \
      .doc = "A key without a reading for so long is forgotten, when its windows are over; by " \
             "default at least after `idle` and `lateness`." }, \
    { SECTION_STREAM, "at_limit", KEY_ENUM, FIELD(stream_config, at_limit), .fallback = "refuse", \
      .choices = "refuse|evict", \
      .doc = "A key too many is refused, or the one longest without a reading gives way." }, \
    { SECTION_STREAM_KEY, "field", KEY_TEXT, FIELD(stream_name, name), .required = true, \
      .doc = "device, metric, unit, value, time, sequence, source, or a further field." }, \
    { SECTION_STREAM_INPUT, "source", KEY_NAME, FIELD(stream_name, name), .required = true, \
      .doc = "A source's name." }, \
    { SECTION_STREAM_WINDOW, "type", KEY_ENUM, FIELD(stream_config, window), \
      .fallback = "tumbling", .choices = "tumbling|hopping|session|sliding", \
      .doc = "tumbling: one behind another; hopping: one begins every `slide`; session: until " \
             "`gap` passes without a reading; sliding: one ends with each reading, and is told " \
             "when one that is `out_of_orderness` newer comes, or by `idle`." }, \
    { SECTION_STREAM_WINDOW, "gap", KEY_DURATION, FIELD(stream_config, gap_ms), 1, 30 * DAYS, \
      .zero_off = true, .fallback = "0", .kinds = KIND(WINDOW_SESSION), \
      .doc = "Event time without a reading that ends one." }, \
    { SECTION_STREAM_WINDOW, "max_length", KEY_DURATION, FIELD(stream_config, length_max_ms), 1, \
      366 * DAYS, .zero_off = true, .fallback = "0", .kinds = KIND(WINDOW_SESSION), \
      .doc = "From its first reading to its last, at most; 0: any." }, \
    { SECTION_STREAM_WINDOW, "sessions", KEY_INTEGER, FIELD(stream_config, sessions_max), 1, 1000, \
      .fallback = "4", .kinds = KIND(WINDOW_SESSION), \
      .doc = "Kept for a key at once; one too many tells the oldest early." }, \
    { SECTION_STREAM_WINDOW, "last", KEY_INTEGER, FIELD(stream_config, last_count), 1, \
      STREAM_LAST_MAX, .zero_off = true, .fallback = "0", .kinds = KINDS_SLIDING, \
      .doc = "The newest so many readings of a key; by default a result for each " \
             "reading. Either this or `span`." }, \
    { SECTION_STREAM_WINDOW, "span", KEY_DURATION, FIELD(stream_config, span_ms), 1, 366 * DAYS, \
      .zero_off = true, .fallback = "0", .kinds = KINDS_SLIDING, \
      .doc = "The readings of so much event time." }, \
    { SECTION_STREAM_WINDOW, "every", KEY_DURATION, FIELD(stream_config, every_ms), 1, 31 * DAYS, \
      .zero_off = true, .fallback = "0", .kinds = KINDS_SLIDING, \
      .doc = "At most one window ends in so much event time, at its end. 0: with `last` " \
             "one for each time of a reading; of `span` about a 60th of it." }, \
    { SECTION_STREAM_WINDOW, "readings", KEY_INTEGER, FIELD(stream_config, readings_max), 2, \
      STREAM_READINGS_MAX, .zero_off = true, .fallback = "0", .kinds = KINDS_SLIDING, \
      .doc = "With `last`: readings kept of a key; one too many tells its oldest windows " \
             "early. 0: 64 more than `last`." }, \
    { SECTION_STREAM_WINDOW, "size", KEY_DURATION, FIELD(stream_config, size_ms), 100, 366 * DAYS, \
      .fallback = "10s", .kinds = KIND(WINDOW_TUMBLING) | KIND(WINDOW_HOPPING), \
      .doc = "Event time in one window." }, \
    { SECTION_STREAM_WINDOW, "slide", KEY_DURATION, FIELD(stream_config, slide_ms), 100, \
      366 * DAYS, .zero_off = true, .fallback = "0", .kinds = KIND(WINDOW_HOPPING), \
      .doc = "Event time from one window's start to the next; 0: the size." }, \
    { SECTION_STREAM_WINDOW, "panes", KEY_INTEGER, FIELD(stream_config, panes_max), 1, \
      STREAM_PANES_MAX, .zero_off = true, .fallback = "0", \
      .kinds = KIND(WINDOW_TUMBLING) | KIND(WINDOW_HOPPING) | KIND(WINDOW_SPAN), \
      .doc = "Pieces of a window kept for a key; one too many tells the oldest early. 0: as many " \
             "as lateness needs; more, where a source may be behind the others for longer." }, \
    { SECTION_STREAM_AGGREGATE, "of", KEY_TEXT, FIELD(stream_aggregate_text, text), \
      .required = true, .doc = "Such as mean, or sum(amount) as spent." }, \
    { SECTION_STREAM_DERIVED, "name", KEY_TEXT, FIELD(stream_derived_config, name), \
      .required = true, .doc = "Its name in results: letters, digits and underscores." }, \
    { SECTION_STREAM_DERIVED, "of", KEY_TEXT, FIELD(stream_derived_config, of), \
      .required = true, .doc = "An expression over the aggregates, and what is derived before." }, \
    { SECTION_STREAM_RULE, "name", KEY_NAME, FIELD(stream_rule_config, name), .required = true, \
      .doc = "The rule's name, part of an alert's identity." }, \
    { SECTION_STREAM_RULE, "when", KEY_TEXT, FIELD(stream_rule_config, when), .required = true, \
      .doc = "An expression over a result: an alert while it is true." }, \
    { SECTION_STREAM_RULE, "on", KEY_ENUM, FIELD(stream_rule_config, on), .fallback = "close", \
      .choices = "close|reading|early", \
      .doc = "close: of windows that close; early: of what is told early; reading: after each " \
             "reading, of the fullest window that it is in." }, \
    { SECTION_STREAM_RULE, "observe", KEY_TEXT, FIELD(stream_rule_config, observe), \
      .fallback = "", .doc = "An expression: the number that the alert shows. Empty: 1." }, \
    { SECTION_STREAM_RULE, "for", KEY_DURATION, FIELD(stream_rule_config, alert.for_ms), 0, \
      1 * DAYS, .fallback = "0", .doc = "It must be true for so long before it is an alert." }, \
    { SECTION_STREAM_RULE, "clear_after", KEY_DURATION, \
      FIELD(stream_rule_config, alert.clear_after_ms), 0, 1 * DAYS, .fallback = "5s", \
      .doc = "And not be true for so long before the alert is cleared." }, \
    { SECTION_STREAM_RULE, "cooldown", KEY_DURATION, FIELD(stream_rule_config, alert.cooldown_ms), \
      0, 30 * DAYS, .fallback = "0", .doc = "No new alert of the rule and key for so long." }, \
    { SECTION_STREAM_RULE, "escalate_after", KEY_DURATION, \
      FIELD(stream_rule_config, alert.escalate_after_ms), 1 * SECONDS, 30 * DAYS, \
      .zero_off = true, .fallback = "1h", .doc = "A step of severity more after so long." }, \
    { SECTION_STREAM_RULE, "chatter", KEY_BOOLEAN, FIELD(stream_rule_config, alert.chatter), \
      .fallback = "true", .doc = "One that comes and goes is flagged, and cleared later." }, \
    { SECTION_STREAM_RULE, "severity", KEY_ENUM, FIELD(stream_rule_config, alert.severity), \
      .fallback = "warning", .choices = "info|warning|minor|major|critical", \
      .doc = "How bad it is." }

#define STORE_TABLE_KEYS \
    { SECTION_STORE, "table_share", KEY_PERCENT, FIELD(config, shares.table), 1, 90, \
      .zero_off = true, .fallback = "10", \
      .doc = "Of the journal's share, where there are streams: for their results, kept to be " \
             "asked for. 0: none are." }, \
    { SECTION_STORE, "table_age", KEY_DURATION, FIELD(config, store.table_age_max_ms), \
      1 * MINUTES, 3650 * DAYS, .fallback = "30d", \
      .doc = "Kept results that were told last longer ago are removed." }

#endif
