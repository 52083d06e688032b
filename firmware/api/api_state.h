/* api_state: what the api's own files share. Nobody else includes this. */
#ifndef FIRMWARE_API_STATE_H
#define FIRMWARE_API_STATE_H

#include "firmware/api/api.h"
#include "firmware/budget.h"
#include "firmware/config/numbering.h"
#include "firmware/api/prometheus.h"
#include "firmware/api/updater.h"
#include "pipeline/codec/json_writer.h"
#include "pipeline/pressure/survey.h"

enum {
    API_TEXT_BYTES = 64 * 1024,   /* of an answer made on the loop */
    API_STORE_BYTES = 256 * 1024, /* of one made from the store, on its worker */
    API_ITEM_BYTES = 2048, /* one device, series, alert or journal line needs at most so much */
    API_LETTERS_MAX = 64,
    API_SERIES_BLOCKS = 64, /* looked through for one series' readings, in one request */
    API_SURVEY_MS = 1000,    /* between two slices */
    API_SURVEY_SERIES = 8192, /* of one: 0.1 ms; 100,000 series are walked in 13 s */
    API_TAIL_MAX = 128,
    API_RESULTS_MAX = 256,
    API_PLACE_BYTES = 16 + STORE_KEPT_KEY_BYTES_MAX,
    API_RESULTS_LOOKED = 10000 /* rows, in one request */
};

#define API_NAME_RULE \
    "a device's name has 1 to 64 bytes, no control characters, none of / + #, and no space at " \
    "either end"

enum question_kind { QUESTION_LETTERS, QUESTION_LETTER, QUESTION_RETRY, QUESTION_DROP,
                     QUESTION_EXPORT, QUESTION_RESULTS };
enum question_state { QUESTION_NONE, QUESTION_ASKED, QUESTION_ANSWERED };

struct question { /* to the store; written by its worker while ASKED */
    enum question_state state;
    enum question_kind kind;
    uint64_t request; /* whose; 0: its client is gone */
    uint64_t after, from, skip;
    uint32_t max;
    /* EXPORT: only its readings of this metric; empty: all */
    char device[READING_NAME_BYTES_MAX + 1];
    char metric[READING_NAME_BYTES_MAX + 1];
    /* RESULTS */
    const struct stream_plan *stream;
    struct kept_place place;
    bool latest;
    int64_t from_ms, to_ms;
    uint32_t key_count;
    char keys[STREAM_KEY_FIELDS_MAX][STREAM_KEY_BYTES_MAX + 1];
    int error;
    struct text body;
    char next[48];
};

struct backfill {
    uint64_t request; /* whose; 0: nobody's */
    uint8_t *bytes;   /* [GATEWAY_BACKFILL_BYTES] */
    size_t used;
    bool too_large;
    uint32_t count;   /* items that were taken; 0: none yet */
    uint64_t block;   /* that holds them */
};

struct update_answers {
    struct updater updater;
    bool asks_status;    /* what is under way; else something that changes */
    uint64_t request;    /* whose change it is; 0: nobody's */
    char verb[16];
    bool done;           /* and its answer is there */
    struct updater_answer answer;
    struct updater_answer known; /* to `status`; .status 0: none is fresh */
    int64_t asked_ms;            /* for it */
};

struct waiting_command { /* for PUBACK */
    uint64_t request;    /* whose; 0: free */
    struct listener *listener;
    uint64_t number; /* the listener's */
};

struct api {
    const struct config *config;
    struct api_start start;
    struct question question;
    uint64_t reload_request; /* who waits for a reload; 0: nobody */
    uint64_t change_request; /* who waits for a change of credentials; 0: nobody */
    const struct credentials_change *change; /* NULL: not done yet */
    struct backfill backfill;
    struct waiting_command commands[LISTENER_COMMANDS];
    struct update_answers update;
    struct block_reader *reader;
    uint8_t *bytes; /* a block or letters as they come from the store */
    size_t bytes_max;
    struct dead_letter *letters;
    struct kept_result *results;
    struct numbering numbering; /* of the block that is exported */
    uint64_t numbered_from;     /* UINT64_MAX: none was read */
    struct tail_entry *tail;
    char *text;       /* [API_TEXT_BYTES] */
    char *store_text; /* [API_STORE_BYTES] */
    struct budget budget;
    struct survey survey;
    uint64_t scrapes;   /* of /metrics, since the start */
    int64_t scraped_ms; /* t of the last */
    int64_t surveyed_ms;
};

/* A reload may bring another than that of the start, which sizes and adapters go by. */
static inline const struct config *api_in_force(const struct api *api)
{
    return gateway_config(api->start.gateway);
}

/* api_commands.c */
bool api_command(struct api *api, const struct api_request *r, int64_t mono_ms,
                 struct api_response *response);
void api_forget_command(struct api *api, uint64_t request);

/* api_backfill.c: as api_answer */
bool api_take_backfill(struct api *api, const struct api_request *r, int64_t mono_ms,
                       struct api_response *response);

/* api_update.c: as api_answer */
bool api_show_update(struct api *api, const struct api_request *r, int64_t mono_ms,
                     struct api_response *response);
bool api_update(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response);
void api_update_turn(struct api *api, int64_t mono_ms);

/* api_maintenance.c: as api_answer */
bool api_list_maintenance(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response);
bool api_maintain(struct api *api, const struct api_request *r, int64_t mono_ms,
                  struct api_response *response);
bool api_resume(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response);

/* api.c: accepted, or why not; of an alert where it was not found */
bool api_done(struct api *api, struct api_response *response, int error);

/* As many bytes as fit; *used: how many there are. False: no hexadecimal digits. */
bool api_read_hex(const char *value, uint8_t *to, uint32_t bytes, uint32_t *used);

/* api_results.c: where a page ended, as the next is asked for. False: it is none; a number,
 * perhaps. */
bool api_read_place(struct api_request *r, const char *value);

/* api_status.c */
void api_write_status(struct api *api, struct json_writer *w);

/* api_metrics.c, api_metrics_machine.c */
void api_write_metrics(struct api *api, struct prometheus *p);
void api_write_machine_metrics(const struct api *api, const struct gateway_view *view,
                               struct prometheus *p);

/* api_machine.c */
void api_write_machine(const struct board *b, struct json_writer *w);

/* api_store.c: true when the answer is there */
bool api_ask(struct api *api, const struct api_request *request, const struct question *question,
             struct api_response *response);
const char *api_time_source(enum time_source source);

/* api_results.c */
bool api_list_results(struct api *api, const struct api_request *request, int64_t mono_ms,
                      struct api_response *response);
bool api_list_latest(struct api *api, const struct api_request *request, int64_t mono_ms,
                     struct api_response *response);
void api_ask_results(struct api *api, struct store *store); /* on the store's worker */

/* api_lists.c: as api_answer, of one resource each */
bool api_list_devices(struct api *api, const struct api_request *request, int64_t mono_ms,
                      struct api_response *response);
bool api_list_streams(struct api *api, const struct api_request *request, int64_t mono_ms,
                      struct api_response *response); /* api_streams.c */
void api_put_streams(const struct api *api, const struct engine *engine, struct prometheus *p);
bool api_list_series(struct api *api, const struct api_request *request, int64_t mono_ms,
                     struct api_response *response);
bool api_list_alerts(struct api *api, const struct api_request *request, int64_t mono_ms,
                     struct api_response *response);
bool api_list_tail(struct api *api, const struct api_request *request, int64_t mono_ms,
                   struct api_response *response);

void api_put_alert(struct json_writer *w, const struct alert_view *alert,
                   const struct gateway_view *now);

/* api_explain.c: likewise */
bool api_explain_alert(struct api *api, const struct api_request *request, int64_t mono_ms,
                       struct api_response *response);

/* api_alarms.c: likewise */
bool api_report_alarms(struct api *api, const struct api_request *request, int64_t mono_ms,
                       struct api_response *response);

/* api_letters.c: likewise */
bool api_change_letter(struct api *api, const struct api_request *request, int64_t mono_ms,
                       struct api_response *response);
/* The letter that was asked for is in api->letters[0]; false: not yet. */
bool api_retry(struct api *api, const struct api_request *request, struct api_response *response);
bool api_drop(struct api *api, struct api_response *response);

/* api_credentials.c: likewise */
bool api_list_credentials(struct api *api, const struct api_request *request, int64_t mono_ms,
                          struct api_response *response);
bool api_change_credentials(struct api *api, const struct api_request *request, int64_t mono_ms,
                            struct api_response *response);

/* api.c */
uint32_t api_most(const struct api_request *request, uint32_t otherwise, uint32_t limit);
bool api_give(struct api_response *response, struct json_writer *w);
bool api_fail(struct api *api, struct api_response *response, uint32_t status, const char *why);
bool api_room(const struct json_writer *w);

#endif
