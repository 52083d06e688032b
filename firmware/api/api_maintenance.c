/* api_maintenance: who is being worked on: the list, and what people make of it. */
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/err.h"

#define DEVICE_RULE \
    "a device has 1 to 64 bytes and no control characters; one * stands for any run of them, " \
    "alone for the whole gateway"

static bool is_plain(const char *text)
{
    uint32_t stars = 0;
    for (; *text != '\0'; text++) {
        stars += *text == '*';
        if ((unsigned char)*text < ' ' || *text == 127)
            return false;
    }
    return stars <= 1;
}

static bool answer_change(struct api *api, const struct api_request *r,
                          struct api_response *response, int error)
{
    char why[256];
    switch (error) {
    case WEIR_EINVAL:
        return api_fail(api, response, 400,
                        "until_ms is not in the future, or the reason is longer than 80 bytes");
    case WEIR_EFULL:
        (void)snprintf(why, sizeof why,
                       "%d are under way already; end one, or let one pattern stand for several",
                       MAINTENANCE_MAX);
        return api_fail(api, response, 409, why);
    case WEIR_ENOTFOUND:
        (void)snprintf(why, sizeof why, "there is no maintenance of \"%s\"", r->device);
        return api_fail(api, response, 404, why);
    default:
        return api_done(api, response, error);
    }
}

bool api_maintain(struct api *api, const struct api_request *r, int64_t mono_ms,
                  struct api_response *response)
{
    const struct maintenance_order order = { text_of(r->device), text_of(r->reason), r->until_ms };
    (void)mono_ms;
    if (r->device[0] == '\0' || !is_plain(r->device))
        return api_fail(api, response, 400, DEVICE_RULE);
    if (r->reason_too_long)
        return answer_change(api, r, response, WEIR_EINVAL);
    for (const char *c = r->reason; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return api_fail(api, response, 400, "a reason has no control characters");
    return answer_change(api, r, response, gateway_maintain(api->start.gateway, &order));
}

bool api_resume(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response)
{
    (void)mono_ms;
    return answer_change(api, r, response,
                         gateway_resume(api->start.gateway, text_of(r->device)));
}

bool api_list_maintenance(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    const struct maintenance *list;
    uint32_t count = engine_maintenance(view.engine, &list);
    (void)r, (void)mono_ms;
    json_object(&w);
    json_key(&w, "maintenance");
    json_array(&w);
    for (uint32_t i = 0; i < count; i++) {
        json_object(&w);
        json_put_string(&w, "device", list[i].device);
        json_put_time(&w, "since", list[i].since_ms);
        json_put_time(&w, "until", list[i].until_ms);
        json_put_string(&w, "reason", list[i].reason);
        json_object_end(&w);
    }
    json_array_end(&w);
    json_put_unsigned(&w, "devices", engine_devices_maintained(view.engine));
    json_object_end(&w);
    return api_give(response, &w);
}
