/* `weir replay`: what a gateway took, once more, at a desk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/detect_csv.h"
#include "firmware/replay/replay_diff.h"
#include "firmware/replay/replay_drift.h"
#include "firmware/replay/replay_file.h"
#include "firmware/replay/replay_same.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir replay [--from T] [--to T] [--store FILE] [--speed X|max] [--out FILE]\n"
    "                   [--json]\n"
    "       weir replay --emit [--from T] [--to T] [--socket PATH] [--json]\n"
    "       weir replay --config NEW.yaml [--warmup SPAN] ...\n"
    "       weir replay --time event|arrival --compare [--config FILE] ...\n"
    "       weir replay FILE.csv|FILE.jsonl [--config FILE] [--from T] [--to T] [--out FILE]\n"
    "                   [--json]\n\n"
    "The journal through a fresh pipeline, in its order and its time: by the configurations that\n"
    "it holds, and compared, block by block and bit for bit, with what each block says that it\n"
    "made then (where a row stood in its lane and when it was recorded apart). It says identical,\n"
    "or shows the first difference.\n\n"
    "With --config: by that one, as if the gateway had had it, beside what was in force: which\n"
    "alerts and results, of series and of streams, would appear, vanish and move. What was\n"
    "rejected then stays so.\n\n"
    "With --time and --compare: by event time or by the time of arrival, beside the other: how\n"
    "far results that go by when a reading came drift from those by when it was measured.\n\n"
    "With --emit: what is made again, and identical, is told upstream once more by the running\n"
    "gateway whose journal it is, for a receiver that has lost it: under the same identities and\n"
    "revisions, so that a receiver that has it changes nothing, behind all that waits in the lane\n"
    "of results. Broken off, it is repeated. The gateway's state knows nothing of it.\n\n"
    "With a FILE: what a configuration, else the usual detectors, say of a recorded file; no\n"
    "gateway and no store are needed. A line is a reading: CSV with a first line that names the\n"
    "columns (time, device, metric, value, unit, sequence, source), or a JSON object a line with\n"
    "such members; also what weir export writes. Other columns, fields.NAME and members are\n"
    "further fields, by the names of the configuration's payload mapping. It arrived at\n"
    "arrival_time_ms, arrival_time or recordedtime where there is one, in an export at its t_ms,\n"
    "else when it was made.\n\n"
    "It reads a copy of the store, made at its start under TMPDIR (else /var/tmp): a gateway that\n"
    "runs on it is not stopped, asked or kept from starting, and nothing of it is written to.\n\n"
    "  --from T          from here on it is compared: wall time of arrival, as 2026-01-31,\n"
    "                    2026-01-31T12:00:00Z or Unix seconds; it starts from the newest\n"
    "                    checkpoint at or before that, else from the first block that is left\n"
    "  --to T            up to here; without it to the end\n"
    "  --config FILE     another configuration\n"
    "  --warmup SPAN     with it: how much before --from is read, so that it knows what is usual\n"
    "                    (7d). Without: where the first block is gone and no checkpoint is old\n"
    "                    enough, how much of what is left is marked and not compared\n"
    "  --store FILE      a gateway's weir.db; without it that of the gateway's configuration\n"
    "                    (WEIR_CONFIG, else /etc/weir/weir.yaml)\n"
    "  --speed X         so many times as fast as it was; max (default): as fast as it goes\n"
    "  --out FILE        what is made again, a JSON object a line\n"
    "  --emit            told upstream once more; not with --config, --time or a FILE\n"
    "  --socket PATH     with it: where the gateway listens, else as its configuration says\n"
    "  --progress        a line a second on stderr, also where that is no terminal\n"
    "  --json            one JSON object\n\n"
    "Exit status: 0 identical (with --config: nothing would be otherwise), 1 it can't be read,\n"
    "nothing could be compared, or not all was told once more, 2 not understood, 3 different\n"
    "(and nothing was told), 78 wrong configuration.\n";

static struct config now; /* --config */
static struct config was; /* the gateway's: where its store is, and what the journal may lack */
static struct config_reader reader;

struct wanted {
    const char *from, *to, *store, *speed, *out, *config, *warmup;
    const char *time, *socket;
    bool compare, emit, progress, json;
};

/* A date is its first moment. */
static bool parse_time(const char *word, int64_t *time_ms)
{
    char whole[64];
    if (detect_csv_time(text_of(word), time_ms))
        return true;
    int bytes = snprintf(whole, sizeof whole, "%sT00:00:00Z", word);
    return bytes > 0 && (size_t)bytes < sizeof whole && detect_csv_time(text_of(whole), time_ms);
}

static bool parse_speed(const char *word, double *speed)
{
    char *end;
    *speed = 0;
    if (strcmp(word, "max") == 0)
        return true;
    *speed = strtod(word, &end);
    return end != word && *end == '\0' && *speed > 0 && *speed <= 1e9;
}

/* What a file has not is not passed over. */
static const char *journal_flag(const struct wanted *w)
{
    return w->store != NULL    ? "--store"
           : w->warmup != NULL ? "--warmup"
           : w->speed != NULL  ? "--speed"
           : w->time != NULL   ? "--time"
                               : NULL;
}

/* -1: go on. */
static int parse(const struct arguments *a, const struct wanted *w, struct replay_range *range)
{
    char hint[64];
    *range = (struct replay_range){ .from_ms = INT64_MIN, .to_ms = INT64_MAX,
                                    .progress = w->progress };
    if (w->from != NULL && !parse_time(w->from, &range->from_ms))
        return arguments_usage(a, "--from wants a time, not", w->from);
    if (w->to != NULL && !parse_time(w->to, &range->to_ms))
        return arguments_usage(a, "--to wants a time, not", w->to);
    if (range->to_ms <= range->from_ms)
        return arguments_usage(a, "--to is to be after --from, not", w->to);
    if (a->word_count > 0 && journal_flag(w) != NULL)
        return arguments_usage(a, "a FILE takes --from, --to, --config and --out, not",
                               journal_flag(w));
    const char *warmup = w->warmup != NULL ? w->warmup : "7d";
    if (units_duration(text_of(warmup), &range->warmup_ms, hint) != 0)
        return arguments_usage(a, "--warmup wants a span such as 7d, not", w->warmup);
    if (w->compare != (w->time != NULL))
        return arguments_usage(a, "--time and --compare go together, and not alone",
                               w->compare ? "--compare" : "--time");
    if (w->time != NULL && strcmp(w->time, "event") != 0 && strcmp(w->time, "arrival") != 0)
        return arguments_usage(a, "--time wants event or arrival, not", w->time);
    if (w->emit && (w->config != NULL || w->time != NULL || a->word_count > 0))
        return arguments_usage(a, "--emit tells what was made, and nothing else; not with",
                               w->config != NULL ? "--config"
                               : w->time != NULL ? "--time"
                                                 : "FILE");
    if (w->socket != NULL && !w->emit)
        return arguments_usage(a, "--socket goes with --emit, and not alone", w->socket);
    if (!parse_speed(w->speed != NULL ? w->speed : "max", &range->speed))
        return arguments_usage(a, "--speed wants a number or max, not", w->speed);
    return -1;
}

/* The gateway's own; needed only where --store is not given, or the journal has forgotten it. */
static int read_gateway(const struct wanted *w)
{
    config_reader_run(&reader, cli_config_path(), &was, false);
    if (reader.fault_count > 0)
        was.text_bytes = 0;
    if (reader.fault_count == 0 || w->store != NULL)
        return CLI_OK;
    config_report(&reader, stderr);
    (void)fprintf(stderr, "weir: without --store FILE the gateway's configuration says where its "
                          "store is\n");
    return CLI_CONFIG;
}

static int read_new(const char *path)
{
    config_reader_run(&reader, path, &now, false);
    if (reader.fault_count == 0)
        return CLI_OK;
    config_report(&reader, stderr);
    return CLI_CONFIG;
}

static int diff(const struct wanted *w, const struct replay_range *range)
{
    int status = read_new(w->config);
    if (status != CLI_OK)
        return status;
    const struct replay_diff wanted = {
        .store = w->store != NULL ? w->store : was.store_path,
        .was = { was.text, was.text_bytes },
        .now = { now.text, now.text_bytes },
        .name = w->config,
        .out = w->out,
        .json = w->json,
        .range = *range,
    };
    return replay_diff(&wanted);
}

static int drift(const struct wanted *w, const struct replay_range *range)
{
    int status = w->config != NULL ? read_new(w->config) : CLI_OK;
    if (status != CLI_OK)
        return status;
    const struct replay_drift wanted = {
        .store = w->store != NULL ? w->store : was.store_path,
        .config = { now.text, now.text_bytes },
        .otherwise = { was.text, was.text_bytes },
        .time = strcmp(w->time, "arrival") == 0 ? TIME_POLICY_ARRIVAL : TIME_POLICY_DEVICE,
        .json = w->json,
        .range = *range,
    };
    return replay_drift(&wanted);
}

static int desk(const struct wanted *w, const char *path, const struct replay_range *range)
{
    int status = w->config != NULL ? read_new(w->config) : CLI_OK;
    if (status != CLI_OK)
        return status;
    const struct replay_file wanted = {
        .path = path,
        .config = { now.text, now.text_bytes },
        .out = w->out,
        .json = w->json,
        .range = *range,
    };
    return replay_file(&wanted);
}

int cli_replay(int argc, char **argv)
{
    struct wanted w = { 0 };
    struct replay_range range;
    const struct flag flags[] = { { "--from", NULL, &w.from, NULL },
                                  { "--to", NULL, &w.to, NULL },
                                  { "--store", NULL, &w.store, NULL },
                                  { "--speed", NULL, &w.speed, NULL },
                                  { "--out", NULL, &w.out, NULL },
                                  { "--config", NULL, &w.config, NULL },
                                  { "--warmup", NULL, &w.warmup, NULL },
                                  { "--time", NULL, &w.time, NULL },
                                  { "--compare", NULL, NULL, &w.compare },
                                  { "--socket", NULL, &w.socket, NULL },
                                  { "--emit", NULL, NULL, &w.emit },
                                  { "--progress", NULL, NULL, &w.progress },
                                  { "--json", NULL, NULL, &w.json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 1 };
    int status = arguments_parse(&a, argc, argv);
    if (status == -1)
        status = parse(&a, &w, &range);
    if (status != -1)
        return status;
    if (a.word_count == 1)
        return desk(&w, a.words[0], &range);
    status = read_gateway(&w);
    if (status != CLI_OK)
        return status;
    if (w.time != NULL)
        return drift(&w, &range);
    if (w.config != NULL)
        return diff(&w, &range);
    struct client_options gateway = { 0 };
    if (w.emit && was.text_bytes > 0 && w.socket == NULL)
        w.socket = was.socket_path;
    if (w.emit)
        (void)client_find(&gateway, w.socket, NULL); /* a configuration was read before */
    const struct replay_same same = {
        .socket = w.emit ? gateway.socket_path : NULL,
        .store = w.store != NULL ? w.store : was.store_path,
        .config = { was.text, was.text_bytes },
        .out = w.out,
        .json = w.json,
        .range = range,
    };
    return replay_same(&same);
}
