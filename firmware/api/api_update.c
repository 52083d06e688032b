/* api_update: updates of a board's image, over HTTP: what the updater says, and what it is asked
 * for. It decides; what never gets that far is what makes no sense, or wants force. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "firmware/log.h"
#include "pipeline/err.h"

enum { FRESH_MS = 1000 }; /* what is known of it; each question starts a process */

static bool give(struct api *api, const struct updater_answer *answer,
                 struct api_response *response)
{
    if (answer->status == 504)
        return api_fail(api, response, 504,
                        "the updater did not answer in time; it may have begun: look again later");
    if (answer->status == 502)
        return api_fail(api, response, 502,
                        "the updater ended without an answer: journalctl -u 'weir-update@*'");
    static_assert((int)UPDATE_ANSWER_BYTES < (int)API_TEXT_BYTES, "it fits");
    memcpy(api->text, answer->json, answer->bytes);
    struct text body = { api->text, answer->bytes };
    *response = (struct api_response){ answer->status, "application/json", body, "" };
    return true;
}

static bool refuse(struct api *api, int error, struct api_response *response)
{
    char why[256];
    if (error == WEIR_ENOTFOUND)
        return api_fail(api, response, 501,
                        "there is no updater here: updates over HTTP are for a board that runs an "
                        "image of ours, whose weir-update.socket is at gateway.updater");
    if (error == WEIR_EAGAIN)
        return api_fail(api, response, 503, "the updater is asked too much; try again");
    (void)snprintf(why, sizeof why, "the updater can't be asked at gateway.updater: %s",
                   strerror(errno));
    return api_fail(api, response, 503, why);
}

void api_update_turn(struct api *api, int64_t mono_ms)
{
    struct update_answers *u = &api->update;
    struct updater_answer *to = u->asks_status ? &u->known : &u->answer;
    if (!updater_turn(&u->updater, mono_ms, to) || u->asks_status)
        return;
    log_event("update_asked", "verb=%s status=%u", u->verb, to->status);
    u->done = u->request != 0;
    u->known.status = 0; /* of before */
}

/* /api/v1/update */
bool api_show_update(struct api *api, const struct api_request *r, int64_t mono_ms,
                     struct api_response *response)
{
    struct update_answers *u = &api->update;
    if (u->updater.asks)
        return false;
    if (u->known.status != 0 && r->began_ms - u->asked_ms <= FRESH_MS)
        return give(api, &u->known, response);
    int error = updater_ask(&u->updater, "status\n", mono_ms);
    if (error != 0)
        return refuse(api, error, response);
    u->asks_status = true;
    u->asked_ms = mono_ms;
    return false;
}

/* NULL: it may be asked for. */
static const char *check(const struct api_request *r, const char *verb, uint32_t *status)
{
    bool brings = strcmp(verb, "check") == 0 || strcmp(verb, "install") == 0;
    *status = 404;
    if (!brings && strcmp(verb, "confirm") != 0 && strcmp(verb, "rollback") != 0)
        return "want check, install, confirm or rollback";
    *status = 403;
    if (r->forces)
        return "nothing is forced over HTTP: on the board itself, as root, `weir update install "
               "BUNDLE --force` takes an older version";
    *status = 400;
    if (!brings && r->bundle[0] != '\0')
        return "a bundle is for check and install";
    if (brings && (r->bundle_too_long || !update_source_is_sound(r->bundle)))
        return "want bundle=URL, of http or https, without a password and escaped where need be, "
               "at most 1000 bytes; or bundle=stick";
    return NULL;
}

/* /api/v1/update/VERB */
bool api_update(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response)
{
    struct update_answers *u = &api->update;
    const char *verb = strstr(r->path, "update/") + strlen("update/"); /* its route has that */
    char line[UPDATE_LINE_BYTES];
    uint32_t status;
    if (u->request == r->number && !u->done)
        return false;
    if (u->request == r->number) {
        u->request = 0;
        u->done = false;
        return give(api, &u->answer, response);
    }
    const char *why = check(r, verb, &status);
    if (why != NULL)
        return api_fail(api, response, status, why);
    if (u->updater.asks || u->request != 0)
        return false; /* others are told soon */
    (void)snprintf(line, sizeof line, "%s%s%s\n", verb, r->bundle[0] != '\0' ? " " : "", r->bundle);
    int error = updater_ask(&u->updater, line, mono_ms);
    if (error != 0)
        return refuse(api, error, response);
    (void)snprintf(u->verb, sizeof u->verb, "%s", verb);
    u->asks_status = false;
    u->request = r->number;
    u->done = false;
    return false;
}
