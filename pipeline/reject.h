/* reject: every reason for which a message or a reading is refused. The one list behind counters,
 * dead letters,
 * the journal, the command line and docs. Numbers are stored: never change or reuse one. */
#ifndef PIPELINE_REJECT_H
#define PIPELINE_REJECT_H

/* Each: name in C, number, name outside, what it says to an engineer. */
#define WEIR_REJECTS(X) \
    X(REJECT_TOPIC_MISMATCH, 1, "topic_mismatch", \
      "the topic fits no template of the source") \
    X(REJECT_PAYLOAD_TOO_LARGE, 2, "payload_too_large", \
      "the payload is over the source's limit") \
    X(REJECT_JSON_SYNTAX, 3, "json_syntax", \
      "the payload is not JSON") \
    X(REJECT_JSON_TRAILING, 4, "json_trailing", \
      "bytes follow the JSON value") \
    X(REJECT_JSON_DEPTH, 5, "json_depth", \
      "nested deeper than the limit") \
    X(REJECT_JSON_TOO_BIG, 6, "json_too_big", \
      "more JSON nodes than the decoder's memory holds") \
    X(REJECT_JSON_DUPLICATE_KEY, 7, "json_duplicate_key", \
      "an object has a key twice") \
    X(REJECT_INVALID_UTF8, 8, "invalid_utf8", \
      "the payload is not valid UTF-8") \
    X(REJECT_NUMBER_NOT_FINITE, 9, "number_not_finite", \
      "NaN or Infinity stands for a number") \
    X(REJECT_NUMBER_TOO_LARGE, 10, "number_too_large", \
      "a number is outside what Weir computes with") \
    X(REJECT_VALUE_MISSING, 11, "value_missing", \
      "there is no value where the source says it is") \
    X(REJECT_VALUE_TYPE, 12, "value_type", \
      "the value is neither number, boolean nor string") \
    X(REJECT_TIME_INVALID, 13, "time_invalid", \
      "the time cannot be read") \
    X(REJECT_SEQUENCE_INVALID, 14, "sequence_invalid", \
      "the sequence is not a whole number from 0, below 2^53") \
    X(REJECT_UNIT_INVALID, 15, "unit_invalid", \
      "the unit is not a string of at most 64 bytes") \
    X(REJECT_NAME_INVALID, 16, "name_invalid", \
      "a device or metric name is empty, too long, or has characters that may not be in it") \
    X(REJECT_TOO_MANY_READINGS, 17, "too_many_readings", \
      "more readings in one message than the limit") \
    X(REJECT_NO_READINGS, 18, "no_readings", \
      "the message holds no reading") \
    X(REJECT_IDENTITY_MISMATCH, 19, "identity_mismatch", \
      "connection, topic and payload name different devices") \
    X(REJECT_CONTRACT_TYPE, 20, "contract_type", \
      "a field's type is not the contract's") \
    X(REJECT_CONTRACT_UNIT, 21, "contract_unit", \
      "a unit is not the contract's") \
    X(REJECT_CONTRACT_RANGE, 22, "contract_range", \
      "a value is outside the contract's range") \
    X(REJECT_CONTRACT_REQUIRED, 23, "contract_required", \
      "a field that the contract requires is missing") \
    X(REJECT_CONTRACT_UNKNOWN, 24, "contract_unknown", \
      "the contract does not know this metric or field") \
    X(REJECT_CONTRACT_VERSION, 25, "contract_version", \
      "the message follows a newer version of the contract than the gateway's") \
    X(REJECT_TIME_FUTURE, 26, "time_future", \
      "the device's time is further ahead than max_skew") \
    X(REJECT_TIME_RANGE, 27, "time_range", \
      "the device's time is before 2000 or after 2200") \
    X(REJECT_DEVICE_LIMIT, 28, "device_limit", \
      "a new device over limits.devices") \
    X(REJECT_SERIES_LIMIT, 29, "series_limit", \
      "a new series over limits.series") \
    X(REJECT_FIELD_TYPE, 30, "field_type", \
      "a further field is an object, an array, or too long") \
    X(REJECT_UPSTREAM_REFUSED, 31, "upstream_refused", \
      "the cloud refused this entry, or broke the connection over it, too often")

enum reject_reason {
    REJECT_NONE = 0,
#define X(name, number, word, text) name = number,
    WEIR_REJECTS(X)
#undef X
    REJECT_REASON_END /* one past the largest */
};

/* The name outside ("json_syntax") and the sentence for it. "none" and "unknown" for what is not
 * listed. */
const char *reject_name(enum reject_reason reason);
const char *reject_text(enum reject_reason reason);

#endif
