#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/dlq.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/listing.h"
#include "firmware/cli/triage.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir dlq list [--all] [--reason R] [--source S] [-s PATH | -c FILE] [--json]\n"
    "       weir dlq summary [--by reason|source|device|hour] [--reason R] [--source S]\n"
    "       weir dlq show ID\n"
    "       weir dlq export [--reason R] [--source S]\n"
    "       weir dlq retry ID | --all | --reason R | --source S [--dry-run]\n"
    "                      [--poisoned] [--as-new]\n"
    "       weir dlq drop ID | --all | --reason R | --source S\n"
    "       weir dlq reasons\n\n"
    "Dead letters: messages that were rejected, kept whole, with the reason and, where the\n"
    "payload could not be read, the offset of the fault in it.\n\n"
    "  summary       what they have in common, the most first, each with a sample and its usual\n"
    "                cause; without --by the reasons of each hour\n"
    "  show          one, whole, with the fault marked\n"
    "  export        all, whole, as JSON Lines; payload_base64 where one is no UTF-8\n"
    "  retry         try them again by the present configuration, all that was rejected of\n"
    "                each or nothing: it is stored, and the letter removed, in one commit;\n"
    "                repeats count as such. One that fails again stays, with its history\n"
    "  drop          remove them; they stay counted as rejected\n"
    "  reasons       every reason there is, with its usual cause and what mends it\n\n"
    "  --all         list: every one, oldest first; without it the newest\n"
    "  --dry-run     retry: only tell what would become of them\n"
    "  --poisoned    retry: also those that failed five times\n"
    "  --as-new      retry: also the rest of a message a part of which was stored when it came,\n"
    "                where nobody can say whether the rest came again since: it is new, you know\n"
    "  --reason R    only those rejected for this; --source S: only that source's\n";

static const char *const headers[] = { ">id",    "arrived", "reason", ">offset",
                                       ">bytes", "source",  "topic",  "payload" };
static const char *const paths[] = { "id",     "arrived", "reason", "offset", "payload_bytes",
                                     "source", "topic",   "payload_begin" };

/* --- list --- */

static int add_letter(void *ctx, struct text letter)
{
    struct table *table = ctx;
    char cell[TABLE_CELL_BYTES];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        json_view_text(letter, paths[i], cell, sizeof cell);
        table_add(table, cell);
    }
    return CLI_OK;
}

static int print_letter(void *ctx, struct text letter)
{
    (void)ctx;
    (void)printf("%.*s\n", (int)letter.bytes, letter.at);
    return CLI_OK;
}

static int list_some(const struct client_options *options, const struct dlq_filter *filter)
{
    struct table *table = table_make(headers, 8);
    if (options->json || table == NULL)
        return dlq_each(options, filter, NULL, print_letter);
    int status = dlq_each(options, filter, table, add_letter);
    if (status == CLI_OK)
        table_print(table, stdout);
    return status;
}

static int list(const struct client_options *options, bool all)
{
    const struct listing listing = {
        all ? "/api/v1/dlq?max=64&after=0" : "/api/v1/dlq?max=20", "letters", "no dead letter",
        headers, paths, 8
    };
    return listing_print(&listing, options);
}

/* --- show, export --- */

static int ask(const struct client_options *options, const char *id, struct client_answer *answer)
{
    char target[96], escaped[64];
    client_escape(escaped, sizeof escaped, id);
    (void)snprintf(target, sizeof target, "/api/v1/dlq/%s", escaped);
    return client_get(options, target, answer);
}

static int show(const struct client_options *options, const char *id)
{
    static const char *const members[] = { "id",     "arrived", "reason", "text",   "offset",
                                           "readings", "source", "topic", "device",
                                           "payload_bytes" };
    struct client_answer answer;
    char value[1024];
    int status = ask(options, id, &answer);
    if (status != CLI_OK)
        return status;
    if (options->json) {
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
        return CLI_OK;
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_view_text(answer.body, members[i], value, sizeof value);
        table_tame(value, false);
        (void)printf("%-14s %s\n", members[i], value[0] != '\0' ? value : "none");
    }
    dlq_print_payload(answer.body);
    json_view_text(answer.body, "reason", value, sizeof value);
    const struct triage *triage = triage_of(triage_reason(value));
    if (triage != NULL)
        (void)printf("\nusual cause: %s\nfix: %s\n", triage->cause, triage->fix);
    return CLI_OK;
}

/* One that retention removed meanwhile is passed over. */
static int export_letter(void *ctx, struct text letter)
{
    const struct client_options *options = ctx;
    struct client_answer answer;
    char id[32];
    json_view_text(letter, "id", id, sizeof id);
    int status = ask(options, id, &answer);
    if (status == CLI_OK)
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    return answer.status == 404 ? CLI_OK : status;
}

/* --- reasons --- */

static void print_reason(enum reject_reason reason, bool json)
{
    const struct triage *t = triage_of(reason);
    const char *name = reject_name(reason), *text = reject_text(reason);
    if (!json) {
        (void)printf("%s: %s\n  cause: %s\n  fix: %s\n  %s%s\n", name, text, t->cause, t->fix,
                     t->retry ? "then: weir dlq retry --reason " : "trying it again is no use",
                     t->retry ? name : "");
        return;
    }
    (void)printf("{\"reason\":\"%s\",\"text\":", name);
    config_print_quoted(text_of(text), stdout);
    (void)printf(",\"cause\":");
    config_print_quoted(text_of(t->cause), stdout);
    (void)printf(",\"fix\":");
    config_print_quoted(text_of(t->fix), stdout);
    (void)printf(",\"retry\":%s}\n", t->retry ? "true" : "false");
}

static int reasons(bool json)
{
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++)
        if (triage_of((enum reject_reason)i) != NULL)
            print_reason((enum reject_reason)i, json);
    return CLI_OK;
}

/* --- the command --- */

static bool is_grouping(const char *by)
{
    return by == NULL || strcmp(by, "reason") == 0 || strcmp(by, "source") == 0 ||
           strcmp(by, "device") == 0 || strcmp(by, "hour") == 0;
}

int cli_dlq(int argc, char **argv)
{
    bool all = false, dry = false, poisoned = false, as_new = false;
    const char *by = NULL;
    struct dlq_filter filter = { NULL, NULL };
    const struct flag flags[] = { { "--all", NULL, NULL, &all },
                                  { "--by", NULL, &by, NULL },
                                  { "--dry-run", NULL, NULL, &dry },
                                  { "--poisoned", NULL, NULL, &poisoned },
                                  { "--as-new", NULL, NULL, &as_new },
                                  { "--reason", NULL, &filter.reason, NULL },
                                  { "--source", NULL, &filter.source, NULL },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    struct client_options options;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (!is_grouping(by))
        return arguments_usage(&a, "--by wants reason, source, device or hour, not", by);
    if (filter.reason != NULL && triage_reason(filter.reason) == REJECT_NONE)
        return arguments_usage(&a, "`weir dlq reasons` lists the reasons; none is called",
                               filter.reason);
    const char *verb = a.word_count > 0 ? a.words[0] : "";
    bool filters = filter.reason != NULL || filter.source != NULL;
    if (a.word_count == 2 && strcmp(verb, "show") == 0)
        return show(&options, a.words[1]);
    if (a.word_count == 1 && strcmp(verb, "list") == 0)
        return filters ? list_some(&options, &filter) : list(&options, all);
    if (a.word_count == 1 && strcmp(verb, "summary") == 0)
        return dlq_summary(&options, &filter, by);
    if (a.word_count == 1 && strcmp(verb, "export") == 0)
        return dlq_each(&options, &filter, &options, export_letter);
    if (a.word_count == 1 && strcmp(verb, "reasons") == 0)
        return reasons(options.json);
    if (strcmp(verb, "retry") != 0 && strcmp(verb, "drop") != 0)
        return arguments_usage(&a, "want list, summary, show, export, retry, drop or reasons, not",
                               verb);
    if ((a.word_count == 2) == (all || filters))
        return arguments_usage(&a, "want ID, or --all, --reason or --source, after", verb);
    const struct dlq_change change = { verb, a.word_count == 2 ? a.words[1] : NULL, dry, poisoned,
                                       as_new };
    return dlq_change(&options, &filter, &change);
}
