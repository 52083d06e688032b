#include "pipeline/codec/envelope.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "pipeline/codec/envelope_parts.h"

enum { SOURCE_BYTES = 64, ID_BYTES = 64, URI_BYTES = 64, SUBJECT_BYTES_MAX = 256 };

const char *lane_name(uint32_t lane)
{
    static const char names[3][8] = { "alerts", "results", "raw" };
    assert(lane < 3);
    return names[lane];
}

/* Every text below fits where it is printed: lanes, kinds and numbers are short. */
static void put_source(struct json_writer *w, const struct envelope *e, uint32_t lane)
{
    char source[SOURCE_BYTES];
    (void)snprintf(source, sizeof source, "urn:weir:%016" PRIx64 "%016" PRIx64 ":%s",
                   e->store_id.k0, e->store_id.k1, lane_name(lane));
    json_put_string(w, "source", source);
}

static void put_type(struct json_writer *w, const char *kind)
{
    char text[URI_BYTES];
    (void)snprintf(text, sizeof text, "dev.weir.%s.v1", kind);
    json_put_string(w, "type", text);
    (void)snprintf(text, sizeof text, "urn:weir:schema:%s.v1", kind);
    json_put_string(w, "dataschema", text);
}

/* CloudEvents has no integers of 64 bits: twenty digits, in the order of their text. */
static void put_sequence(struct json_writer *w, uint64_t sequence)
{
    char digits[21];
    (void)snprintf(digits, sizeof digits, "%020" PRIu64, sequence);
    json_put_string(w, "sequence", digits);
}

static void put_subject(struct json_writer *w, const struct text parts[2])
{
    char subject[SUBJECT_BYTES_MAX];
    uint32_t used = 0;
    for (int i = 0; i < 2; i++) {
        if (parts[i].bytes == 0)
            continue;
        assert(parts[i].bytes < SUBJECT_BYTES_MAX - 1 - used);
        if (used > 0)
            subject[used++] = '/';
        memcpy(subject + used, parts[i].at, parts[i].bytes);
        used += parts[i].bytes;
    }
    json_put_text(w, "subject", (struct text){ subject, used });
}

/* All that stands before the id. */
static void put_head(struct json_writer *w, const struct envelope *e, const char *kind,
                     uint32_t lane)
{
    json_object(w);
    json_put_string(w, "specversion", "1.0");
    put_type(w, kind);
    put_source(w, e, lane);
}

void envelope_attributes(struct json_writer *w, const struct envelope *e,
                         const struct envelope_attributes *attributes)
{
    put_head(w, e, attributes->kind, attributes->lane);
    json_put_string(w, "id", attributes->id);
    put_sequence(w, attributes->sequence);
    json_put_time(w, "time", attributes->time_ms);
    json_put_time(w, "recordedtime", attributes->recorded_ms);
    put_subject(w, attributes->subject);
    json_put_text(w, "partitionkey", attributes->subject[0]);
    json_put_string(w, "datacontenttype", "application/json");
}

void envelope_gateway(struct json_writer *w, const struct envelope *e)
{
    json_put_text(w, "gateway", e->gateway);
    json_put_text(w, "version", e->version);
    json_put_text(w, "config_digest", e->config_digest);
    json_put_string(w, "clock", clock_state_name(e->clock));
}

struct text envelope_gap(const struct envelope *e, uint32_t lane, uint64_t from_sequence,
                         uint64_t to_sequence, const char *reason, int64_t wall_ms, void *to,
                         size_t bytes)
{
    assert(from_sequence >= 1 && from_sequence <= to_sequence);
    char id[ID_BYTES];
    (void)snprintf(id, sizeof id, "gap.%" PRIu64 ".%" PRIu64, from_sequence, to_sequence);
    struct json_writer w = json_writer_over(to, bytes);
    const struct envelope_attributes attributes = {
        .kind = "gap", .id = id, .lane = lane, .sequence = to_sequence, .time_ms = wall_ms,
        .recorded_ms = wall_ms, .subject = { e->gateway },
    };
    envelope_attributes(&w, e, &attributes);
    json_key(&w, "data");
    json_object(&w);
    json_put_string(&w, "lane", lane_name(lane));
    json_put_unsigned(&w, "from", from_sequence);
    json_put_unsigned(&w, "to", to_sequence);
    json_put_string(&w, "reason", reason);
    envelope_gateway(&w, e);
    json_object_end(&w);
    json_object_end(&w);
    return json_done(&w);
}

struct text envelope_notice(const struct envelope *e, uint64_t sequence, const char *kind,
                            const struct notice *notice, int64_t wall_ms, void *to, size_t bytes)
{
    char id[ID_BYTES];
    (void)snprintf(id, sizeof id, "notice.%" PRIu64, sequence);
    struct json_writer w = json_writer_over(to, bytes);
    const struct envelope_attributes attributes = {
        .kind = "notice", .id = id, .lane = 0, .sequence = sequence, .time_ms = wall_ms,
        .recorded_ms = wall_ms, .subject = { e->gateway },
    };
    envelope_attributes(&w, e, &attributes);
    json_key(&w, "data");
    json_object(&w);
    json_put_string(&w, "kind", kind);
    json_put_string(&w, "message", notice->message);
    if (notice->cause != NULL) {
        json_put_string(&w, "cause", notice->cause);
    }
    json_key(&w, "facts");
    json_object(&w);
    for (uint32_t i = 0; i < notice->fact_count; i++) {
        json_put_number(&w, notice->facts[i].name, notice->facts[i].value);
    }
    json_object_end(&w);
    envelope_gateway(&w, e);
    json_object_end(&w);
    json_object_end(&w);
    return json_done(&w);
}

static bool is_ahead(const char *at, size_t bytes, size_t used, const char *word)
{
    size_t length = strlen(word);
    return bytes - used >= length && memcmp(at + used, word, length) == 0;
}

bool envelope_renumber(char *at, size_t bytes, const struct envelope_place *place)
{
    static const char before_id[] = ",\"id\":\"", behind_id[] = "\",\"sequence\":\"";
    char head[ENVELOPE_EVENT_BYTES_MAX], digits[21];
    struct json_writer w = json_writer_over(head, sizeof head);
    put_head(&w, &(struct envelope){ .store_id = place->store_id }, place->kind, place->lane);
    size_t used = w.out.used;
    if (bytes < used || memcmp(at, head, used) != 0 || !is_ahead(at, bytes, used, before_id))
        return false;
    for (used += sizeof before_id - 1; used < bytes && at[used] != '"'; used++)
        if (at[used] == '\\')
            return false;
    if (!is_ahead(at, bytes, used, behind_id))
        return false;
    used += sizeof behind_id - 1;
    (void)snprintf(digits, sizeof digits, "%020" PRIu64, place->sequence);
    if (bytes - used <= 20 || at[used + 20] != '"' || at[bytes - 1] != '}')
        return false;
    memcpy(at + used, digits, 20);
    return true;
}
