/* api_backfill: what a replay made again, on its way to the outbox. One request at a time has the
 * buffer; it is answered when its items are on disk, or at once where they can't be taken now. */
#include <assert.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/err.h"

void api_body(struct api *api, const struct api_request *r, const char *at, size_t bytes)
{
    struct backfill *b = &api->backfill;
    bool bad = r->bad_argument || r->bad_name || r->bad_time || !r->post;
    if (bad || strcmp(r->path, API_BACKFILL_PATH) != 0)
        return; /* no other request has a body that means anything */
    if (b->request == 0)
        *b = (struct backfill){ .request = r->number, .bytes = b->bytes };
    if (b->request != r->number)
        return;
    b->too_large |= bytes > GATEWAY_BACKFILL_BYTES - b->used;
    if (b->too_large)
        return;
    memcpy(b->bytes + b->used, at, bytes);
    b->used += bytes;
}

static void let_go(struct backfill *b)
{
    *b = (struct backfill){ .bytes = b->bytes };
}

/* (u32 little-endian bytes, then so many)... Their number; 0: it is nothing of the kind. */
static uint32_t split(const struct backfill *b, struct text items[GATEWAY_BACKFILL_ROWS])
{
    struct byte_reader r = { b->bytes, b->used, 0, false };
    uint32_t count = 0;
    while (!b->too_large && r.used < r.bytes && count < GATEWAY_BACKFILL_ROWS) {
        uint32_t bytes = get_u32(&r);
        if (r.failed || bytes == 0 || bytes > r.bytes - r.used)
            return 0;
        items[count++] = (struct text){ (const char *)b->bytes + r.used, bytes };
        r.used += bytes;
    }
    return r.used == r.bytes ? count : 0;
}

static bool give_taken(struct api *api, struct api_response *response, uint32_t count)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_unsigned(&w, "taken", count);
    json_object_end(&w);
    return api_give(response, &w);
}

static bool refuse(struct api *api, struct api_response *response, int error)
{
    let_go(&api->backfill);
    if (error == WEIR_EAGAIN)
        return api_fail(api, response, 503, "not now: results wait to be sent, or the gateway is "
                                            "behind");
    return api_fail(api, response, 422,
                    error == WEIR_ENOTFOUND
                        ? "there is no uplink to tell anybody by"
                        : "that is nothing that this gateway's store has told: is the journal of "
                          "another store, or made by another version?");
}

bool api_take_backfill(struct api *api, const struct api_request *r, int64_t mono_ms,
                       struct api_response *response)
{
    struct backfill *b = &api->backfill;
    struct text items[GATEWAY_BACKFILL_ROWS];
    (void)mono_ms;
    if (b->request != r->number)
        return b->request != 0 ? api_fail(api, response, 409, "another backfill is under way")
                               : api_fail(api, response, 400, "a backfill has a body");
    if (b->count == 0) {
        uint32_t count = split(b, items);
        if (count == 0) {
            let_go(b);
            return api_fail(api, response, 400, "that is no backfill, or too much at once");
        }
        int error = gateway_backfill(api->start.gateway, items, count, &b->block);
        if (error != 0)
            return refuse(api, response, error);
        b->count = count;
    }
    if (gateway_view(api->start.gateway).block < b->block)
        return false;
    uint32_t count = b->count;
    let_go(b);
    return give_taken(api, response, count);
}
