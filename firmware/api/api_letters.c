/* POST /api/v1/dlq/ID/VERB: a dead letter tried again, or dropped. It is read on the store's worker
 * and taken on the loop, in the turn in which its source may take something. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/err.h"

static const char *outcome_name(enum retry_outcome outcome)
{
    static const char *const names[RETRY_OUTCOMES] = { "stored",   "rejected", "partial",
                                                       "poisoned", "no_use",   "no_source" };
    return names[outcome];
}

static bool give_outcome(struct api *api, const struct dead_letter *letter,
                         const struct retried *retried, struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    bool repeat = retried->outcome == RETRY_STORED && retried->stored == 0;
    json_object(&w);
    json_put_unsigned(&w, "id", letter->id);
    json_put_string(&w, "was", reject_name(letter->reason));
    json_put_string(&w, "outcome", repeat ? "duplicate" : outcome_name(retried->outcome));
    json_put_unsigned(&w, "stored", retried->stored);
    json_put_unsigned(&w, "duplicate", retried->duplicate);
    json_key(&w, "reason");
    if (retried->outcome == RETRY_REJECTED)
        json_string(&w, reject_name(retried->reason));
    else
        json_null(&w);
    json_object_end(&w);
    return api_give(response, &w);
}

bool api_retry(struct api *api, const struct api_request *r, struct api_response *response)
{
    struct retried retried;
    const struct dead_letter *letter = &api->letters[0];
    int error = gateway_retry(api->start.gateway, letter, r->how, &retried);
    if (error == WEIR_EAGAIN)
        return false;
    if (error != 0)
        return api_fail(api, response, 404, "there is no such entry");
    return give_outcome(api, letter, &retried, response);
}

bool api_drop(struct api *api, struct api_response *response)
{
    const struct dead_letter *letter = &api->letters[0];
    int error = gateway_drop_letter(api->start.gateway, letter);
    if (error == WEIR_EAGAIN)
        return false;
    if (error != 0)
        return api_fail(api, response, 404, "there is no such entry");
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_unsigned(&w, "id", letter->id);
    json_put_string(&w, "outcome", "dropped");
    json_object_end(&w);
    return api_give(response, &w);
}

bool api_change_letter(struct api *api, const struct api_request *r, int64_t mono_ms,
                       struct api_response *response)
{
    char verb[16] = "", digits[20] = "";
    (void)mono_ms;
    if (sscanf(r->path, "/api/v1/dlq/%19[0-9]/%15[a-z]", digits, verb) != 2)
        return api_fail(api, response, 404, "want the number of a dead letter, and retry or drop");
    uint64_t id = 0;
    for (const char *digit = digits; *digit != '\0'; digit++)
        id = id * 10 + (uint64_t)(*digit - '0');
    bool is_drop = strcmp(verb, "drop") == 0;
    if (!is_drop && strcmp(verb, "retry") != 0)
        return api_fail(api, response, 404, "want retry or drop");
    struct question question = { .kind = is_drop ? QUESTION_DROP : QUESTION_RETRY, .from = id };
    return api_ask(api, r, &question, response);
}
