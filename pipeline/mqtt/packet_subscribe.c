#include <assert.h>

#include "pipeline/mqtt/packet_parts.h"

enum {
    OPTION_QOS = 3,
    OPTION_NO_LOCAL = 1 << 2,
    OPTION_RETAIN_AS_PUBLISHED = 1 << 3,
    OPTION_RETAIN_SHIFT = 4,
    OPTION_RESERVED_5 = 0xc0,
    OPTION_RESERVED_3_1_1 = 0xfc
};

static const char SHARE[] = "$share/";
enum { SHARE_BYTES = sizeof SHARE - 1 };

static bool is_shared(struct text filter)
{
    return filter.bytes >= SHARE_BYTES && memcmp(filter.at, SHARE, SHARE_BYTES) == 0;
}

static bool is_wildcard(char c)
{
    return c == '+' || c == '#';
}

/* A wildcard fills its level, and # is the last one. */
static enum mqtt_fault check_wildcards(struct text filter)
{
    for (uint32_t i = 0; i < filter.bytes; i++) {
        char c = filter.at[i];
        if (!is_wildcard(c))
            continue;
        bool is_first = i == 0 || filter.at[i - 1] == '/';
        bool is_last = i + 1 == filter.bytes;
        if (c == '#' && !(is_first && is_last))
            return MQTT_FAULT_FILTER_HASH;
        if (c == '+' && !(is_first && (is_last || filter.at[i + 1] == '/')))
            return MQTT_FAULT_FILTER_PLUS;
    }
    return MQTT_FAULT_NONE;
}

/* Bytes of "$share/NAME/", with a filter behind it; 0 and the fault: it is no such thing. */
static uint32_t share_bytes(struct text filter, enum mqtt_fault *fault)
{
    uint32_t end = SHARE_BYTES;
    while (end < filter.bytes && filter.at[end] != '/' && !is_wildcard(filter.at[end]))
        end++;
    if (end == SHARE_BYTES && (end == filter.bytes || filter.at[end] == '/')) {
        *fault = MQTT_FAULT_SHARE_NAME;
        return 0;
    }
    if (end + 1 >= filter.bytes || filter.at[end] != '/') {
        *fault = MQTT_FAULT_SHARE_FILTER;
        return 0;
    }
    return end + 1;
}

static void check_filter(struct wire *r, struct text filter, enum mqtt_version version)
{
    enum mqtt_fault fault = MQTT_FAULT_NONE;
    uint32_t shared = version == MQTT_5 && is_shared(filter) ? share_bytes(filter, &fault) : 0;
    if (fault == MQTT_FAULT_NONE)
        fault = check_wildcards((struct text){ filter.at + shared, filter.bytes - shared });
    if (fault != MQTT_FAULT_NONE)
        wire_fail(r, fault);
}

static void check_options(struct wire *r, uint8_t options, struct text filter,
                          enum mqtt_version version)
{
    uint8_t reserved = version == MQTT_5 ? OPTION_RESERVED_5 : OPTION_RESERVED_3_1_1;
    if ((options & reserved) != 0)
        wire_fail(r, MQTT_FAULT_FILTER_RESERVED);
    if ((options & OPTION_QOS) == OPTION_QOS)
        wire_fail(r, MQTT_FAULT_FILTER_QOS);
    if ((options >> OPTION_RETAIN_SHIFT & 3) == 3)
        wire_fail(r, MQTT_FAULT_FILTER_RETAIN);
    if ((options & OPTION_NO_LOCAL) != 0 && is_shared(filter))
        wire_fail(r, MQTT_FAULT_SHARE_NO_LOCAL);
}

static void read_filters(struct wire *r, enum mqtt_version version, struct mqtt_subscribe *to)
{
    to->filters.at = r->at + r->used;
    to->filters.bytes = r->bytes - r->used;
    while (r->fault == MQTT_FAULT_NONE && r->used < r->bytes) {
        struct text filter = wire_text(r);
        if (filter.bytes > 0)
            check_filter(r, filter, version);
        else
            wire_fail(r, MQTT_FAULT_TOPIC_EMPTY);
        if (to->filters.have_options)
            check_options(r, wire_u8(r), filter, version);
        if (++to->count > MQTT_FILTERS_MAX)
            wire_fail(r, MQTT_FAULT_TOO_MANY_FILTERS);
    }
}

void packet_read_subscribe(struct wire *r, enum mqtt_version version, struct mqtt_packet *packet)
{
    struct mqtt_subscribe *to = &packet->subscribe;
    bool subscribes = packet->type == MQTT_SUBSCRIBE;
    *to = (struct mqtt_subscribe){ .packet_id = packet_read_id(r),
                                   .filters = { .have_options = subscribes } };
    if (version == MQTT_5) {
        struct properties p = properties_begin(r, subscribes ? OWNER_SUBSCRIBE : OWNER_UNSUBSCRIBE);
        struct property property;
        while (properties_next(&p, &property)) {
            assert(property.id == MQTT_SUBSCRIPTION_ID);
            to->subscription_id = property.number;
            if (property.number == 0)
                wire_fail(r, MQTT_FAULT_SUBSCRIPTION_ID_ZERO);
        }
    }
    read_filters(r, version, to);
    if (to->count == 0)
        wire_fail(r,
                  subscribes ? MQTT_FAULT_NOTHING_TO_SUBSCRIBE : MQTT_FAULT_NOTHING_TO_UNSUBSCRIBE);
}

bool mqtt_filter_next(struct mqtt_filters *filters, struct mqtt_filter *filter)
{
    if (filters->bytes == 0)
        return false;
    struct wire r = { .at = filters->at, .bytes = filters->bytes };
    *filter = (struct mqtt_filter){ .filter = wire_binary(&r) };
    if (filters->have_options) {
        uint8_t options = wire_u8(&r);
        filter->is_shared = is_shared(filter->filter);
        filter->has_wildcard = (text_scan(filter->filter) & TEXT_HAS_WILDCARD) != 0;
        filter->qos = options & OPTION_QOS;
        filter->no_local = (options & OPTION_NO_LOCAL) != 0;
        filter->retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
        filter->retain_handling = options >> OPTION_RETAIN_SHIFT & 3;
    }
    assert(r.fault == MQTT_FAULT_NONE); /* they were checked when the packet was read */
    filters->at += r.used;
    filters->bytes -= r.used;
    return true;
}
