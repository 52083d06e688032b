#include "pipeline/alerts/maintenance.h"

#include <assert.h>

#include "pipeline/err.h"

static struct maintenance *find(struct maintenance_list *list, struct text device)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (text_equal(text_of(list->of[i].device), device))
            return &list->of[i];
    return NULL;
}

static void copy(char *to, struct text text)
{
    if (text.bytes > 0)
        memcpy(to, text.at, text.bytes);
    to[text.bytes] = '\0';
}

/* A name that ends in the middle would be another device's. */
static bool is_text(struct text text, uint32_t bytes_max)
{
    return text.bytes <= bytes_max && (text.bytes == 0 || memchr(text.at, 0, text.bytes) == NULL);
}

int maintenance_begin(struct maintenance_list *list, const struct maintenance_order *order,
                      int64_t wall_ms)
{
    if (order->device.bytes == 0 || !is_text(order->device, READING_NAME_BYTES_MAX) ||
        !is_text(order->reason, MAINTENANCE_REASON_BYTES_MAX) || order->until_ms <= wall_ms ||
        order->until_ms >= TIME_MS_MAX)
        return WEIR_EINVAL;
    struct maintenance *m = find(list, order->device);
    if (m == NULL && list->count == MAINTENANCE_MAX)
        return WEIR_EFULL;
    if (m == NULL) {
        m = &list->of[list->count++];
        copy(m->device, order->device);
        m->since_ms = wall_ms;
    }
    if (m->since_ms > wall_ms) /* the clock was ahead */
        m->since_ms = wall_ms;
    copy(m->reason, order->reason);
    m->until_ms = order->until_ms;
    return 0;
}

static void take_out(struct maintenance_list *list, struct maintenance *m,
                     struct maintenance *ended)
{
    size_t at = (size_t)(m - list->of);
    assert(at < list->count);
    *ended = *m;
    list->count--;
    memmove(m, m + 1, (list->count - at) * sizeof *m);
}

bool maintenance_end(struct maintenance_list *list, struct text device,
                     struct maintenance *ended)
{
    struct maintenance *m = find(list, device);
    if (m != NULL)
        take_out(list, m, ended);
    return m != NULL;
}

bool maintenance_expire(struct maintenance_list *list, int64_t wall_ms,
                        struct maintenance *ended)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->of[i].until_ms <= wall_ms) {
            take_out(list, &list->of[i], ended);
            return true;
        }
    return false;
}

int64_t maintenance_next_ms(const struct maintenance_list *list)
{
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < list->count; i++)
        if (list->of[i].until_ms < next_ms)
            next_ms = list->of[i].until_ms;
    return next_ms;
}

bool maintenance_covers(const struct maintenance_list *list, struct text device, int64_t wall_ms)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->of[i].until_ms > wall_ms && text_matches(list->of[i].device, device))
            return true;
    return false;
}

void maintenance_save(const struct maintenance_list *list, struct byte_writer *w)
{
    put_u8(w, (uint8_t)list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        put_text(w, text_of(list->of[i].device));
        put_text(w, text_of(list->of[i].reason));
        put_i64(w, list->of[i].since_ms);
        put_i64(w, list->of[i].until_ms);
    }
}

static bool load_one(struct maintenance_list *list, struct byte_reader *r)
{
    struct maintenance_order order = { .device = get_text(r) };
    order.reason = get_text(r);
    int64_t since_ms = get_time(r);
    order.until_ms = get_time(r);
    uint32_t before = list->count;
    return !r->failed && maintenance_begin(list, &order, since_ms) == 0 && list->count > before;
}

void maintenance_load(struct maintenance_list *list, struct byte_reader *r)
{
    uint32_t count = get_u8(r);
    *list = (struct maintenance_list){ .count = 0 };
    if (count > MAINTENANCE_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++)
        if (!load_one(list, r))
            r->failed = true;
}
