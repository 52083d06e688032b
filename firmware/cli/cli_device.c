/* `weir device`: who may publish to the gateway's own listeners, and what to paste into a
 * device. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/listing.h"

static const char help[] =
    "usage: weir device list [-s PATH | -c FILE] [--json]\n"
    "       weir device add NAME\n"
    "       weir device rotate NAME\n"
    "       weir device revoke NAME\n\n"
    "Who may publish to a source that listens. The gateway makes the password: 128 random bits,\n"
    "shown this once, and kept as a hash; it takes none of yours. A device publishes as itself\n"
    "only, with its name as user name. To rotate or revoke ends its connections at once.\n";

static int list(const struct client_options *options)
{
    static const char *const headers[] = { "device", "state", "since" };
    static const char *const paths[] = { "device", "state", "since" };
    static const struct listing listing = { "/api/v1/credentials", "credentials",
                                            "no device was added", headers, paths, 3 };
    return listing_print(&listing, options);
}

/* One word for the shell, whatever is in it. */
static void print_word(const char *text)
{
    (void)putchar('\'');
    for (; *text != '\0'; text++)
        if (*text == '\'')
            (void)fputs("'\\''", stdout);
        else
            (void)putchar(*text);
    (void)putchar('\'');
}

/* A topic that the template takes, with the device's name in it. */
static void fill_topic(const char *template, const char *device, char *to, size_t bytes)
{
    size_t used = 0;
    while (*template != '\0' && used < bytes - 1) {
        size_t level = strcspn(template, "/");
        const char *text = template;
        size_t text_bytes = level;
        if (level == strlen("{device}") && strncmp(template, "{device}", level) == 0)
            text = device, text_bytes = strlen(device);
        else if (*template == '{' && level > 2)
            text = template + 1, text_bytes = level - 2;
        else if (*template == '+' || *template == '#')
            text = "any", text_bytes = 3;
        used += (size_t)snprintf(to + used, bytes - used, "%.*s%s", (int)text_bytes, text,
                                 template[level] == '/' ? "/" : "");
        template += level + (template[level] == '/');
    }
}

static void print_listener(struct text listener, const char *device, const char *password)
{
    char source[80], host[256], template[300], topic[512], escaped[256];
    json_view_text(listener, "source", source, sizeof source);
    json_view_text(listener, "host", host, sizeof host);
    json_view_text(listener, "topic", template, sizeof template);
    unsigned port = (unsigned)json_view_unsigned(listener, "port");
    bool tls = json_view_bool(listener, "tls");
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) /* all of this machine's */
        if (gethostname(host, sizeof host) != 0)
            (void)snprintf(host, sizeof host, "GATEWAY");
    fill_topic(template, device, topic, sizeof topic);
    client_escape(escaped, sizeof escaped, device);
    bool six = strchr(host, ':') != NULL;
    (void)printf("\nsource %s\n  url    mqtt%s://%s:%s@%s%s%s:%u\n  paste  mosquitto_pub -h %s "
                 "-p %u%s -u ",
                 source, tls ? "s" : "", escaped, password, six ? "[" : "", host, six ? "]" : "",
                 port, host, port, tls ? " --cafile ca.crt" : "");
    print_word(device);
    (void)printf(" -P %s -q 1 -t ", password);
    print_word(topic);
    (void)printf(" -m '{\"value\": 21.5}'\n");
}

static int print_password(struct text body)
{
    char device[80], password[80];
    struct text listener;
    size_t cursor = 0;
    json_view_text(body, "device", device, sizeof device);
    json_view_text(body, "password", password, sizeof password);
    (void)printf("device    %s\npassword  %s\n", device, password);
    while (json_view_next(json_view_at(body, "listeners"), &cursor, NULL, &listener))
        print_listener(listener, device, password);
    (void)printf("\nca.crt is the certificate of whoever signed the gateway's. The password is "
                 "shown this once.\n");
    return CLI_OK;
}

int cli_device(int argc, char **argv)
{
    struct arguments a = { .help = help, .words_max = 3 };
    struct client_options options;
    struct client_answer answer;
    char device[256], target[320];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    const char *verb = a.word_count > 0 ? a.words[0] : "";
    if (strcmp(verb, "list") == 0 && a.word_count == 1)
        return list(&options);
    bool adds = strcmp(verb, "add") == 0, revokes = strcmp(verb, "revoke") == 0;
    if (!adds && !revokes && strcmp(verb, "rotate") != 0)
        return arguments_usage(&a, "want list, add, rotate or revoke, not", verb);
    if (a.word_count == 3)
        return arguments_usage(&a, "the gateway makes the password; it does not take", a.words[2]);
    if (a.word_count != 2)
        return arguments_usage(&a, "want one device's name after", verb);
    client_escape(device, sizeof device, a.words[1]);
    (void)snprintf(target, sizeof target, "/api/v1/credentials/%s?device=%s", verb, device);
    status = client_post(&options, target, &answer);
    if (status != CLI_OK)
        return status;
    if (options.json)
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    else if (revokes)
        (void)printf(json_view_bool(answer.body, "was_known")
                         ? "revoked\n"
                         : "revoked; no device of this name was known: only a certificate that "
                           "client_ca signed could have let it in\n");
    else
        return print_password(answer.body);
    return CLI_OK;
}
