/* `weir command`: a message to a device that is connected and listens. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/listener/listener.h"

static const char help[] =
    "usage: weir command DEVICE TEXT | --file FILE [--qos 0|1] [--wait 10s] [--json]\n\n"
    "Send a message of at most 256 bytes to a device that is connected to a source that listens\n"
    "and is subscribed to weir/command/DEVICE: now, or not at all. Nothing is kept for a device\n"
    "that is away. At QoS 1 the device's own PUBACK is waited for; without one it may still have\n"
    "the message. What it does with it is the device's.\n\n"
    "  --file FILE   what to send, as it is; - is the standard input\n"
    "  --qos 0|1     1; at 0 nobody knows whether it arrived\n"
    "  --wait SPAN   for its PUBACK, in s or ms, at most 60s; 10s\n";

enum { SPAN_MS_MAX = 60000 };

/* False: it is none. */
static bool read_span(const char *text, long *ms)
{
    char *end;
    double value = strtod(text, &end);
    bool is_ms = strcmp(end, "ms") == 0;
    if (end == text || (*end != '\0' && strcmp(end, "s") != 0 && !is_ms))
        return false;
    value *= is_ms ? 1 : 1000;
    if (!(value >= 0 && value <= SPAN_MS_MAX))
        return false;
    *ms = (long)value;
    return true;
}

/* One byte more than may be sent tells that it is too much. */
static int read_file(const char *path, char *to, size_t *bytes)
{
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
        return CLI_PROBLEM;
    }
    *bytes = fread(to, 1, LISTENER_COMMAND_BYTES + 1, file);
    bool failed = ferror(file) != 0;
    if (!is_input)
        (void)fclose(file); /* only read */
    if (failed)
        (void)fprintf(stderr, "weir: %s: it can't be read\n", path);
    return failed ? CLI_PROBLEM : CLI_OK;
}

static int send(const struct client_options *options, const char *device, const char *how,
                struct text payload)
{
    char target[1024], escaped[3 * 64 + 1];
    struct client_answer answer;
    client_escape(escaped, sizeof escaped, device);
    int used = snprintf(target, sizeof target, "/api/v1/commands?device=%s&%s&payload_hex=",
                        escaped, how);
    for (uint32_t i = 0; i < payload.bytes; i++)
        used += snprintf(target + used, sizeof target - (size_t)used, "%02x",
                         (unsigned)(uint8_t)payload.at[i]);
    int status = client_post(options, target, &answer);
    if (status != CLI_OK)
        return status;
    if (options->json)
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    else
        (void)puts(json_view_unsigned(answer.body, "acknowledged") > 0 ? "acknowledged" : "sent");
    return CLI_OK;
}

int cli_command(int argc, char **argv)
{
    const char *file = NULL, *qos = "1", *wait = "10s";
    const struct flag flags[] = { { "--file", NULL, &file, NULL },
                                  { "--qos", NULL, &qos, NULL },
                                  { "--wait", NULL, &wait, NULL },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    struct client_options options;
    char how[64], bytes[LISTENER_COMMAND_BYTES + 1];
    long wait_ms;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count == 0 || strlen(a.words[0]) > READING_NAME_BYTES_MAX)
        return arguments_usage(&a, "want a device's name, not", a.word_count ? a.words[0] : "");
    if (a.word_count != (file != NULL ? 1 : 2))
        return arguments_usage(&a, "want a text or --file, one of them, for", a.words[0]);
    if (strcmp(qos, "0") != 0 && strcmp(qos, "1") != 0)
        return arguments_usage(&a, "--qos wants 0 or 1, not", qos);
    if (!read_span(wait, &wait_ms))
        return arguments_usage(&a, "--wait wants a time like 10s, at most 60s, not", wait);
    size_t count = file == NULL ? strlen(a.words[1]) : 0;
    if (file != NULL && read_file(file, bytes, &count) != CLI_OK)
        return CLI_PROBLEM;
    if (count > LISTENER_COMMAND_BYTES) {
        (void)fprintf(stderr, "weir: a command has at most %d bytes\n", LISTENER_COMMAND_BYTES);
        return CLI_PROBLEM;
    }
    (void)snprintf(how, sizeof how, "qos=%s&wait_ms=%ld", qos, wait_ms);
    return send(&options, a.words[0], how,
                (struct text){ file != NULL ? bytes : a.words[1], (uint32_t)count });
}
