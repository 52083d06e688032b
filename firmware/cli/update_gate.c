#include "firmware/cli/update_gate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "firmware/cli/json_view.h"
#include "firmware/update/probe.h"

static const char *const names[GATE_PARTS] = { "daemon", "store", "reading", "uplink" };

__attribute__((format(printf, 4, 5))) static void say(struct gate *gate, enum gate_part part,
                                                      bool passed, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    (void)vsnprintf(gate->parts[part].what, GATE_WHAT_BYTES, format, words);
    va_end(words);
    gate->parts[part].passed = passed;
}

void gate_judge(struct gate *gate, struct text status, bool uplink_wanted)
{
    char health[32];
    json_view_text(status, "health", health, sizeof health);
    uint64_t commits = json_view_unsigned(status, "store.commits");
    uint64_t failures = json_view_unsigned(status, "store.commit_failures");
    struct text uplink = json_view_at(status, "uplink");
    bool configured = json_view_bool(uplink, "configured");
    bool connected = json_view_bool(uplink, "connected");
    bool answers = status.bytes > 0;

    say(gate, GATE_DAEMON, answers && strcmp(health, "failed") != 0, "%s",
        answers ? health : "no gateway answers");
    say(gate, GATE_STORE, commits > 0, "%llu commits, %llu failed", (unsigned long long)commits,
        (unsigned long long)failures);
    say(gate, GATE_READING, false, "not tried");
    say(gate, GATE_UPLINK, connected || !uplink_wanted, "%s%s",
        connected ? "connected" : configured ? "not connected" : "none",
        uplink_wanted ? ", it was before the update" : "");
}

bool gate_pass(struct gate *gate, const struct client_options *options, bool uplink_wanted,
               const char *folder)
{
    struct client_answer answer = { 0 };
    char why[256];
    struct text status = { 0 };
    if (client_call(options->socket_path, "GET", "/api/v1/status", &answer, why) == 0 &&
        answer.status == 200)
        status = answer.body;
    gate_judge(gate, status, uplink_wanted);
    if (!gate->parts[GATE_DAEMON].passed || !gate->parts[GATE_STORE].passed ||
        !gate->parts[GATE_UPLINK].passed)
        return false;
    gate->parts[GATE_READING].passed = probe_run(folder, gate->parts[GATE_READING].what) == 0;
    return gate->parts[GATE_READING].passed;
}

void gate_print(const struct gate *gate, bool json)
{
    for (int i = 0; i < GATE_PARTS; i++)
        if (json) /* `what` is of ours: nothing to escape */
            (void)printf("%s\"%s\":{\"passed\":%s,\"what\":\"%s\"}", i == 0 ? "{" : ",", names[i],
                         gate->parts[i].passed ? "true" : "false", gate->parts[i].what);
        else
            (void)printf("%-8s %-4s %s\n", names[i], gate->parts[i].passed ? "yes" : "NO",
                         gate->parts[i].what);
    if (json)
        (void)puts("}");
}
