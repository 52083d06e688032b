/* dlq_summary: dead letters counted by what they have in common, the most first, each with a sample
 * and what its reason usually comes from. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/dlq.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"
#include "firmware/cli/triage.h"
#include "firmware/config/config_parts.h"

enum { NAME_BYTES = 80, SAMPLE_BYTES = 400, HOUR_BYTES = 13 /* of 2026-01-31T12 */ };

struct group {
    char hour[NAME_BYTES], name[NAME_BYTES]; /* hour: empty where it is not asked for */
    uint64_t letters, readings, sample_id;
    char topic[NAME_BYTES];
    char payload[SAMPLE_BYTES]; /* JSON, quoted */
};

struct summary {
    const char *by;       /* NULL: reasons by hour */
    struct group *groups; /* grows */
    size_t count, room;
    bool reasons[REJECT_REASON_END]; /* that occur */
    bool full;
};

static struct group *group_of(struct summary *s, const char *hour, const char *name)
{
    for (size_t i = s->count; i-- > 0;)
        if (strcmp(s->groups[i].hour, hour) == 0 && strcmp(s->groups[i].name, name) == 0)
            return &s->groups[i];
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 64 : 2 * s->room;
        struct group *grown = realloc(s->groups, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        s->groups = grown;
        s->room = room;
    }
    struct group *g = &s->groups[s->count++];
    *g = (struct group){ 0 };
    (void)snprintf(g->hour, sizeof g->hour, "%s", hour);
    (void)snprintf(g->name, sizeof g->name, "%s", name);
    return g;
}

static int on_letter(void *ctx, struct text letter)
{
    struct summary *s = ctx;
    char hour[NAME_BYTES] = "", name[NAME_BYTES] = "", reason[NAME_BYTES];
    bool hours = s->by == NULL || strcmp(s->by, "hour") == 0;
    json_view_text(letter, "reason", reason, sizeof reason);
    json_view_text(letter, "arrived", hour, sizeof hour);
    hour[hours ? HOUR_BYTES : 0] = '\0';
    if (s->by == NULL || strcmp(s->by, "hour") != 0)
        json_view_text(letter, s->by != NULL ? s->by : "reason", name, sizeof name);
    struct group *g = group_of(s, hour, name);
    if (g == NULL) {
        (void)fprintf(stderr, "weir: no memory for so many groups\n");
        return CLI_PROBLEM;
    }
    g->letters++;
    g->readings += json_view_unsigned(letter, "readings");
    g->sample_id = json_view_unsigned(letter, "id"); /* the newest: it is there the longest */
    json_view_text(letter, "topic", g->topic, sizeof g->topic);
    struct text payload = json_view_at(letter, "payload_begin");
    if (payload.bytes < sizeof g->payload)
        (void)snprintf(g->payload, sizeof g->payload, "%.*s", (int)payload.bytes,
                       payload.bytes > 0 ? payload.at : "");
    s->reasons[triage_reason(reason)] = true;
    return CLI_OK;
}

/* The latest hour first, in it the most first. */
static int order(const void *first, const void *second)
{
    const struct group *a = first, *b = second;
    int hours = strcmp(b->hour, a->hour);
    if (hours != 0)
        return hours;
    return a->readings < b->readings ? 1 : a->readings > b->readings ? -1
                                                                     : strcmp(a->name, b->name);
}

static void print_json(const struct summary *s)
{
    const char *comma = "";
    (void)printf("{\"groups\":[");
    for (size_t i = 0; i < s->count; i++) {
        const struct group *g = &s->groups[i];
        (void)printf("%s{", i > 0 ? "," : "");
        if (g->hour[0] != '\0')
            (void)printf("\"hour\":\"%s:00:00Z\",", g->hour);
        if (s->by == NULL || strcmp(s->by, "hour") != 0) {
            (void)printf("\"%s\":", s->by != NULL ? s->by : "reason");
            config_print_quoted(text_of(g->name), stdout);
            (void)printf(",");
        }
        (void)printf("\"letters\":%" PRIu64 ",\"readings\":%" PRIu64 ",\"sample\":{\"id\":%" PRIu64
                     ",\"topic\":", g->letters, g->readings, g->sample_id);
        config_print_quoted(text_of(g->topic), stdout);
        (void)printf(",\"payload_begin\":%s}}", g->payload[0] != '\0' ? g->payload : "null");
    }
    (void)printf("],\"reasons\":[");
    for (int i = 0; i < REJECT_REASON_END; i++) {
        const struct triage *t = triage_of((enum reject_reason)i);
        if (!s->reasons[i] || t == NULL)
            continue;
        (void)printf("%s{\"reason\":\"%s\",\"cause\":", comma, reject_name((enum reject_reason)i));
        config_print_quoted(text_of(t->cause), stdout);
        (void)printf(",\"fix\":");
        config_print_quoted(text_of(t->fix), stdout);
        (void)printf(",\"retry\":%s}", t->retry ? "true" : "false");
        comma = ",";
    }
    (void)printf("]}\n");
}

static void add_number(struct table *table, uint64_t number)
{
    char cell[32];
    (void)snprintf(cell, sizeof cell, "%" PRIu64, number);
    table_add(table, cell);
}

static void print_text(const struct summary *s)
{
    const char *const headers[] = { "hour",    s->by != NULL ? s->by : "reason", ">readings",
                                    ">letters", ">sample",  "topic",             "payload" };
    char cell[TABLE_CELL_BYTES];
    struct table *table = table_make(headers, 7);
    for (size_t i = 0; table != NULL && i < s->count; i++) {
        const struct group *g = &s->groups[i];
        table_add(table, g->hour[0] != '\0' ? g->hour : "all");
        table_add(table, g->name[0] != '\0' ? g->name : "all");
        add_number(table, g->readings);
        add_number(table, g->letters);
        add_number(table, g->sample_id);
        table_add(table, g->topic);
        json_view_print(text_of(g->payload), cell, sizeof cell);
        table_add(table, cell);
    }
    if (table != NULL && s->count > 0)
        table_print(table, stdout);
    else
        (void)printf("no dead letter\n");
    for (int i = 0; i < REJECT_REASON_END; i++) {
        const struct triage *t = triage_of((enum reject_reason)i);
        if (s->reasons[i] && t != NULL)
            (void)printf("\n%s: %s\n  cause: %s\n  fix: %s\n", reject_name((enum reject_reason)i),
                         reject_text((enum reject_reason)i), t->cause, t->fix);
    }
}

int dlq_summary(const struct client_options *options, const struct dlq_filter *filter,
                const char *by)
{
    struct summary s = { .by = by };
    int status = dlq_each(options, filter, &s, on_letter);
    if (status == CLI_OK && s.count > 1)
        qsort(s.groups, s.count, sizeof *s.groups, order);
    if (status == CLI_OK && options->json)
        print_json(&s);
    else if (status == CLI_OK)
        print_text(&s);
    free(s.groups);
    return status;
}
