#include "simulator/faulty_medium.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/chance.h"

static void image_size(struct image *image, size_t bytes)
{
    if (bytes > image->room) {
        size_t room = image->room < 4096 ? 4096 : image->room;
        while (room < bytes)
            room *= 2;
        image->at = realloc(image->at, room);
        assert(image->at != NULL);
        image->room = room;
    }
    if (bytes > image->bytes)
        memset(image->at + image->bytes, 0, bytes - image->bytes);
    image->bytes = bytes;
}

static void image_write(struct image *image, const uint8_t *at, size_t offset, size_t bytes)
{
    if (offset + bytes > image->bytes)
        image_size(image, offset + bytes);
    memcpy(image->at + offset, at, bytes);
}

static void image_copy(struct image *to, const struct image *from)
{
    image_size(to, from->bytes);
    if (from->bytes > 0)
        memcpy(to->at, from->at, from->bytes);
}

/* --- what reaches the medium ---------------------------------------------------------------- */

static void change_keep(struct medium *m, const struct change *change)
{
    if (change->at == NULL)
        image_size(&m->kept, change->offset);
    else
        image_write(&m->kept, change->at, change->offset, change->bytes);
}

/* Sectors are those of the medium, so a write that begins inside one shares it with others. */
static void change_tear(struct medium *m, const struct change *change, uint64_t *chance)
{
    size_t at = 0;
    while (at < change->bytes) {
        size_t part = MEDIUM_SECTOR_BYTES - (change->offset + at) % MEDIUM_SECTOR_BYTES;
        part = part < change->bytes - at ? part : change->bytes - at;
        if (chance_below(chance, 2) == 0)
            image_write(&m->kept, change->at + at, change->offset + at, part);
        at += part;
    }
}

static void change_decide(struct medium *m, const struct change *change, uint64_t *chance)
{
    uint32_t fate = chance_below(chance, 3);
    if (fate == 0)
        change_keep(m, change);
    else if (fate == 1 && change->at != NULL)
        change_tear(m, change, chance);
}

void medium_settle(struct medium *m, uint64_t *chance)
{
    for (size_t i = 0; i < m->change_count; i++) {
        if (chance == NULL)
            change_keep(m, &m->changes[i]);
        else
            change_decide(m, &m->changes[i], chance);
        free(m->changes[i].at);
    }
    m->change_count = 0;
}

void medium_promise(struct medium *m, const void *at, size_t offset, size_t bytes)
{
    if (m->change_count == m->change_room) {
        m->change_room = m->change_room == 0 ? 16 : 2 * m->change_room;
        m->changes = realloc(m->changes, m->change_room * sizeof *m->changes);
        assert(m->changes != NULL);
    }
    struct change *change = &m->changes[m->change_count++];
    *change = (struct change){ NULL, offset, bytes };
    if (at != NULL) {
        change->at = malloc(bytes > 0 ? bytes : 1);
        assert(change->at != NULL);
        memcpy(change->at, at, bytes);
    }
}

/* --- as a file ------------------------------------------------------------------------------ */

void medium_write(struct medium *m, const void *at, size_t offset, size_t bytes)
{
    image_write(&m->seen, at, offset, bytes);
    medium_promise(m, at, offset, bytes);
}

void medium_truncate(struct medium *m, size_t bytes)
{
    image_size(&m->seen, bytes);
    medium_promise(m, NULL, bytes, 0);
}

void medium_forget(struct medium *m)
{
    for (size_t i = 0; i < m->change_count; i++)
        free(m->changes[i].at);
    m->change_count = 0;
}

void medium_empty(struct medium *m)
{
    medium_forget(m);
    image_size(&m->seen, 0); /* the memory serves the next file */
    image_size(&m->kept, 0);
}

void medium_reread(struct medium *m, bool there)
{
    if (!there)
        image_size(&m->kept, 0);
    image_copy(&m->seen, &m->kept);
}

void medium_free(struct medium *m)
{
    medium_forget(m);
    free(m->seen.at);
    free(m->kept.at);
    free(m->changes);
    *m = (struct medium){ 0 };
}
