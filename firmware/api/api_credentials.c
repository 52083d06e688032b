/* api_credentials: who may publish: the list, and changes, answered when they are on the disk. */
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/err.h"

static bool refuse(struct api *api, struct api_response *response, int error, const char *device)
{
    char why[256];
    switch (error) {
    case WEIR_EINVAL:
        return api_fail(api, response, 400, API_NAME_RULE);
    case WEIR_ELATE:
        (void)snprintf(why, sizeof why, "%s is there already; `rotate` gives it a new password",
                       device);
        return api_fail(api, response, 409, why);
    case WEIR_ENOTFOUND:
        (void)snprintf(why, sizeof why, "there is no device %s with a password", device);
        return api_fail(api, response, 404, why);
    case WEIR_EFULL:
        (void)snprintf(why, sizeof why, "there are %u devices already: limits.devices",
                       credentials_max(api->start.credentials));
        return api_fail(api, response, 409, why);
    case WEIR_EIO:
        return api_fail(api, response, 500,
                        "the file of credentials could not be written and flushed");
    default:
        return api_fail(api, response, 409,
                        credentials_max(api->start.credentials) == 0
                            ? "no source asks for passwords: `listen` without `anonymous: true`"
                            : "another change is under way; try again");
    }
}

/* What a device needs to know of each listener that it may use. */
static void put_listeners(const struct config *config, struct json_writer *w)
{
    json_key(w, "listeners");
    json_array(w);
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind != SOURCE_LISTENER || source->anonymous)
            continue;
        json_object(w);
        json_put_string(w, "source", source->name);
        json_put_string(w, "host", source->broker.host);
        json_put_unsigned(w, "port", source->broker.port);
        json_put_bool(w, "tls", source->broker.tls);
        json_put_string(w, "topic", source->topics[0].template.text);
        json_object_end(w);
    }
    json_array_end(w);
}

static bool tell(struct api *api, struct api_response *response)
{
    const struct credentials_change *change = api->change;
    api->change_request = 0;
    if (change->result != 0)
        return refuse(api, response, change->result, change->name);
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_string(&w, "device", change->name);
    if (change->verb != CREDENTIALS_REVOKE) {
        json_put_string(&w, "password", change->password);
        put_listeners(api->config, &w);
    } else {
        json_put_bool(&w, "was_known", change->was_known);
    }
    json_object_end(&w);
    return api_give(response, &w);
}

/* /api/v1/credentials/VERB?device= */
bool api_change_credentials(struct api *api, const struct api_request *r, int64_t mono_ms,
                            struct api_response *response)
{
    static const char *const verbs[] = { [CREDENTIALS_ADD] = "add",
                                         [CREDENTIALS_REVOKE] = "revoke",
                                         [CREDENTIALS_ROTATE] = "rotate" };
    uint32_t verb = 0;
    (void)mono_ms;
    if (api->change_request == r->number)
        return api->change != NULL && tell(api, response);
    while (verb < 3 && strcmp(r->path + strlen("/api/v1/credentials/"), verbs[verb]) != 0)
        verb++;
    if (verb == 3)
        return api_fail(api, response, 404, "want add, revoke or rotate");
    if (api->change_request != 0) /* the last one's answer is not told yet */
        return refuse(api, response, WEIR_EBUSY, r->device);
    struct gateway_view view = gateway_view(api->start.gateway);
    int error = credentials_begin(api->start.credentials, (enum credentials_verb)verb, r->device,
                                  view.wall_ms);
    if (error != 0)
        return refuse(api, response, error, r->device);
    api->change_request = r->number;
    api->change = NULL;
    return false;
}

void api_on_change(struct api *api, const struct credentials_change *change)
{
    api->change = change;
}

bool api_list_credentials(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct credential_view view;
    uint32_t index = r->after < UINT32_MAX ? (uint32_t)r->after : UINT32_MAX;
    bool more = false;
    (void)mono_ms;
    json_object(&w);
    json_key(&w, "credentials");
    json_array(&w);
    for (; (more = credentials_at(api->start.credentials, index, &view)) && api_room(&w); index++) {
        json_object(&w);
        json_put_string(&w, "device", view.name);
        json_put_string(&w, "state", view.revoked ? "revoked" : "password");
        json_put_time(&w, "since", view.since_ms);
        json_object_end(&w);
    }
    json_array_end(&w);
    json_key(&w, "next");
    if (more)
        json_unsigned(&w, index);
    else
        json_null(&w);
    json_object_end(&w);
    return api_give(response, &w);
}
