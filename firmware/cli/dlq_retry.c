/* dlq_retry: dead letters tried again or dropped, one by one, and what became of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/dlq.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

enum { OUTCOMES_MAX = 16, NAME_BYTES = 64 };

struct outcome {
    char name[NAME_BYTES]; /* with the reason where it has one */
    uint64_t letters, stored;
};

struct batch_of {
    const struct client_options *options;
    const struct dlq_change *change;
    char (*ids)[24]; /* grows */
    size_t count, room;
    struct outcome outcomes[OUTCOMES_MAX];
    uint32_t outcome_count;
};

static int collect(void *ctx, struct text letter)
{
    struct batch_of *b = ctx;
    if (b->count == b->room) {
        size_t room = b->room == 0 ? 64 : 2 * b->room;
        void *grown = realloc(b->ids, room * sizeof *b->ids);
        if (grown == NULL) {
            (void)fprintf(stderr, "weir: no memory for so many\n");
            return CLI_PROBLEM;
        }
        b->ids = grown;
        b->room = room;
    }
    json_view_text(letter, "id", b->ids[b->count++], sizeof *b->ids);
    return CLI_OK;
}

static void note(struct batch_of *b, struct text answer)
{
    char outcome[NAME_BYTES / 4], reason[NAME_BYTES / 2], name[NAME_BYTES];
    json_view_text(answer, "outcome", outcome, sizeof outcome);
    json_view_text(answer, "reason", reason, sizeof reason);
    (void)snprintf(name, sizeof name, "%s%s%s", outcome, reason[0] != '\0' ? ": " : "", reason);
    uint32_t i = 0;
    while (i < b->outcome_count && strcmp(b->outcomes[i].name, name) != 0)
        i++;
    if (i == OUTCOMES_MAX)
        i--; /* the last one stands for all others */
    if (i == b->outcome_count)
        (void)snprintf(b->outcomes[b->outcome_count++].name, NAME_BYTES, "%s", name);
    b->outcomes[i].letters++;
    b->outcomes[i].stored += json_view_unsigned(answer, "stored");
}

/* One that is gone by now is no error. */
static int change_one(struct batch_of *b, const char *id)
{
    struct client_answer answer;
    char target[128], escaped[64];
    client_escape(escaped, sizeof escaped, id);
    (void)snprintf(target, sizeof target, "/api/v1/dlq/%s/%s?dry=%d&poisoned=%d&as_new=%d",
                   escaped, b->change->verb, b->change->dry, b->change->poisoned,
                   b->change->as_new);
    int status = client_post(b->options, target, &answer);
    if (status != CLI_OK)
        return answer.status == 404 && b->change->id == NULL ? CLI_OK : status;
    if (b->options->json)
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    note(b, answer.body);
    return CLI_OK;
}

static void print_none(const struct dlq_filter *filter)
{
    (void)printf("no dead letter");
    if (filter->reason != NULL)
        (void)printf(" was rejected for %s", filter->reason);
    if (filter->source != NULL)
        (void)printf(filter->reason != NULL ? " from %s" : " is from %s", filter->source);
    (void)printf("\n");
}

static void print_outcomes(const struct batch_of *b, const struct dlq_filter *filter)
{
    static const char *const headers[] = { "outcome", ">letters", ">readings stored" };
    struct table *table = table_make(headers, 3);
    char cell[32];
    for (uint32_t i = 0; table != NULL && i < b->outcome_count; i++) {
        table_add(table, b->outcomes[i].name);
        (void)snprintf(cell, sizeof cell, "%" PRIu64, b->outcomes[i].letters);
        table_add(table, cell);
        (void)snprintf(cell, sizeof cell, "%" PRIu64, b->outcomes[i].stored);
        table_add(table, cell);
    }
    if (b->change->dry)
        (void)printf("nothing was changed; this is what would become of them\n");
    if (table != NULL && b->outcome_count > 0)
        table_print(table, stdout);
    else
        print_none(filter);
}

int dlq_change(const struct client_options *options, const struct dlq_filter *filter,
               const struct dlq_change *change)
{
    struct batch_of b = { .options = options, .change = change };
    int status = CLI_OK;
    if (change->id != NULL)
        status = change_one(&b, change->id);
    else
        status = dlq_each(options, filter, &b, collect);
    for (size_t i = 0; status == CLI_OK && i < b.count; i++)
        status = change_one(&b, b.ids[i]);
    if (!options->json && (status == CLI_OK || b.outcome_count > 0))
        print_outcomes(&b, filter);
    free(b.ids);
    return status;
}
