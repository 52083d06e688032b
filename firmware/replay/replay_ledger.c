#include "firmware/replay/replay_ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "pipeline/bytes.h"
#include "firmware/replay/replay_ledger_parts.h"

/* --- lists and where their items stand --- */

static struct told_alert *alert_at(const struct replay_ledger *l, size_t i)
{
    return (struct told_alert *)l->alerts.at + i;
}

static struct told_window *window_at(const struct replay_ledger *l, size_t i)
{
    return (struct told_window *)l->windows.at + i;
}

static struct told_series *series_at(const struct replay_ledger *l, size_t i)
{
    return (struct told_series *)l->series.at + i;
}

enum { BYTES_MAX_SHARE = 4 }; /* one part of so many of the machine's memory */
static const uint64_t BYTES_MAX = UINT64_C(2) << 30;

bool ledger_take(struct replay_ledger *l, size_t bytes)
{
    if (bytes > l->bytes_max - l->bytes) {
        l->full = true;
        return false;
    }
    l->bytes += bytes;
    return true;
}

void *ledger_add(struct replay_ledger *l, struct growing *list)
{
    size_t more = list->count < list->room ? 0 : list->room > 0 ? list->room : 256;
    void *item = ledger_take(l, more * list->item_bytes) ? growing_add(list) : NULL;
    l->full = l->full || item == NULL;
    return item;
}

void index_put(struct told_index *index, uint64_t key, size_t item)
{
    size_t slot = (size_t)(key & index->mask);
    while (index->slots[slot] != 0)
        slot = (slot + 1) & index->mask;
    index->slots[slot] = (uint32_t)(item + 1);
}

bool index_grow(struct replay_ledger *l, struct told_index *index, size_t count,
                uint64_t (*key_at)(const struct replay_ledger *, size_t))
{
    if (index->slots != NULL && 2 * (count + 1) <= index->mask + 1)
        return true;
    size_t slots = index->slots == NULL ? 1024 : 2 * (index->mask + 1);
    size_t more = index->slots == NULL ? slots : slots / 2;
    uint32_t *made = ledger_take(l, more * sizeof *made) ? calloc(slots, sizeof *made) : NULL;
    if (made == NULL) {
        l->full = true;
        return false;
    }
    free(index->slots);
    index->slots = made;
    index->mask = slots - 1;
    for (size_t i = 0; i < count; i++)
        index_put(index, key_at(l, i), i);
    return true;
}

static uint64_t alert_key_at(const struct replay_ledger *l, size_t i)
{
    return alert_at(l, i)->key.low;
}

static uint64_t window_key_at(const struct replay_ledger *l, size_t i)
{
    return window_at(l, i)->key;
}

static uint64_t series_key(struct text device, struct text metric)
{
    struct hash_state h;
    hash_begin(&h, LEDGER_HASH, 0);
    hash_add(&h, device.at, device.bytes);
    hash_add(&h, "/", 1);
    hash_add(&h, metric.at, metric.bytes);
    return hash_end64(&h);
}

static uint64_t series_key_at(const struct replay_ledger *l, size_t i)
{
    const struct told_series *s = series_at(l, i);
    return series_key(text_of(s->device), text_of(s->metric));
}

static void copy_name(char *to, struct text name)
{
    size_t bytes = name.bytes < READING_NAME_BYTES_MAX ? name.bytes : READING_NAME_BYTES_MAX;
    if (bytes > 0)
        memcpy(to, name.at, bytes);
    to[bytes] = '\0';
}

/* --- life --- */

void replay_ledger_begin(struct replay_ledger *l)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes_max = pages > 0 && page_bytes > 0
                             ? (uint64_t)pages * (uint64_t)page_bytes / BYTES_MAX_SHARE
                             : BYTES_MAX;
    if (bytes_max > BYTES_MAX)
        bytes_max = BYTES_MAX;
    *l = (struct replay_ledger){
        .alerts = { .item_bytes = sizeof(struct told_alert) },
        .windows = { .item_bytes = sizeof(struct told_window) },
        .series = { .item_bytes = sizeof(struct told_series) },
        .results = { .item_bytes = sizeof(struct told_result) },
        .keys = { .item_bytes = sizeof(struct told_key) },
        .bytes_max = (size_t)bytes_max,
    };
}

void replay_ledger_end(struct replay_ledger *l)
{
    growing_free(&l->alerts);
    growing_free(&l->windows);
    growing_free(&l->series);
    growing_free(&l->results);
    growing_free(&l->keys);
    free(l->alert_index.slots);
    free(l->window_index.slots);
    free(l->series_index.slots);
    free(l->result_index.slots);
    free(l->key_index.slots);
    free(l->texts);
    *l = (struct replay_ledger){ 0 };
}

int replay_ledger_check(const struct replay_ledger *l)
{
    if (!l->full)
        return CLI_OK;
    (void)fprintf(stderr, "weir: what it says is more than the %zu MiB that are kept of it, and is "
                  "not compared; take less with --from and --to\n", l->bytes_max >> 20);
    return CLI_PROBLEM;
}

/* --- what is said --- */

/* NULL: no room, as below. */
static struct told_alert *alert_of(struct replay_ledger *l, const struct alert_event *event)
{
    if (!index_grow(l, &l->alert_index, l->alerts.count, alert_key_at))
        return NULL;
    size_t slot = (size_t)(event->key.low & l->alert_index.mask);
    for (; l->alert_index.slots[slot] != 0; slot = (slot + 1) & l->alert_index.mask) {
        struct told_alert *a = alert_at(l, l->alert_index.slots[slot] - 1);
        if (a->key.low == event->key.low && a->key.high == event->key.high)
            return a;
    }
    struct told_alert *a = ledger_add(l, &l->alerts);
    if (a == NULL)
        return NULL;
    *a = (struct told_alert){ .key = event->key, .onset_ms = event->alert->onset_event_ms,
                              .raised_ms = event->event_time_ms, .cleared_ms = INT64_MAX };
    copy_name(a->device, event->device);
    copy_name(a->metric, event->metric);
    (void)snprintf(a->rule, sizeof a->rule, "%s", event->rule->name);
    l->alert_index.slots[slot] = (uint32_t)l->alerts.count;
    return a;
}

void replay_ledger_alert(struct replay_ledger *l, const struct alert_event *event)
{
    struct told_alert *a = alert_of(l, event);
    if (a == NULL)
        return;
    if (event->severity > a->severity)
        a->severity = event->severity;
    if (event->transition == ALERT_CLEAR) {
        a->cleared_ms = event->event_time_ms;
        return;
    }
    a->reason = event->alert->reason;
    a->observed = event->alert->peak.observed;
    a->score = event->alert->peak.score;
}

/* UINT32_MAX: no room. */
static uint32_t series_of(struct replay_ledger *l, struct text device, struct text metric)
{
    if (!index_grow(l, &l->series_index, l->series.count, series_key_at))
        return UINT32_MAX;
    size_t slot = (size_t)(series_key(device, metric) & l->series_index.mask);
    for (; l->series_index.slots[slot] != 0; slot = (slot + 1) & l->series_index.mask) {
        uint32_t i = l->series_index.slots[slot] - 1;
        if (text_equal(text_of(series_at(l, i)->device), device) &&
            text_equal(text_of(series_at(l, i)->metric), metric))
            return i;
    }
    struct told_series *s = ledger_add(l, &l->series);
    if (s == NULL)
        return UINT32_MAX;
    copy_name(s->device, device);
    copy_name(s->metric, metric);
    l->series_index.slots[slot] = (uint32_t)l->series.count;
    return (uint32_t)(l->series.count - 1);
}

static uint64_t hash_of(const struct aggregate *a)
{
    uint8_t bytes[128];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_u64(&w, a->count);
    const double numbers[] = { a->mean, a->m2, a->min, a->max, a->first, a->last };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_f64(&w, numbers[i]);
    return hash64(LEDGER_HASH, bytes, w.used);
}

static uint64_t window_key(struct text device, struct text metric, int64_t start_ms, int64_t end_ms)
{
    const uint64_t parts[] = { series_key(device, metric), (uint64_t)start_ms, (uint64_t)end_ms };
    return hash64(LEDGER_HASH, parts, sizeof parts);
}

static struct told_window *window_find(const struct replay_ledger *l, uint64_t key)
{
    if (l->window_index.slots == NULL)
        return NULL;
    size_t slot = (size_t)(key & l->window_index.mask);
    for (; l->window_index.slots[slot] != 0; slot = (slot + 1) & l->window_index.mask)
        if (window_at(l, l->window_index.slots[slot] - 1)->key == key)
            return window_at(l, l->window_index.slots[slot] - 1);
    return NULL;
}

void replay_ledger_window(struct replay_ledger *l, const struct window_result *result)
{
    uint64_t key = window_key(result->device, result->metric, result->start_ms, result->end_ms);
    struct told_window *w = window_find(l, key);
    if (w == NULL) {
        uint32_t series = series_of(l, result->device, result->metric);
        bool room = series != UINT32_MAX &&
                    index_grow(l, &l->window_index, l->windows.count, window_key_at);
        w = room ? ledger_add(l, &l->windows) : NULL;
        if (w == NULL)
            return;
        *w = (struct told_window){ .key = key, .start_ms = result->start_ms, .series = series };
        index_put(&l->window_index, key, l->windows.count - 1);
    }
    w->value = hash_of(&result->aggregate);
    w->mean = result->aggregate.mean;
    w->count = result->aggregate.count;
    w->revision = result->revision;
}

/* --- comparing --- */

const char *change_name(enum change change)
{
    static const char *const names[CHANGES] = { "same", "appears", "vanishes", "moves" };
    return names[change];
}

static int order_of_triple(const struct told_alert *a, const struct told_alert *b)
{
    int order = strcmp(a->rule, b->rule);
    order = order != 0 ? order : strcmp(a->device, b->device);
    return order != 0 ? order : strcmp(a->metric, b->metric);
}

static int order_of_alerts(const void *first, const void *second)
{
    const struct told_alert *a = first, *b = second;
    int order = order_of_triple(a, b);
    if (order != 0)
        return order;
    return a->onset_ms < b->onset_ms ? -1 : a->onset_ms > b->onset_ms;
}

static bool says_the_same(const struct told_alert *a, const struct told_alert *b)
{
    return a->onset_ms == b->onset_ms && a->raised_ms == b->raised_ms &&
           a->cleared_ms == b->cleared_ms && a->severity == b->severity && a->reason == b->reason;
}

/* Whichever is over first of two that do not overlap has no other. */
static enum change judge(const struct told_alert *then, const struct told_alert *now)
{
    int order = then == NULL ? 1 : now == NULL ? -1 : order_of_triple(then, now);
    if (order != 0)
        return order < 0 ? CHANGE_VANISHES : CHANGE_APPEARS;
    if (then->cleared_ms < now->onset_ms)
        return CHANGE_VANISHES;
    if (now->cleared_ms < then->onset_ms)
        return CHANGE_APPEARS;
    return says_the_same(then, now) ? CHANGE_SAME : CHANGE_MOVES;
}

static void sort_alerts(struct replay_ledger *l)
{
    if (l->alerts.count > 1)
        qsort(l->alerts.at, l->alerts.count, sizeof(struct told_alert), order_of_alerts);
    free(l->alert_index.slots); /* they stand elsewhere now */
    l->alert_index = (struct told_index){ 0 };
}

void replay_compare_alerts(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                           void (*on_change)(void *ctx, const struct alert_change *change))
{
    size_t a = 0, b = 0;
    sort_alerts(then);
    sort_alerts(now);
    while (a < then->alerts.count || b < now->alerts.count) {
        struct alert_change c = {
            .then = a < then->alerts.count ? alert_at(then, a) : NULL,
            .now = b < now->alerts.count ? alert_at(now, b) : NULL,
        };
        c.change = judge(c.then, c.now);
        if (c.change == CHANGE_VANISHES)
            c.now = NULL;
        if (c.change == CHANGE_APPEARS)
            c.then = NULL;
        a += c.then != NULL;
        b += c.now != NULL;
        on_change(ctx, &c);
    }
}

void replay_compare_windows(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                            void (*on_change)(void *ctx, const struct window_change *change))
{
    for (size_t i = 0; i < then->windows.count; i++) {
        const struct told_window *w = window_at(then, i), *other = window_find(now, w->key);
        enum change change = other == NULL               ? CHANGE_VANISHES
                             : other->value == w->value ? CHANGE_SAME
                                                         : CHANGE_MOVES;
        on_change(ctx, &(struct window_change){ change, series_at(then, w->series), w, other });
    }
    for (size_t i = 0; i < now->windows.count; i++) {
        const struct told_window *w = window_at(now, i);
        if (window_find(then, w->key) == NULL)
            on_change(ctx, &(struct window_change){ CHANGE_APPEARS, series_at(now, w->series),
                                                    NULL, w });
    }
}
