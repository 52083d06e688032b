#include "firmware/cli/triage.h"

#include <stddef.h>
#include <string.h>

static const struct triage table[REJECT_REASON_END] = {
    [REJECT_TOPIC_MISMATCH] = {
        "a subscription with `#` or `+` takes more than it should, or a topic has over 256 bytes",
        "a template for this topic, or a narrower subscription", true },
    [REJECT_PAYLOAD_TOO_LARGE] = {
        "one message with many readings, or not telemetry at all",
        "raise `limits.payload`, or send smaller messages; what was cut off is gone", false },
    [REJECT_JSON_SYNTAX] = {
        "a device that sends bare text, an empty (deleted retained) message, or a cut-off one",
        "the device's firmware; or `payload: {value: \"\"}` where the text is a bare JSON value",
        false },
    [REJECT_JSON_TRAILING] = {
        "two objects in one message", "let the device send an array", false },
    [REJECT_JSON_DEPTH] = {
        "a deep structure around the values", "raise `limits.json_depth`", true },
    [REJECT_JSON_TOO_BIG] = {
        "many small members in one message", "raise `limits.json_arena`", true },
    [REJECT_JSON_DUPLICATE_KEY] = {
        "a device that writes a member twice; nobody can say which one it means",
        "the device's firmware", false },
    [REJECT_INVALID_UTF8] = {
        "text in Latin-1, or bytes that are no text", "the device's firmware", false },
    [REJECT_NUMBER_NOT_FINITE] = {
        "a sensor without a value, printed as `NaN` or `Infinity`",
        "let the device send no message while it has no value (`null` is `value_missing`); of "
        "`payload.metrics`, `null` in its place, or leave the metric out", false },
    [REJECT_NUMBER_TOO_LARGE] = {
        "a counter or a raw register that overflowed: beyond 1e140, or no double",
        "the device's firmware", false },
    [REJECT_VALUE_MISSING] = {
        "the pointer leads nowhere, or another kind of message comes on this topic",
        "`payload.value` or `payload.metrics`; a template of its own for the other kind", true },
    [REJECT_VALUE_TYPE] = {
        "the pointer ends one level too high, or a text has over 1 KiB",
        "`payload.value` or `payload.metrics`", true },
    [REJECT_TIME_INVALID] = {
        "another format than the configured one, or RFC 3339 without its zone (`Z`, `+01:00`)",
        "`payload.time_format`, or `payload.time`", true },
    [REJECT_SEQUENCE_INVALID] = {
        "the pointer leads to something else than the device's counter",
        "`payload.sequence`", true },
    [REJECT_UNIT_INVALID] = {
        "the pointer leads to something else than a unit", "`payload.unit`", true },
    [REJECT_NAME_INVALID] = {
        "a name that is empty, over 64 bytes, with `/`, `+`, `#` or control characters in it, "
        "with a space at an end, or (a device's) with `$` first",
        "the template, `payload.device` or `payload.metric`", true },
    [REJECT_TOO_MANY_READINGS] = {
        "a backlog sent as one message", "raise `limits.readings_per_message`", true },
    [REJECT_NO_READINGS] = {
        "an empty array or object: the device has nothing to say", "nothing; it is harmless",
        false },
    [REJECT_IDENTITY_MISMATCH] = {
        "a device that publishes for another", "look at it, and at the broker's access list",
        false },
    [REJECT_CONTRACT_TYPE] = {
        "the device or its contract has changed", "the contract, or the device", true },
    [REJECT_CONTRACT_UNIT] = {
        "the device or its contract has changed", "the contract, or the device", true },
    [REJECT_CONTRACT_RANGE] = {
        "a sensor that is broken or not connected, or a contract that is too narrow",
        "the sensor, or the contract's `min` and `max`", true },
    [REJECT_CONTRACT_REQUIRED] = {
        "a device that leaves a metric out now and then",
        "the device, or `required: false`", true },
    [REJECT_CONTRACT_UNKNOWN] = {
        "a device with a new metric", "add it to the contract, or `allow_unknown: true`", true },
    [REJECT_CONTRACT_VERSION] = {
        "the device was updated before the gateway, or its version is no whole number",
        "let the gateway's contract grow as well", true },
    [REJECT_TIME_FUTURE] = {
        "the device's clock is ahead; after three in an hour there is an alert (`device_clock`)",
        "the device's clock; `time: clamp`, or a larger `window.max_skew`", true },
    [REJECT_TIME_RANGE] = {
        "a device whose clock is unset, or seconds taken for milliseconds",
        "`payload.time_format`, or the device's clock; `time: arrival`", true },
    [REJECT_DEVICE_LIMIT] = {
        "more devices than reckoned with, or names that are no devices",
        "raise `limits.devices`, or mend the template", true },
    [REJECT_SERIES_LIMIT] = {
        "more metrics than reckoned with, or names that are no metrics",
        "raise `limits.series`, or mend the template", true },
    [REJECT_FIELD_TYPE] = {
        "a further field is an object, an array, or too long", "`payload.fields`", true },
    [REJECT_UPSTREAM_REFUSED] = {
        "not a reading: an entry that the cloud refused, or broke the connection over "
        "(event `outbox_poison`)",
        "the receiver; the entry stays here to be looked at", false },
};

const struct triage *triage_of(enum reject_reason reason)
{
    if (reason <= REJECT_NONE || reason >= REJECT_REASON_END || table[reason].cause == NULL)
        return NULL;
    return &table[reason];
}

enum reject_reason triage_reason(const char *name)
{
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++)
        if (strcmp(reject_name((enum reject_reason)i), name) == 0)
            return (enum reject_reason)i;
    return REJECT_NONE;
}
