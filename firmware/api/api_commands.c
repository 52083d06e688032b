/* api_commands: commands to devices: sent now or not at all, and at QoS 1 answered with the
 * device's own word. */
#include <stdio.h>

#include "firmware/api/api_state.h"

enum { WAIT_MS_MAX = 60000 };

static bool refuse(struct api *api, const struct api_request *r, enum command_fate fate,
                   struct api_response *response)
{
    static const struct {
        uint32_t status;
        const char *why; /* with the device's name */
    } words[] = {
        [COMMAND_NOT_CONNECTED] = { 404, "%s is not connected; no command waits for a device" },
        [COMMAND_NOT_SUBSCRIBED] = { 409, "%s is not subscribed to its commands" },
        [COMMAND_AT_QOS_0] = { 409, "%s is subscribed at QoS 0, at which it acknowledges nothing" },
        [COMMAND_TOO_LARGE] = { 413, "%s takes no message as large as that" },
        [COMMAND_NOT_NOW] = { 503, "%s has not acknowledged the last command, or does not read" },
    };
    char why[256];
    (void)snprintf(why, sizeof why, words[fate].why, r->device);
    return api_fail(api, response, words[fate].status, why);
}

static bool tell(struct api *api, const struct api_request *r, uint32_t acknowledged,
                 struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_string(&w, "device", r->device);
    json_put_unsigned(&w, "qos", r->qos);
    json_put_unsigned(&w, "acknowledged", acknowledged); /* connections */
    json_object_end(&w);
    return api_give(response, &w);
}

static struct waiting_command *find(struct api *api, uint64_t request)
{
    for (uint32_t i = 0; i < LISTENER_COMMANDS; i++)
        if (api->commands[i].request == request)
            return &api->commands[i];
    return NULL;
}

void api_forget_command(struct api *api, uint64_t request)
{
    struct waiting_command *waiting = find(api, request);
    if (waiting == NULL)
        return;
    listener_command_end(waiting->listener, waiting->number);
    waiting->request = 0;
}

/* What became of one that was sent at QoS 1. */
static bool follow(struct api *api, const struct api_request *r, int64_t mono_ms,
                   struct api_response *response)
{
    const struct waiting_command *waiting = find(api, r->number);
    struct command_progress p = listener_command_progress(waiting->listener, waiting->number);
    bool over = p.sent == p.acknowledged + p.refused + p.lost;
    if (!over && mono_ms - r->began_ms < r->wait_ms)
        return false;
    api_forget_command(api, r->number);
    if (over && p.acknowledged > 0)
        return tell(api, r, p.acknowledged, response);
    if (over && p.refused > 0)
        return api_fail(api, response, 409, "the device refused it");
    return api_fail(api, response, 504,
                    over ? "its connection ended before it acknowledged; it may have it"
                         : "it did not acknowledge in time; it may have it all the same");
}

static const char *check(const struct api_request *r)
{
    if (r->device[0] == '\0' || !r->has_payload)
        return "want ?device= and payload_hex=";
    if (r->qos > 1)
        return "want qos 0 or 1";
    return r->wait_ms > WAIT_MS_MAX ? "wait_ms is at most 60000" : NULL;
}

/* The first free place stands for the request; NULL: too many wait. */
static bool send(struct api *api, const struct api_request *r, struct api_response *response)
{
    const struct command command = { .device = text_of(r->device),
                                     .payload = { (const char *)r->payload, r->payload_bytes },
                                     .qos = (uint8_t)r->qos };
    struct waiting_command *waiting = find(api, 0);
    enum command_fate fate = COMMAND_NOT_CONNECTED;
    if (waiting == NULL)
        return api_fail(api, response, 503, "too many commands wait for their devices");
    for (uint32_t i = 0; i < api->config->source_count && fate != COMMAND_SENT; i++) {
        struct listener *listener = api->start.listeners[i];
        uint64_t number;
        enum command_fate one = listener == NULL ? COMMAND_NOT_CONNECTED
                                                 : listener_command(listener, &command, &number);
        fate = one > fate ? one : fate;
        if (one == COMMAND_SENT && command.qos > 0)
            *waiting = (struct waiting_command){ r->number, listener, number };
    }
    if (fate != COMMAND_SENT)
        return refuse(api, r, fate, response);
    return command.qos == 0 && tell(api, r, 0, response);
}

/* /api/v1/commands */
bool api_command(struct api *api, const struct api_request *r, int64_t mono_ms,
                 struct api_response *response)
{
    if (find(api, r->number) != NULL)
        return follow(api, r, mono_ms, response);
    char why[128];
    (void)snprintf(why, sizeof why, "a command has at most %d bytes", LISTENER_COMMAND_BYTES);
    if (r->payload_too_large)
        return api_fail(api, response, 413, why);
    const char *bad = check(r);
    return bad != NULL ? api_fail(api, response, 400, bad) : send(api, r, response);
}
