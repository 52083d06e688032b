/* `weir contract`: whether a contract may follow an older one, and what it says as JSON Schema. */
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir contract check OLD NEW [--mode backward|forward|full] [--json]\n"
    "       weir contract schema FILE [--name NAME]\n\n"
    "A file holds the keys of one contract (name, version, metrics ...), or is a whole\n"
    "configuration: then each of its contracts is compared with the one of its name.\n\n"
    "  check    is NEW compatible with OLD, and each reason why not\n"
    "  schema   a contract as JSON Schema, of a message whose members are the metrics\n\n"
    "  --mode   what to go by: backward (what devices send by OLD is good under NEW: what a\n"
    "           gateway asks, and the default), forward (the other way round), full (both)\n"
    "  --name   which contract, where the file holds several\n"
    "  --json   one JSON object\n\n"
    "Exit status: 0 compatible, 2 not understood, 3 not compatible, 78 wrong file.\n";

enum { BACKWARD = 1, FORWARD = 2, REASONS_MAX = 4 * CONTRACT_METRICS_MAX };

static struct config before, after; /* large; untouched pages of them cost nothing */
static struct config_reader reader;

/* --- comparing --- */

struct pair { /* of one name; one of them may be NULL */
    const struct contract *old, *new_one;
};

static const struct contract *named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->contract_count; i++)
        if (strcmp(config->contracts[i].name, name) == 0)
            return &config->contracts[i];
    return NULL;
}

static bool version_grew(const struct pair *p)
{
    return p->new_one->version > p->old->version || contract_same(p->old, p->new_one);
}

/* What is not good either way: the contract is gone, or changed under one version. */
static const char *standing_fault(const struct pair *p)
{
    if (p->new_one == NULL)
        return "it is gone, or has another name: nothing says what its readings must look like";
    if (p->old != NULL && !version_grew(p))
        return "it has changed, and its version has not grown";
    return NULL;
}

static bool good(const struct pair *p, int mode)
{
    char why[CONTRACT_WHY_BYTES];
    if (standing_fault(p) != NULL)
        return false;
    if (p->old == NULL)
        return true;
    return ((mode & BACKWARD) == 0 || contract_compatible(p->old, p->new_one, why, sizeof why)) &&
           ((mode & FORWARD) == 0 || contract_compatible(p->new_one, p->old, why, sizeof why));
}

/* --- as text --- */

static void print_way(const char *way, const struct contract *from, const struct contract *to)
{
    char why[CONTRACT_WHY_BYTES];
    bool compatible = contract_compatible(from, to, why, sizeof why);
    (void)printf("  %-8s  %-3s  what is sent by version %u is %sgood under version %u\n", way,
                 compatible ? "yes" : "no", from->version, compatible ? "" : "not all ",
                 to->version);
    for (uint32_t n = 0; n < REASONS_MAX && contract_reason(from, to, n, why, sizeof why); n++)
        (void)printf("    %s\n", why);
}

static void print_pair(const struct pair *p)
{
    const char *fault = standing_fault(p);
    const char *name = p->old != NULL ? p->old->name : p->new_one->name;
    if (p->old == NULL)
        (void)printf("contract %s: new, version %u\n", name, p->new_one->version);
    else if (p->new_one == NULL)
        (void)printf("contract %s: version %u\n", name, p->old->version);
    else
        (void)printf("contract %s: version %u to %u\n", name, p->old->version,
                     p->new_one->version);
    if (p->old != NULL && p->new_one != NULL) {
        print_way("backward", p->old, p->new_one);
        print_way("forward", p->new_one, p->old);
        (void)printf("  %-8s  %s\n", "full", good(p, BACKWARD | FORWARD) ? "yes" : "no");
    }
    if (fault != NULL)
        (void)printf("  %s\n", fault);
}

/* --- as JSON --- */

static void print_way_json(const char *way, const struct contract *from, const struct contract *to)
{
    char why[CONTRACT_WHY_BYTES];
    (void)printf(",\"%s\":{\"compatible\":%s,\"reasons\":[", way,
                 contract_compatible(from, to, why, sizeof why) ? "true" : "false");
    for (uint32_t n = 0; n < REASONS_MAX && contract_reason(from, to, n, why, sizeof why); n++) {
        (void)fputs(n > 0 ? "," : "", stdout);
        config_print_quoted(text_of(why), stdout);
    }
    (void)printf("]}");
}

static void print_pair_json(const struct pair *p, int mode)
{
    const char *fault = standing_fault(p);
    (void)printf("{\"name\":");
    config_print_quoted(text_of(p->old != NULL ? p->old->name : p->new_one->name), stdout);
    if (p->old != NULL)
        (void)printf(",\"old_version\":%u", p->old->version);
    if (p->new_one != NULL)
        (void)printf(",\"new_version\":%u", p->new_one->version);
    (void)printf(",\"compatible\":%s", good(p, mode) ? "true" : "false");
    if (fault != NULL) {
        (void)printf(",\"fault\":");
        config_print_quoted(text_of(fault), stdout);
    }
    if (p->old != NULL && p->new_one != NULL) {
        print_way_json("backward", p->old, p->new_one);
        print_way_json("forward", p->new_one, p->old);
        (void)printf(",\"full\":%s", good(p, BACKWARD | FORWARD) ? "true" : "false");
    }
    (void)printf("}");
}

/* --- files --- */

static bool read_contracts(const char *path, struct config *config)
{
    config_reader_contracts(&reader, path, config);
    config_report(&reader, stderr);
    if (reader.fault_count == 0 && config->contract_count == 0)
        (void)fprintf(stderr, "%s: error: there is no contract in it\n", path);
    return reader.fault_count == 0 && config->contract_count > 0;
}

static int check(const char *old_path, const char *new_path, int mode, bool json)
{
    bool all = true;
    uint32_t count = 0;
    if (!read_contracts(old_path, &before) ||
        !read_contracts(new_path, &after))
        return CLI_CONFIG;
    struct pair pairs[2 * CONFIG_CONTRACTS_MAX];
    for (uint32_t i = 0; i < before.contract_count; i++)
        pairs[count++] = (struct pair){ &before.contracts[i],
                                        named(&after, before.contracts[i].name) };
    for (uint32_t i = 0; i < after.contract_count; i++)
        if (named(&before, after.contracts[i].name) == NULL)
            pairs[count++] = (struct pair){ NULL, &after.contracts[i] };
    for (uint32_t i = 0; i < count; i++)
        all = all && good(&pairs[i], mode);
    if (json)
        (void)printf("{\"compatible\":%s,\"contracts\":[", all ? "true" : "false");
    for (uint32_t i = 0; i < count; i++) {
        if (json && i > 0)
            (void)printf(",");
        json ? print_pair_json(&pairs[i], mode) : print_pair(&pairs[i]);
    }
    (void)printf(json ? "]}\n" : all ? "compatible\n" : "not compatible\n");
    return all ? CLI_OK : CLI_DIFFERENT;
}

/* --- JSON Schema --- */

static void print_property(const struct contract_metric *m)
{
    static const char *const types[] = { "number", "boolean", "string" };
    config_print_quoted(text_of(m->name), stdout);
    (void)printf(":{\"type\":\"%s\"", types[m->type]);
    if (m->unit[0] != '\0') {
        (void)printf(",\"$comment\":");
        char comment[READING_NAME_BYTES_MAX + 8];
        (void)snprintf(comment, sizeof comment, "unit %s", m->unit);
        config_print_quoted(text_of(comment), stdout);
    }
    if (m->has_min)
        (void)printf(",\"minimum\":%.17g", m->min);
    if (m->has_max)
        (void)printf(",\"maximum\":%.17g", m->max);
    (void)printf("}");
}

/* What is asked of all metrics together is asked of a message that holds more than one. */
static void print_required(const struct contract *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->metric_count; i++) {
        if (!c->metrics[i].required)
            continue;
        (void)fputs(count++ > 0 ? "," : ",\"if\":{\"minProperties\":2},\"then\":{\"required\":[",
                    stdout);
        config_print_quoted(text_of(c->metrics[i].name), stdout);
    }
    (void)fputs(count > 0 ? "]}" : "", stdout);
}

static void print_schema(const struct contract *c)
{
    (void)printf("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":");
    config_print_quoted(text_of(c->name), stdout);
    (void)printf(",\"$comment\":\"version %u\",\"type\":\"object\",\"minProperties\":1,"
                 "\"properties\":{", c->version);
    for (uint32_t i = 0; i < c->metric_count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        print_property(&c->metrics[i]);
    }
    (void)printf("},\"additionalProperties\":%s",
                 c->allow_unknown ? "{\"type\":[\"number\",\"boolean\",\"string\"]}" : "false");
    print_required(c);
    (void)printf("}\n");
}

static int schema(const char *path, const char *name)
{
    if (!read_contracts(path, &after))
        return CLI_CONFIG;
    const struct contract *c = name != NULL             ? named(&after, name)
                               : after.contract_count == 1 ? &after.contracts[0]
                                                           : NULL;
    if (c == NULL) {
        (void)fprintf(stderr, "weir: %s has %u contracts%s: name one with --name\n", path,
                      after.contract_count, name != NULL ? ", none of that name" : "");
        return CLI_USAGE;
    }
    print_schema(c);
    return CLI_OK;
}

int cli_contract(int argc, char **argv)
{
    const char *mode = "backward", *name = NULL;
    bool json = false;
    const struct flag flags[] = { { "--mode", NULL, &mode, NULL },
                                  { "--name", NULL, &name, NULL },
                                  { "--json", NULL, NULL, &json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 3 };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    const char *verb = a.word_count > 0 ? a.words[0] : "";
    int by = strcmp(mode, "backward") == 0  ? BACKWARD
             : strcmp(mode, "forward") == 0 ? FORWARD
             : strcmp(mode, "full") == 0    ? BACKWARD | FORWARD
                                            : 0;
    if (by == 0)
        return arguments_usage(&a, "--mode is backward, forward or full, not", mode);
    if (strcmp(verb, "check") == 0 && a.word_count == 3)
        return check(a.words[1], a.words[2], by, json);
    if (strcmp(verb, "schema") == 0 && a.word_count == 2)
        return schema(a.words[1], name);
    return arguments_usage(&a, "want check OLD NEW or schema FILE, not", verb);
}
