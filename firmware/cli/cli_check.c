/* `weir check`: what is wrong with a configuration; when nothing is, what it costs and loses. */
#include <inttypes.h>
#include <stdlib.h>

#include "firmware/budget.h"
#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/golive.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir check [-c FILE] [--no-environment] [--json]\n"
    "       weir check --go-live [-c FILE] [--json]\n\n"
    "Check a configuration: syntax, types, ranges, contradictions, and the files it names.\n"
    "Prints every fault with its place, why and the fix; when there is none, what the\n"
    "configuration costs in memory and on disk, and what it can lose.\n\n"
    "--go-live asks the gateway that runs with it too: whether it is ready for what hangs on\n"
    "it, question by question, with what was measured and what is to do.\n\n"
    "  -c, --config FILE   the configuration; WEIR_CONFIG, else /etc/weir/weir.yaml\n"
    "  --no-environment    don't look for the files that it names\n"
    "  --json              one JSON object\n\n"
    "Exit status: 0 good, or ready; 1 not ready, or no gateway answers; 2 not understood,\n"
    "78 wrong configuration.\n";

static struct config config; /* large; untouched pages of it cost nothing */
static struct config_reader reader;

/* Each line with an indent, or with a word before it. */
static void print_lines(const char *title, const char *word,
                        void (*print)(const struct config *, FILE *))
{
    char *text = NULL, *rest;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    if (memory == NULL)
        return;
    print(&config, memory);
    if (fclose(memory) == 0 && text != NULL && *text != '\0') {
        (void)printf("%s", title);
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            (void)printf("%s%s\n", word, line);
    }
    free(text);
}

static void print_json_lines(const char *name, void (*print)(const struct config *, FILE *))
{
    char *text = NULL, *rest;
    size_t bytes;
    uint32_t count = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (memory == NULL)
        return;
    print(&config, memory);
    (void)printf(",\"%s\":[", name);
    if (fclose(memory) == 0 && text != NULL)
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            (void)printf(count++ > 0 ? "," : "");
            bool warning = strncmp(line, "warning: ", 9) == 0;
            config_print_quoted(text_of(line + (warning ? 9 : 0)), stdout);
        }
    (void)printf("]");
    free(text);
}

static void print_budgets(const struct budget *budget)
{
    const struct store_config *s = &config.store;
    (void)printf(",\"memory\":{\"total_bytes\":%" PRIu64 ",\"max_bytes\":%" PRIu64 ",\"modules\":{",
                 budget->total_bytes, config_memory_max(&config));
    for (uint32_t i = 0; i < budget->count; i++)
        (void)printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", budget->lines[i].module,
                     budget->lines[i].bytes);
    (void)printf("}},\"disk\":{\"total_bytes\":%" PRIu64 ",\"journal_bytes\":%" PRIu64
                 ",\"alerts_bytes\":%" PRIu64 ",\"results_bytes\":%" PRIu64
                 ",\"raw_bytes\":%" PRIu64 ",\"letters_bytes\":%" PRIu64 ",\"table_bytes\":%" PRIu64
                 ",\"wal_bytes\":%" PRIu64
                 ",\"ballast_bytes\":%" PRIu64 "}",
                 s->disk_bytes_max, s->journal_bytes_max, s->outbox_bytes_max[LANE_ALERTS],
                 s->outbox_bytes_max[LANE_RESULTS], s->outbox_bytes_max[LANE_RAW],
                 s->letters_bytes_max, s->table_bytes_max, s->wal_bytes_max, s->ballast_bytes);
}

static int report_json(const char *path)
{
    bool readable = reader.fault_count == 0;
    struct budget budget = { 0 };
    struct config_costs costs = { 0 };
    if (readable) {
        budget = budget_of(&config);
        costs = budget_most(&budget, &config);
    }
    if (config_check_budget(&config, &costs, NULL) != 0) {
        const struct config_cost *most = &costs.most[0];
        struct config_fault *f = fault_at(&reader, &config.memory_bytes_max,
                                          "the memory budget is over its maximum");
        fault_why(f, "it is %" PRIu64 " bytes, all set aside at start, of them %" PRIu64 " for %s",
                  budget.total_bytes, most->bytes, most->what);
        bool lower = most->lower[0] != '\0';
        fault_fix(f, "%s%s%sraise gateway.memory_max", lower ? "lower " : "", most->lower,
                  lower ? ", or " : "");
    }
    bool good = reader.fault_count == 0;
    (void)printf("{\"file\":");
    config_print_quoted(text_of(path), stdout);
    (void)printf(",\"ok\":%s,\"error_count\":%u,\"errors\":", good ? "true" : "false",
                 reader.fault_count);
    config_report_json(&reader, stdout);
    if (readable) {
        print_budgets(&budget);
        print_json_lines("warnings", config_print_warnings);
        print_json_lines("losses", config_print_losses);
        print_json_lines("streams", config_print_streams);
        print_json_lines("broker_settings", config_print_broker);
    }
    (void)printf("}\n");
    return good ? CLI_OK : CLI_CONFIG;
}

static int report(const char *path)
{
    if (reader.fault_count > 0) {
        config_report(&reader, stderr);
        return CLI_CONFIG;
    }
    struct budget budget = budget_of(&config);
    const struct config_costs costs = budget_most(&budget, &config);
    if (config_check_budget(&config, &costs, stderr) != 0)
        return CLI_CONFIG;
    (void)printf("%s: good: %u source%s, %u detector%s, %u devices, %u series\n", path,
                 config.source_count, config.source_count == 1 ? "" : "s", config.rule_count,
                 config.rule_count == 1 ? "" : "s", config.engine.devices_max,
                 config.engine.series_max);
    if (config.contract_count > 0)
        (void)printf("contracts: checked at start against those accepted before; they are in the "
                     "store, which only a start opens\n");
    print_lines("", "", config_print_warnings);
    (void)putchar('\n');
    budget_print(&budget, stdout);
    print_lines("\nStreams\n", "  ", config_print_streams);
    print_lines("\nDisk\n", "  ", config_print_disk);
    print_lines("\nWhat this configuration can lose\n", "  ", config_print_losses);
    print_lines("\nSettings that the brokers in front need (mosquitto.conf)\n", "  ",
                config_print_broker);
    return CLI_OK;
}

int cli_check(int argc, char **argv)
{
    const char *path = cli_config_path();
    bool json = false, no_environment = false, live = false;
    const struct flag flags[] = { { "--config", "-c", &path, NULL },
                                  { "--no-environment", NULL, NULL, &no_environment },
                                  { "--json", NULL, NULL, &json },
                                  { "--go-live", NULL, NULL, &live },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    config_reader_run(&reader, path, &config, !no_environment);
    if (live && reader.fault_count == 0) {
        struct client_options options = { .json = json };
        (void)snprintf(options.socket_path, sizeof options.socket_path, "%s", config.socket_path);
        return golive(&config, &options);
    }
    return json ? report_json(path) : report(path);
}
