/* `weir import`: what `weir export` wrote, as a store of its own, to be replayed. A row of CSV
 * becomes the line that it would have been, behind a configuration and a clock that are given. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config_parts.h"
#include "firmware/gateway/gateway.h"
#include "firmware/gateway/replay.h"
#include "firmware/replay/journal_csv.h"
#include "firmware/replay/journal_line.h"
#include "pipeline/err.h"
#include "pipeline/hash.h"
#include "storage/block.h"
#include "storage/store.h"

static const char help[] =
    "usage: weir import FILE.jsonl --store NEW.db [--dry-run]\n"
    "       weir import FILE.csv --store NEW.db --config FILE [--dry-run]\n\n"
    "What `weir export` wrote, from the first block on, as a new store that holds the same\n"
    "journal, bit for bit, for `weir replay --store NEW.db`. It holds nothing else: no outbox, no\n"
    "dead letters, no checkpoint. It is not to be run: it bears the id of the store it came from.\n"
    "\n"
    "CSV (`weir export --format csv`) holds readings alone: they are journalled in their blocks,\n"
    "under an id of their own, by the configuration that --config names, each as if it had\n"
    "arrived when it was made; for `weir replay --store NEW.db --config FILE`.\n\n"
    "  --config FILE   CSV: whose sources they came by\n"
    "  --dry-run       read it all, write nothing; --store may be left out\n\n"
    "Exit status: 0 done, 1 a file can't be read or written, 2 not understood, 78 wrong\n"
    "configuration.\n";

struct importing {
    const char *path;
    uint32_t line;
    struct store *store;
    struct store_recovery recovery;
    struct block_builder *block;
    uint8_t *bytes;           /* the finished block */
    size_t bytes_max;
    uint64_t number;          /* of the block that fills; 0: none */
    int64_t t_ms, offset_ms;
    struct ledger ledger;
    uint64_t readings, blocks;
    struct config *config;    /* in force; NULL: none yet */
    bool begun, dry;
    void *memory;
};

static int complain(const struct importing *m, const char *what)
{
    (void)fprintf(stderr, "weir: %s:%u: %s\n", m->path, m->line, what);
    return CLI_PROBLEM;
}

/* --- the store --- */

static int open_store(struct importing *m, const char *to, const struct journal_line *l)
{
    m->begun = true;
    if (m->dry)
        return CLI_OK;
    char why[256] = "";
    uint64_t entropy[2] = { l->store_id[0], l->store_id[1] };
    const struct store_config config = {
        .path = to,
        .disk_bytes_max = UINT64_C(1) << 42,
        .wal_bytes_max = 64 * 1024 * 1024,
        .journal_bytes_max = UINT64_MAX,
        .letters_bytes_max = UINT64_MAX,
    };
    if (access(to, F_OK) == 0) {
        (void)fprintf(stderr, "weir: %s: it is there already; name a new file\n", to);
        return CLI_PROBLEM;
    }
    int err = store_open(&config, entropy, &m->store, &m->recovery, why);
    if (err == 0)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s: %s\n", to, why[0] != '\0' ? why : weir_err_text(err));
    return CLI_PROBLEM;
}

static int commit(struct importing *m, uint64_t number, struct text journal, uint32_t readings)
{
    struct batch batch = {
        .block = number,
        .t_ms = m->t_ms,
        .wall_ms = m->t_ms + m->offset_ms,
        .journal = journal,
        .readings = readings,
        .ledger = m->ledger,
    };
    if (m->dry)
        return CLI_OK;
    memcpy(batch.lanes, m->recovery.lanes, sizeof batch.lanes);
    int err = store_commit(m->store, &batch);
    return err == 0 ? CLI_OK : complain(m, store_why(m->store));
}

/* Blocks without records leave no trace in an export; their numbers are taken all the same. */
static int end_block(struct importing *m, uint64_t next)
{
    int status = CLI_OK;
    if (m->number > 0) {
        struct byte_writer w = { m->bytes, m->bytes_max, 0, false };
        uint32_t readings = block_readings(m->block);
        block_finish(m->block, &w);
        if (w.failed)
            return complain(m, "the block is larger than any that Weir writes");
        m->readings += readings;
        m->blocks++;
        status = commit(m, m->number, (struct text){ (const char *)m->bytes, (uint32_t)w.used },
                        readings);
        block_builder_reset(m->block);
    }
    for (uint64_t n = m->number + 1; status == CLI_OK && n < next; n++)
        status = commit(m, n, (struct text){ 0 }, 0);
    m->number = next;
    return status;
}

/* --- lines --- */

static int take_config(struct importing *m, const struct record *record)
{
    if (m->config == NULL)
        m->config = calloc(1, sizeof *m->config);
    if (m->config == NULL)
        return complain(m, "no memory");
    if (config_read_text("the journal's configuration", record->content.at, record->content.bytes,
                         m->config, stderr) != 0)
        return complain(m, "its configuration is not one to this version");
    if (memcmp(m->config->digest, record->digest.at, sizeof m->config->digest) != 0)
        return complain(m, "its configuration is not the one that its digest names");
    return CLI_OK;
}

static int take(struct importing *m, const struct journal_line *l, const char *to)
{
    const struct record *record = &l->record;
    int status = CLI_OK;
    if (!m->begun && (!l->has_store || l->block != 1))
        return complain(m, "want the first block, which begins with a configuration and store_id");
    if (!m->begun)
        status = open_store(m, to, l);
    if (status == CLI_OK && l->block < m->number)
        return complain(m, "blocks only grow");
    if (status == CLI_OK && !replay_is_sound(record, m->t_ms))
        return complain(m, "it is out of order, or holds what no gateway writes");
    if (status == CLI_OK && l->block != m->number)
        status = end_block(m, l->block);
    if (status == CLI_OK && record->kind == RECORD_CONFIG)
        status = take_config(m, record);
    if (status != CLI_OK)
        return status;
    if (record->kind == RECORD_CLOCK)
        m->offset_ms = record->clock.offset_ms;
    bool came = record->kind == RECORD_READING || record->kind == RECORD_REJECT;
    m->ledger.received += came;
    m->ledger.stored += record->kind == RECORD_READING;
    m->ledger.rejected[record->reason] += record->kind == RECORD_REJECT;
    m->t_ms = record->t_ms;
    return block_append(m->block, record) == 0 ? CLI_OK : complain(m, "the block is too large");
}

static int run(struct importing *m, FILE *file, const char *to)
{
    static struct journal_line l; /* large */
    static char text[JOURNAL_LINE_BYTES];
    int status = CLI_OK;
    while (status == CLI_OK && fgets(text, sizeof text, file) != NULL) {
        struct text line = text_of(text);
        m->line++;
        while (line.bytes > 0 && strchr(" \t\r\n", line.at[line.bytes - 1]) != NULL)
            line.bytes--;
        if (line.bytes == 0)
            continue;
        const char *why = journal_line_read(&l, line, m->config);
        status = why != NULL ? complain(m, why) : take(m, &l, to);
    }
    if (status == CLI_OK && ferror(file) != 0)
        status = complain(m, strerror(errno));
    if (status == CLI_OK && !m->begun)
        status = complain(m, "there is nothing in it");
    return status == CLI_OK ? end_block(m, m->number) : status;
}

/* --- CSV --- */

/* What an export begins with. The same file makes the same store. */
static int begin_csv(struct importing *m, const char *to, const struct config *given,
                     const struct journal_csv *csv, struct text first)
{
    static struct journal_line l; /* large */
    const struct hash_key key = { 1, 2 };
    l = (struct journal_line){
        .block = 1, .has_store = true,
        .store_id = { hash64(key, given->digest, sizeof given->digest),
                      hash64(key, first.at, first.bytes) },
        .record = { .kind = RECORD_CONFIG,
                    .digest = { (const char *)given->digest, sizeof given->digest },
                    .content = { given->text, (uint32_t)given->text_bytes } },
    };
    int status = take(m, &l, to);
    l.record = (struct record){ .kind = RECORD_CLOCK,
                                .clock = { .offset_ms = csv->offset_ms, .state = CLOCK_SYNCED,
                                           .boot = 1 } };
    return status == CLI_OK ? take(m, &l, to) : status;
}

static int run_csv(struct importing *m, FILE *file, const char *to, const struct config *given)
{
    static struct journal_csv csv;
    static struct journal_line l;
    struct text line;
    int status = CLI_OK, got = journal_csv_open(&csv, file);
    if (got == 0)
        got = journal_csv_next(&csv, &line);
    while (status == CLI_OK && got > 0) {
        m->line = csv.line;
        if (!m->begun)
            status = begin_csv(m, to, given, &csv, line);
        const char *why = NULL;
        if (status == CLI_OK)
            why = journal_line_read(&l, line, m->config);
        if (status == CLI_OK)
            status = why != NULL ? complain(m, why) : take(m, &l, to);
        if (status == CLI_OK)
            got = journal_csv_next(&csv, &line);
    }
    m->line = csv.line;
    if (status == CLI_OK && got < 0)
        status = complain(m, csv.fault);
    if (status == CLI_OK && ferror(file) != 0)
        status = complain(m, strerror(errno));
    if (status == CLI_OK && !m->begun)
        status = complain(m, "there is nothing in it");
    return status == CLI_OK ? end_block(m, m->number) : status;
}

static int read_config(const char *path, struct config *config)
{
    static struct config_reader reader;
    config_reader_run(&reader, path, config, false);
    if (reader.fault_count == 0)
        return CLI_OK;
    config_report(&reader, stderr);
    return CLI_CONFIG;
}

static int take_memory(struct importing *m)
{
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    (void)block_builder_init(&limits, &arena);
    m->memory = calloc(1, arena.used + ARENA_ALIGN);
    m->bytes = malloc(limits.bytes_max);
    m->bytes_max = limits.bytes_max;
    if (m->memory == NULL || m->bytes == NULL)
        return complain(m, "no memory");
    arena = arena_over(m->memory, arena.used);
    m->block = block_builder_init(&limits, &arena);
    block_builder_reset(m->block);
    return CLI_OK;
}

static bool is_csv(const char *path)
{
    size_t bytes = strlen(path);
    return bytes >= 4 && strcmp(path + bytes - 4, ".csv") == 0;
}

static void print_done(const struct importing *m, const char *to)
{
    (void)printf("%s: %" PRIu64 " blocks, %" PRIu64 " readings%s\n", m->dry ? m->path : to,
                 m->blocks, m->readings, m->dry ? "; nothing was written" : "");
}

int cli_import(int argc, char **argv)
{
    static struct config given;
    const char *to = NULL, *config = NULL;
    bool dry = false;
    const struct flag flags[] = { { "--store", NULL, &to, NULL },
                                  { "--config", "-c", &config, NULL },
                                  { "--dry-run", NULL, NULL, &dry },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 1 };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    if (a.word_count != 1 || (to == NULL && !dry))
        return arguments_usage(&a, "want a file, and --store NEW.db, after", "import");
    struct importing m = { .path = a.words[0], .dry = dry };
    bool csv = is_csv(m.path);
    if (csv != (config != NULL))
        return arguments_usage(&a, csv ? "want --config FILE, whose sources they came by, with"
                                       : "--config goes with CSV, not with", m.path);
    status = csv ? read_config(config, &given) : CLI_OK;
    if (status != CLI_OK)
        return status;
    FILE *file = fopen(m.path, "r");
    if (file == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", m.path, strerror(errno));
        return CLI_PROBLEM;
    }
    status = take_memory(&m);
    if (status == CLI_OK)
        status = csv ? run_csv(&m, file, to, &given) : run(&m, file, to);
    if (status == CLI_OK)
        print_done(&m, to);
    (void)fclose(file); /* it was read only */
    if (m.store != NULL)
        store_close(m.store);
    free(m.config);
    free(m.memory);
    free(m.bytes);
    return status;
}
