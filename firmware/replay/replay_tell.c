/* replay_tell: the changes between two replays, as tables or as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/replay/replay_diff.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "pipeline/timestamp.h"

enum { WINDOWS_LISTED_MAX = 1000 };

struct told_group { /* alerts of one rule and device; of windows the rule is empty */
    char rule[DETECTOR_NAME_BYTES_MAX + 1];
    char device[READING_NAME_BYTES_MAX + 1];
    uint64_t of[CHANGES];
};

static struct told_group *group_at(const struct replay_changes *c, size_t i)
{
    return (struct told_group *)c->groups.at + i;
}

/* The last that was asked for is mostly the one; alerts come in order of rule and device. */
static struct told_group *group_of(struct replay_changes *c, const char *rule, const char *device)
{
    for (size_t i = c->groups.count; i-- > 0;)
        if (strcmp(group_at(c, i)->rule, rule) == 0 && strcmp(group_at(c, i)->device, device) == 0)
            return group_at(c, i);
    c->groups.item_bytes = sizeof(struct told_group);
    struct told_group *g = growing_add(&c->groups);
    if (g == NULL)
        return NULL;
    (void)snprintf(g->rule, sizeof g->rule, "%s", rule);
    (void)snprintf(g->device, sizeof g->device, "%s", device);
    return g;
}

/* --- alerts --- */

static void add_time(struct table *table, int64_t time_ms)
{
    char time[TIMESTAMP_BYTES] = "open";
    if (time_ms != INT64_MAX)
        timestamp_print(time_ms, time);
    table_add(table, time);
}

static void add_number(struct table *table, double number)
{
    char cell[32];
    (void)snprintf(cell, sizeof cell, "%.6g", number);
    table_add(table, cell);
}

static void add_span(char *cell, size_t bytes, const struct told_alert *a)
{
    char from[TIMESTAMP_BYTES], to[TIMESTAMP_BYTES] = "open";
    timestamp_print(a->onset_ms, from);
    if (a->cleared_ms != INT64_MAX)
        timestamp_print(a->cleared_ms, to);
    (void)snprintf(cell, bytes, "%s to %s, %s", from, to, severity_name(a->severity));
}

static void add_row(struct replay_changes *c, const struct alert_change *change)
{
    static const char *const headers[] = { "change", "rule",  "device",    "metric",   "onset",
                                           "until",  "severity", ">observed", "was" };
    const struct told_alert *a = change->now != NULL ? change->now : change->then;
    char was[TABLE_CELL_BYTES] = "";
    if (c->table == NULL)
        c->table = c->alone ? table_make(headers + 1, 7) : table_make(headers, 9);
    if (c->table == NULL)
        return;
    if (!c->alone)
        table_add(c->table, change_name(change->change));
    table_add(c->table, a->rule);
    table_add(c->table, a->device);
    table_add(c->table, a->metric);
    add_time(c->table, a->onset_ms);
    add_time(c->table, a->cleared_ms);
    table_add(c->table, severity_name(a->severity));
    add_number(c->table, a->observed);
    if (change->change == CHANGE_MOVES)
        add_span(was, sizeof was, change->then);
    if (!c->alone)
        table_add(c->table, was);
}

static void print_time(const char *name, int64_t time_ms)
{
    char time[TIMESTAMP_BYTES];
    timestamp_print(time_ms, time);
    if (time_ms == INT64_MAX)
        (void)printf(",\"%s\":null", name);
    else
        (void)printf(",\"%s\":\"%s\"", name, time);
}

static void print_alert(const char *name, const struct told_alert *a)
{
    char id[ALERT_ID_BYTES + 1];
    if (a == NULL) {
        (void)printf(",\"%s\":null", name);
        return;
    }
    alert_id_of(a->key, id);
    (void)printf(",\"%s\":{\"alert_id\":\"%s\"", name, id);
    print_time("onset", a->onset_ms);
    print_time("raised", a->raised_ms);
    print_time("cleared", a->cleared_ms);
    (void)printf(",\"severity\":\"%s\",\"observed\":%.17g,\"score\":%.17g}",
                 severity_name(a->severity), a->observed, a->score);
}

static void print_names(const char *first, const char *rule, const char *device)
{
    (void)printf("%s", first);
    config_print_quoted(text_of(rule), stdout);
    (void)printf(",\"device\":");
    config_print_quoted(text_of(device), stdout);
}

void replay_tell_alert(void *ctx, const struct alert_change *change)
{
    struct replay_changes *c = ctx;
    const struct told_alert *a = change->now != NULL ? change->now : change->then;
    struct told_group *group = group_of(c, a->rule, a->device);
    if (group != NULL)
        group->of[change->change]++;
    uint64_t listed = c->alerts[CHANGE_APPEARS] + c->alerts[CHANGE_VANISHES] +
                      c->alerts[CHANGE_MOVES];
    c->alerts[change->change]++;
    if (change->change == CHANGE_SAME)
        return;
    if (!c->json) {
        add_row(c, change);
        return;
    }
    (void)printf("%s{\"change\":\"%s\",", listed > 0 ? "," : "", change_name(change->change));
    print_names("\"rule\":", a->rule, a->device);
    (void)printf(",\"metric\":");
    config_print_quoted(text_of(a->metric), stdout);
    print_alert("then", change->then);
    print_alert("now", change->now);
    (void)printf("}");
}

/* --- windows --- */

static void print_window(const char *name, const struct told_window *w)
{
    if (w == NULL)
        (void)printf(",\"%s\":null", name);
    else
        (void)printf(",\"%s\":{\"revision\":%u,\"count\":%" PRIu64 ",\"mean\":%.17g}", name,
                     w->revision, w->count, w->mean);
}

void replay_tell_window(void *ctx, const struct window_change *change)
{
    struct replay_changes *c = ctx;
    const struct told_window *w = change->now != NULL ? change->now : change->then;
    c->windows[change->change]++;
    if (change->change == CHANGE_SAME)
        return;
    struct told_group *group = group_of(c, "", change->series->device);
    if (group != NULL)
        group->of[change->change]++;
    if (!c->json || c->listed_windows == WINDOWS_LISTED_MAX)
        return;
    (void)printf("%s{\"change\":\"%s\",", c->listed_windows++ > 0 ? "," : "",
                 change_name(change->change));
    print_names("\"metric\":", change->series->metric, change->series->device);
    print_time("start", w->start_ms);
    print_window("then", change->then);
    print_window("now", change->now);
    (void)printf("}");
}

/* --- by rule and device --- */

void replay_tell_counts(const uint64_t of[CHANGES])
{
    (void)printf("\"same\":%" PRIu64 ",\"appears\":%" PRIu64 ",\"vanishes\":%" PRIu64
                 ",\"moves\":%" PRIu64 "}", of[CHANGE_SAME], of[CHANGE_APPEARS],
                 of[CHANGE_VANISHES], of[CHANGE_MOVES]);
}

static void print_groups(const struct replay_changes *c)
{
    (void)printf(",\"alert_counts\":{");
    replay_tell_counts(c->alerts);
    (void)printf(",\"result_counts\":{");
    replay_tell_counts(c->windows);
    (void)printf(",\"by_rule_and_device\":[");
    for (size_t i = 0; i < c->groups.count; i++) {
        const struct told_group *g = group_at(c, i);
        print_names(i > 0 ? ",{\"rule\":" : "{\"rule\":", g->rule, g->device);
        (void)printf(",");
        replay_tell_counts(g->of);
    }
    (void)printf("]");
}

static void add_group(struct table *table, const struct told_group *g)
{
    char cell[32];
    table_add(table, g->rule[0] != '\0' ? g->rule : "(windows)");
    table_add(table, g->device);
    for (int change = CHANGE_APPEARS; change < CHANGES; change++) {
        (void)snprintf(cell, sizeof cell, "%" PRIu64, g->of[change]);
        table_add(table, cell);
    }
}

void replay_tell_groups(struct replay_changes *c)
{
    static const char *const headers[] = { "rule", "device", ">appear", ">vanish", ">move" };
    uint64_t changed = 0;
    if (c->json) {
        print_groups(c);
        growing_free(&c->groups);
        return;
    }
    if (c->table != NULL)
        table_print(c->table, stdout);
    struct table *table = table_make(headers, 5);
    for (size_t i = 0; table != NULL && i < c->groups.count; i++) {
        const struct told_group *g = group_at(c, i);
        uint64_t of = g->of[CHANGE_APPEARS] + g->of[CHANGE_VANISHES] + g->of[CHANGE_MOVES];
        changed += of;
        if (of > 0)
            add_group(table, g);
    }
    if (table != NULL && changed > 0) {
        (void)putchar('\n');
        table_print(table, stdout);
    }
    growing_free(&c->groups);
}
