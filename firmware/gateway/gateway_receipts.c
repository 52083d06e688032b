/* gateway_receipts: up to which number all messages of a device are stored, for devices that ask.
 * A device that sends at QoS 0, or has more on its way than it wants to count acknowledgements for,
 * can drop what the receipt covers. What is told is durable, as is the count itself: or a device
 * that has dropped what it was told of would wait for ever for a lower one to catch up. */
#include "firmware/gateway/gateway_state.h"

void receipts_init(struct receipts *r, const struct config *config, struct arena *arena)
{
    *r = (struct receipts){ .max = config_listens(config) ? config->sessions_max : 0 };
    if (r->max == 0)
        return;
    r->table = arena_take(arena, r->max, sizeof r->table[0]);
    r->slots_mask = 1;
    while (r->slots_mask < 2 * r->max)
        r->slots_mask *= 2;
    r->slots = arena_take(arena, r->slots_mask, sizeof r->slots[0]);
    r->slots_mask--;
}

/* --- by name ------------------------------------------------------------------------------------
 */

static struct text name_of(const struct receipt *r)
{
    return (struct text){ r->device, r->device_bytes };
}

static uint32_t home_of(const struct gateway *g, struct text device)
{
    return (uint32_t)hash64(g->config->engine.store, device.at, device.bytes) &
           g->receipts.slots_mask;
}

/* Its slot, or the vacant one where it would be; a slot holds the index in the table + 1. */
static uint32_t *slot_of(struct gateway *g, struct text device)
{
    struct receipts *r = &g->receipts;
    uint32_t at = home_of(g, device);
    while (r->slots[at] != 0 && !text_equal(name_of(&r->table[r->slots[at] - 1]), device))
        at = (at + 1) & r->slots_mask;
    return &r->slots[at];
}

/* After a place went to another device. */
static void index_anew(struct gateway *g)
{
    struct receipts *r = &g->receipts;
    memset(r->slots, 0, (r->slots_mask + 1) * sizeof r->slots[0]);
    for (uint32_t i = 0; i < r->used; i++)
        if (r->table[i].device_bytes > 0)
            *slot_of(g, name_of(&r->table[i])) = i + 1;
}

/* A new place, or that of the device that nobody asks about and that has not changed for longest. A
 * batch points to the name of one that changes. */
static struct receipt *find_place(struct receipts *r)
{
    struct receipt *found = NULL;
    if (r->used < r->max)
        return &r->table[r->used++];
    for (uint32_t i = 0; i < r->max; i++) {
        struct receipt *one = &r->table[i];
        if (one->watchers == 0 && !one->is_dirty && !one->in_flight &&
            (found == NULL || one->changed_ms < found->changed_ms))
            found = one;
    }
    return found;
}

static void enter(struct gateway *g, struct receipt *receipt, struct text device)
{
    bool vacant = receipt->device_bytes == 0;
    *receipt = (struct receipt){ .device_bytes = (uint8_t)device.bytes, .changed_ms = g->t_ms };
    memcpy(receipt->device, device.at, device.bytes);
    if (vacant)
        *slot_of(g, device) = (uint32_t)(receipt - g->receipts.table) + 1;
    else
        index_anew(g);
}

int gateway_receipt_watch(struct gateway *g, struct text device)
{
    struct receipts *r = &g->receipts;
    if (device.bytes == 0 || device.bytes > READING_NAME_BYTES_MAX)
        return WEIR_EINVAL;
    uint32_t slot = *slot_of(g, device);
    struct receipt *receipt = slot != 0 ? &r->table[slot - 1] : find_place(r);
    if (receipt == NULL)
        return WEIR_EFULL;
    if (slot == 0)
        enter(g, receipt, device);
    r->watchers++;
    receipt->watchers++;
    return (int)(receipt - r->table);
}

void gateway_receipt_unwatch(struct gateway *g, int receipt)
{
    g->receipts.table[receipt].watchers--;
    g->receipts.watchers--;
}

bool gateway_receipt(const struct gateway *g, int receipt, uint64_t *sequence)
{
    const struct receipt *r = &g->receipts.table[receipt];
    *sequence = r->committed;
    return r->is_committed;
}

/* --- counting -----------------------------------------------------------------------------------
 */

/* What is new and yet below has been counted from the start again. Further ahead than the map
 * reaches is forgotten: when it comes again it counts, as a duplicate. */
static void note(struct gateway *g, struct receipt *r, uint64_t number, bool is_new)
{
    uint64_t before = r->sequence, above = r->above;
    bool again = is_new && number < r->sequence;
    if (!r->is_known || again) {
        r->sequence = number;
        r->above = 0;
    } else if (number > r->sequence && number - r->sequence <= 64) {
        r->above |= UINT64_C(1) << (number - r->sequence - 1);
    }
    for (; (r->above & 1) != 0; r->above >>= 1)
        r->sequence++;
    if (r->is_known && r->sequence == before && r->above == above)
        return;
    r->is_known = true;
    r->changed_ms = g->t_ms;
    g->receipts.dirty += !r->is_dirty;
    r->is_dirty = true;
}

static void note_device(struct gateway *g, struct text device, uint64_t number, bool is_new)
{
    uint32_t slot = *slot_of(g, device);
    if (slot != 0)
        note(g, &g->receipts.table[slot - 1], number, is_new);
}

void receipts_note_message(struct gateway *g)
{
    const struct decoded *d = &g->decoded;
    if (g->receipts.watchers == 0)
        return;
    for (uint32_t i = 0; i < g->carried.count; i++) {
        const struct admission *a = &g->admissions[i];
        if (a->record.reading.has_sequence)
            note_device(g, a->record.reading.device, a->record.reading.sequence,
                        a->verdict == ADMIT_STORE);
    }
    for (uint32_t i = 0; i < d->bad_count && i < DECODED_BAD_MAX; i++)
        if (d->bad[i].has_sequence)
            note_device(g, d->bad[i].device, d->bad[i].sequence, false);
}

/* --- with the commit ----------------------------------------------------------------------------
 */

void receipts_seal(struct gateway *g, struct fill *f)
{
    struct receipts *r = &g->receipts;
    f->batch.receipts = f->receipts;
    for (uint32_t i = 0; i < r->used && r->dirty > 0; i++) {
        struct receipt *one = &r->table[i];
        if (!one->is_dirty)
            continue;
        one->is_dirty = false;
        one->in_flight = true;
        r->dirty--;
        one->sealed = one->sequence;
        f->receipts[f->batch.receipt_count++] =
            (struct receipt_row){ i, name_of(one), one->sequence, one->above };
    }
}

void receipts_committed(struct gateway *g, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->receipt_count; i++) {
        struct receipt *r = &g->receipts.table[batch->receipts[i].number];
        r->committed = r->sealed;
        r->in_flight = false;
        r->is_committed = true;
    }
}

static void on_receipt(void *ctx, const struct receipt_row *row)
{
    struct gateway *g = ctx;
    if (row->number >= g->receipts.max || row->device.bytes == 0 ||
        row->device.bytes > READING_NAME_BYTES_MAX || *slot_of(g, row->device) != 0)
        return;
    struct receipt *r = &g->receipts.table[row->number];
    *r = (struct receipt){ .sequence = row->sequence,
                           .above = row->above,
                           .committed = row->sequence,
                           .changed_ms = g->t_ms,
                           .is_known = true,
                           .is_committed = true,
                           .device_bytes = (uint8_t)row->device.bytes };
    memcpy(r->device, row->device.at, row->device.bytes);
    *slot_of(g, row->device) = row->number + 1;
    if (row->number >= g->receipts.used)
        g->receipts.used = row->number + 1;
}

int receipts_load(struct gateway *g, struct store *store)
{
    return g->receipts.max > 0 ? store_receipts_each(store, g, on_receipt) : 0;
}
