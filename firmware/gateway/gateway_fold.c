/* gateway_fold: the state once more: the newest checkpoint, then the journal behind it, by the
 * configurations that were in force, each as far as it was, and by the present one from there on.
 * Where one of them can't be had, another stands in for it: then a rule that came or went meanwhile
 * is judged as if it had not, which the log says. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/gateway/checkpoint_form.h"
#include "firmware/gateway/gateway_state.h"

struct room { /* for a state, and for its saved form */
    void *engine;
    size_t engine_bytes, engine_used;
    uint8_t *shadow;
    size_t shadow_bytes;
};

struct fold { /* what rebuilding takes; lives in memory that main gives back */
    struct gateway *g;
    struct store *store;
    struct fold_memory memory;
    uint64_t last;               /* block committed */
    const struct config *config; /* by which the state is meant */
    struct folded done;
    struct room own;             /* the gateway's */
    void *wide, *wide_before;    /* of the heap; NULL: its own was enough */
    size_t wide_bytes;           /* of `wide` */
    struct numbering now;        /* by `config` */
    uint64_t numbered_from;      /* first block of the numbering below; UINT64_MAX: none was read */
    struct renumbering renumbering;
    char *why;                   /* 256 bytes */
};

/* --- room --- */

static struct room room_of(const struct gateway *g)
{
    return (struct room){ g->engine_memory, g->engine_bytes, g->engine_used, g->checkpoint.shadow,
                          g->checkpoint.shadow_bytes_max };
}

static void use_shadow(struct gateway *g, const struct room *room)
{
    g->checkpoint.shadow = room->shadow;
    g->checkpoint.shadow_bytes_max = room->shadow_bytes;
}

static void use_engine(struct gateway *g, const struct room *room)
{
    g->engine_memory = room->engine;
    g->engine_bytes = room->engine_bytes;
    g->engine_used = room->engine_used;
}

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Room for an engine and a saved state of so many bytes from now on, of the heap where the
 * gateway's own is too small. What is in the present one stays there until the next call. False: as
 * it was. */
static bool widen(struct fold *f, size_t engine_bytes, size_t shadow_bytes)
{
    const struct room now = room_of(f->g);
    struct room wide = { .engine_bytes = more(engine_bytes, now.engine_bytes),
                         .shadow_bytes = more(shadow_bytes, now.shadow_bytes) };
    size_t gap = wide.engine_bytes + ARENA_ALIGN - wide.engine_bytes % ARENA_ALIGN;
    if (engine_bytes <= now.engine_bytes && shadow_bytes <= now.shadow_bytes)
        return true;
    if ((uint64_t)gap + wide.shadow_bytes + f->wide_bytes > f->memory.heap_bytes_max)
        return false;
    free(f->wide_before); /* nothing is in it any more */
    f->wide_before = NULL;
    uint8_t *at = calloc(1, gap + wide.shadow_bytes);
    if (at == NULL)
        return false;
    if (now.engine == f->own.engine)
        f->own = now;
    f->wide_before = f->wide;
    f->wide = wide.engine = at;
    f->wide_bytes = gap + wide.shadow_bytes;
    wide.shadow = at + gap;
    use_engine(f->g, &wide);
    use_shadow(f->g, &wide);
    return true;
}

static void narrow(struct fold *f)
{
    if (f->g->engine_memory != f->own.engine)
        use_engine(f->g, &f->own);
    use_shadow(f->g, &f->own);
    free(f->wide);
    free(f->wide_before);
}

/* --- configurations --- */

static bool is_of(const struct config *config, struct text digest)
{
    return digest.bytes == sizeof config->digest &&
           memcmp(digest.at, config->digest, digest.bytes) == 0;
}

static const char *read_config(struct fold *f, struct text text, struct config *to)
{
    if (text.bytes == 0)
        return "the store does not hold its text";
    if (to == NULL)
        return "there is no room for it";
    if (config_read_text("the journal's configuration", text.at, text.bytes, to, NULL) != 0)
        return "it is none to this version";
    to->engine.store = f->g->config->engine.store;
    if (!widen(f, reload_engine_bytes(to), engine_save_bytes_max(&to->engine)))
        return "its state takes more memory than there is beside the present budget";
    return NULL;
}

/* NULL: it can't be had, for *missing. */
static const struct config *config_of(struct fold *f, struct text digest, struct text text,
                                      const char **missing)
{
    const struct gateway *g = f->g;
    if (is_of(f->config, digest))
        return f->config;
    if (is_of(g->config, digest))
        return g->config;
    struct config *to = f->memory.then[f->config == f->memory.then[0] ? 1 : 0];
    *missing = read_config(f, text, to);
    return *missing == NULL ? to : NULL;
}

static void tell_missing(const struct fold *f, uint64_t from, const char *why)
{
    char details[256];
    const struct gateway *g = f->g;
    (void)snprintf(details, sizeof details,
                   "block=%llu what=\"what follows is folded by another one\" why=\"%s\"",
                   (unsigned long long)from, why);
    g->ports.log(g->ports.ctx, "configuration_unknown", details);
}

static void take_config(struct fold *f, const struct config *config)
{
    f->config = config;
    f->numbered_from = UINT64_MAX;
    numbering_of(config, &f->now);
}

/* --- the checkpoint --- */

static int too_much(struct fold *f)
{
    (void)snprintf(f->why, 256, "the store holds the state of more devices or series than "
                                "limits.devices and limits.series now allow; raise them");
    return WEIR_EFULL;
}

/* Of one that is not whole the version is looked at, no more. */
static int load_bytes(struct fold *f, struct text state, bool whole)
{
    struct byte_reader r = { (const uint8_t *)state.at, state.bytes, 0, false };
    start_engine_anew(f->g, f->config);
    int error = engine_load(f->g->engine, &r, &f->done.reset);
    return !whole && error != WEIR_EVERSION ? WEIR_EFULL : error;
}

/* The first that the journal names behind the block; NULL: none that can be had. */
static const struct config *config_ahead(struct fold *f, uint64_t block)
{
    struct record record;
    struct text bytes = { (const char *)f->memory.block, 0 };
    const char *missing;
    for (uint64_t number = block, from = block + 1;; from = number + 1) {
        size_t used = 0;
        int error = store_block_read(f->store, from, f->memory.block, f->memory.block_bytes,
                                     &number, &used);
        if (error != 0 || number == 0)
            return NULL; /* the fold finds the same, and says so */
        if (f->g->ports.folding != NULL)
            f->g->ports.folding(f->g->ports.ctx, number, 0);
        bytes.bytes = (uint32_t)used;
        int more = block_open(f->memory.reader, bytes) == 0;
        while (more == 1 && (more = block_next(f->memory.reader, &record)) == 1)
            if (record.kind == RECORD_CONFIG)
                return config_of(f, record.digest, record.content, &missing);
    }
}

/* By which the state of this block is meant. Where that can't be had, the next one stands in for
 * it: it mostly is the same, and the gateway went over to that one's rules in any case. */
static const struct config *config_at(struct fold *f, uint64_t block,
                                      const struct checkpoint_parts *parts)
{
    const char *missing = NULL;
    const struct config *config = config_of(f, parts->digest, parts->config, &missing);
    if (config != NULL)
        return config;
    if (block < f->last) {
        tell_missing(f, block + 1, missing);
        config = config_ahead(f, block);
    }
    return config != NULL ? config : f->g->config;
}

static int load_state(struct fold *f, const struct checkpoint_place *place)
{
    bool whole = widen(f, 0, place->bytes);
    const struct room room = room_of(f->g);
    int error = store_checkpoint_read_at(f->store, place, room.shadow, room.shadow_bytes);
    if (error != 0)
        return error;
    uint32_t bytes = whole ? place->bytes : (uint32_t)room.shadow_bytes;
    struct checkpoint_parts parts = { .state = { (const char *)room.shadow, bytes } };
    if (whole)
        parts = checkpoint_parts(parts.state);
    if (whole)
        take_config(f, config_at(f, place->block, &parts));
    error = load_bytes(f, parts.state, whole);
    if (error != WEIR_EFULL || f->config == f->g->config)
        return error;
    tell_missing(f, place->block + 1, "its limits are lower to this version");
    take_config(f, f->g->config);
    return load_bytes(f, parts.state, whole);
}

/* The newest that can be read: one that a newer Weir took before it was rolled back is passed over,
 * for a longer fold. done.block: what the loaded state is as of; 0: there was none to load, the
 * whole journal is folded. */
static int load_checkpoint(struct fold *f)
{
    struct gateway *g = f->g;
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count;
    int error = store_checkpoints(f->store, places, &count);
    for (uint32_t i = 0; error == 0 && i < count && f->done.block == 0; i++) {
        int unread = load_state(f, &places[i]);
        if (unread == 0) {
            g->checkpoint.total_bytes = places[i].bytes;
            f->done.block = places[i].block;
        } else if (unread == WEIR_EFULL) {
            error = too_much(f);
        } else if (unread != WEIR_ECORRUPT && unread != WEIR_EVERSION) {
            (void)snprintf(f->why, 256, "a checkpoint: %.200s", store_why(f->store));
            error = unread; /* the disk may do better at the next start */
        } else {
            g->ports.log(g->ports.ctx, "checkpoint_unreadable", weir_err_text(unread));
            store_checkpoint_pass_over(f->store, &places[i]);
            take_config(f, g->config);
            start_engine_anew(g, g->config);
            f->done.reset = 0;
        }
    }
    return error;
}

/* --- the journal --- */

/* How the numbers of this block are meant, in those of f->config. */
static int learn_numbering(struct fold *f, uint64_t block)
{
    uint8_t packed[NUMBERING_BYTES_MAX];
    struct numbering then;
    uint64_t from = 0;
    size_t bytes = 0;
    int error = store_numbering_read(f->store, block, packed, sizeof packed, &from, &bytes);
    if (error == WEIR_EFULL)
        bytes = 0;
    else if (error != 0)
        return error;
    if (from == f->numbered_from)
        return 0;
    f->numbered_from = from;
    bool known = bytes > 0 &&
                 numbering_unpack((struct text){ (const char *)packed, (uint32_t)bytes }, &then);
    f->renumbering = (struct renumbering){ .same = true };
    if (known)
        f->renumbering = renumbering_from(&then, &f->now);
    return 0;
}

/* As the gateway went over then, at a start or by a reload. Where that one can't be had the one
 * before goes on; and what does not fit there stays as it is, for it never was under that one. */
static int follow_config(struct fold *f, uint64_t block, const struct record *record)
{
    uint32_t reset;
    const char *missing = NULL;
    const struct config *to = config_of(f, record->digest, record->content, &missing);
    if (to == NULL)
        tell_missing(f, block, missing);
    if (to == NULL || to == f->config)
        return 0;
    int error = reload_change_over(f->g, f->config, to, &reset);
    engine_begin_block(f->g->engine, block);
    if (error != 0)
        return error == WEIR_EFULL ? 0 : error;
    take_config(f, to);
    return learn_numbering(f, block);
}

static int fold_block(struct fold *f, uint64_t number, size_t bytes)
{
    struct record record;
    struct gateway *g = f->g;
    struct block_reader *reader = f->memory.reader;
    struct decoder *idle = &g->decoder; /* it has nothing to decode yet */
    struct byte_writer room = { idle->extra, idle->extra_bytes, 0, false };
    int error = block_open(reader, (struct text){ (const char *)f->memory.block, (uint32_t)bytes });
    if (error != 0)
        return error;
    engine_begin_block(g->engine, number);
    error = learn_numbering(f, number);
    if (error != 0)
        return error;
    while ((error = block_next(reader, &record)) == 1) {
        if (record.kind == RECORD_CONFIG && (error = follow_config(f, number, &record)) != 0)
            return error;
        renumber(&f->renumbering, &record, &room);
        engine_apply(g->engine, &record, NULL);
        f->done.readings += record.kind == RECORD_READING;
    }
    f->done.bytes += bytes;
    return error;
}

static int fold_journal(struct fold *f)
{
    const struct gateway_ports *ports = &f->g->ports;
    uint64_t number = 0, from = f->done.block + 1;
    size_t bytes = 0;
    for (;;) {
        int error = store_block_read(f->store, from, f->memory.block, f->memory.block_bytes,
                                     &number, &bytes);
        if (error == 0 && number == 0)
            return 0;
        if (error == 0)
            error = fold_block(f, number, bytes);
        if (error != 0) {
            (void)snprintf(f->why, 256, "journal block %llu: %s", (unsigned long long)number,
                           weir_err_text(error));
            return error;
        }
        f->g->recovered_blocks++;
        from = number + 1;
        if (ports->folding != NULL)
            ports->folding(ports->ctx, number, f->done.readings);
    }
}

/* From the last that the journal names to the present one, as a reload goes: of alerts that outlive
 * their rules so it is told when the journal says that the present one is in force. */
static int enter_present(struct fold *f)
{
    struct gateway *g = f->g;
    bool own = g->engine_memory == f->own.engine;
    if (own && f->config == g->config)
        return 0;
    engine_begin_block(g->engine, f->last + 1); /* that is going to say so */
    size_t bytes = reload_save(g);
    if (!own)
        use_engine(g, &f->own);
    int error = reload_load(g, g->config, bytes, &f->done.reset);
    return error == WEIR_EFULL ? too_much(f) : error;
}

int fold_state(struct gateway *g, struct store *store, struct fold_memory memory, uint64_t last,
               struct folded *to, char *why)
{
    struct fold f = { .g = g, .store = store, .memory = memory, .last = last, .why = why };
    f.own = room_of(g);
    take_config(&f, g->config);
    int error = load_checkpoint(&f);
    if (error == 0)
        error = fold_journal(&f);
    if (error == 0)
        error = enter_present(&f);
    narrow(&f);
    *to = f.done;
    if (error == 0)
        start_tell_reset(g, to->reset);
    return error;
}
