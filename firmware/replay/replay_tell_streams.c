/* replay_tell, of results of streams: by stream and key, as tables or as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "firmware/replay/replay_diff.h"
#include "pipeline/timestamp.h"

enum { LISTED_MAX = 1000, ROWS_MAX = 100 };

struct told_changes { /* of a stream's key */
    const struct told_key *key;
    uint64_t of[CHANGES];
};

static struct told_changes *changes_at(const struct replay_changes *c, size_t i)
{
    return (struct told_changes *)c->keys.at + i;
}

/* They come in order of stream and key. NULL: no memory; then the sums are right still. */
static struct told_changes *changes_of(struct replay_changes *c, const struct told_key *key)
{
    if (c->keys.count > 0) {
        struct told_changes *last = changes_at(c, c->keys.count - 1);
        if (strcmp(last->key->stream, key->stream) == 0 && text_equal(last->key->text, key->text))
            return last;
    }
    c->keys.item_bytes = sizeof(struct told_changes);
    struct told_changes *changes = growing_add(&c->keys);
    if (changes != NULL)
        changes->key = key;
    return changes;
}

/* --- one result --- */

static void print_result(const char *name, const struct told_result *r, struct text values)
{
    if (r == NULL)
        (void)printf(",\"%s\":null", name);
    else
        (void)printf(",\"%s\":{\"revision\":%u,\"kind\":\"%s\",\"values\":%.*s}", name, r->revision,
                     stream_kind_name(r->kind), (int)values.bytes, values.at);
}

static void print_key(const struct told_key *key)
{
    (void)printf("\"stream\":");
    config_print_quoted(text_of(key->stream), stdout);
    (void)printf(",\"key\":%.*s", (int)key->text.bytes, key->text.at);
}

void replay_tell_stream(void *ctx, const struct stream_change *change)
{
    struct replay_changes *c = ctx;
    const struct told_result *r = change->now != NULL ? change->now : change->then;
    char start[TIMESTAMP_BYTES], end[TIMESTAMP_BYTES];
    c->streams[change->change]++;
    if (change->change == CHANGE_SAME)
        return;
    struct told_changes *changes = changes_of(c, change->key);
    if (changes != NULL)
        changes->of[change->change]++;
    if (c->alone || !c->json || c->listed_streams == LISTED_MAX)
        return;
    timestamp_print(r->start_ms, start);
    timestamp_print(r->end_ms, end);
    (void)printf("%s{\"change\":\"%s\",", c->listed_streams++ > 0 ? "," : "",
                 change_name(change->change));
    print_key(change->key);
    (void)printf(",\"start\":\"%s\",\"end\":\"%s\"", start, end);
    print_result("then", change->then, change->then_values);
    print_result("now", change->now, change->now_values);
    (void)printf("}");
}

/* --- by stream and key --- */

static void print_keys(const struct replay_changes *c)
{
    (void)printf(",\"stream_result_counts\":{");
    replay_tell_counts(c->streams);
    (void)printf(",\"by_stream_and_key\":[");
    for (size_t i = 0; i < c->keys.count; i++) {
        (void)printf("%s{", i > 0 ? "," : "");
        print_key(changes_at(c, i)->key);
        (void)printf(",\"appears\":%" PRIu64 ",\"vanishes\":%" PRIu64 ",\"moves\":%" PRIu64 "}",
                     changes_at(c, i)->of[CHANGE_APPEARS], changes_at(c, i)->of[CHANGE_VANISHES],
                     changes_at(c, i)->of[CHANGE_MOVES]);
    }
    (void)printf("]");
}

static void add_key(struct table *table, struct text key)
{
    char cell[TABLE_CELL_BYTES] = "", part[TABLE_CELL_BYTES];
    struct text name, value;
    size_t cursor = 0, used = 0;
    while (used + 1 < sizeof cell && json_view_next(key, &cursor, &name, &value)) {
        json_view_print(value, part, sizeof part);
        int more = snprintf(cell + used, sizeof cell - used, "%s%.*s=%s", used > 0 ? " " : "",
                            (int)name.bytes, name.at, part);
        used += more > 0 ? (size_t)more : 0;
    }
    table_add(table, cell);
}

static void add_count(struct table *table, uint64_t count)
{
    char cell[32];
    (void)snprintf(cell, sizeof cell, "%" PRIu64, count);
    table_add(table, cell);
}

static void print_table(const struct replay_changes *c)
{
    static const char *const headers[] = { "stream", "key", ">appear", ">vanish", ">others" };
    struct table *table = c->keys.count > 0 ? table_make(headers, 5) : NULL;
    if (table == NULL)
        return;
    for (size_t i = 0; i < c->keys.count && i < ROWS_MAX; i++) {
        const struct told_changes *changes = changes_at(c, i);
        table_add(table, changes->key->stream);
        add_key(table, changes->key->text);
        for (int change = CHANGE_APPEARS; change < CHANGES; change++)
            add_count(table, changes->of[change]);
    }
    uint64_t before = c->alerts[CHANGE_MOVES] + c->windows[CHANGE_MOVES];
    for (int change = CHANGE_APPEARS; change < CHANGE_MOVES; change++)
        before += c->alerts[change] + c->windows[change];
    (void)printf("%s", before > 0 ? "\n" : ""); /* behind other tables */
    table_print(table, stdout);
    if (c->keys.count > ROWS_MAX)
        (void)printf("and %zu more keys; --json has them all\n", c->keys.count - ROWS_MAX);
}

void replay_tell_keys(struct replay_changes *c)
{
    if (c->json)
        print_keys(c);
    else
        print_table(c);
    growing_free(&c->keys);
}

/* --- alone --- */

static void count_stream(const struct replay_changes *c, const char *name, uint64_t counts[2])
{
    counts[0] = counts[1] = 0;
    for (size_t i = 0; i < c->keys.count; i++) {
        bool its = strcmp(changes_at(c, i)->key->stream, name) == 0;
        counts[0] += its;
        counts[1] += its ? changes_at(c, i)->of[CHANGE_APPEARS] : 0;
    }
}

void replay_tell_streams(struct replay_changes *c, const struct config *config)
{
    static const char *const headers[] = { "stream", ">keys", ">results" };
    bool shown = !c->json && config->stream_count > 0;
    struct table *table = shown ? table_make(headers, 3) : NULL;
    uint64_t counts[2];
    (void)printf("%s", c->json ? "[" : "");
    for (uint32_t i = 0; i < config->stream_count; i++) {
        count_stream(c, config->streams[i].name, counts);
        if (c->json) {
            (void)printf("%s{\"stream\":", i > 0 ? "," : "");
            config_print_quoted(text_of(config->streams[i].name), stdout);
            (void)printf(",\"keys\":%" PRIu64 ",\"results\":%" PRIu64 "}", counts[0], counts[1]);
        } else if (table != NULL) {
            table_add(table, config->streams[i].name);
            add_count(table, counts[0]);
            add_count(table, counts[1]);
        }
    }
    (void)printf("%s", c->json ? "]" : "");
    if (table != NULL)
        table_print(table, stdout);
    growing_free(&c->keys);
}
