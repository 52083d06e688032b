/* gateway_versions: which versions of its contract a source was refused for, told upstream once
 * each and not with every message. Remembered as long as the process runs; a source whose devices
 * make up ever new versions is told of for the first sixteen. */
#include <stdio.h>

#include "firmware/gateway/gateway_state.h"

void versions_refused(struct gateway *g, uint32_t source, uint32_t version)
{
    struct versions *v = &g->versions[source];
    for (uint32_t i = 0; i < v->count; i++)
        if (v->seen[i] == version)
            return;
    if (v->count < VERSIONS_TOLD_MAX)
        v->seen[v->count++] = version;
}

static void tell(struct gateway *g, uint32_t source, uint32_t version)
{
    const struct contract *contract = g->config->engine_sources[source].contract;
    char message[512], which[48] = "whose version is no whole number";
    uint32_t accepted = contract != NULL ? contract->version : 0;
    if (version > 0)
        (void)snprintf(which, sizeof which, "of version %u", version);
    (void)snprintf(message, sizeof message,
                   "source=%s contract=%s messages %s are rejected (contract_version): this "
                   "gateway takes up to version %u",
                   g->config->sources[source].name, contract != NULL ? contract->name : "", which,
                   accepted);
    struct envelope_fact facts[] = { { "version", version }, { "accepted_version", accepted } };
    fill_notice(g, "contract_version", &(struct notice){ message, NULL, facts, 2 });
}

void versions_turn(struct gateway *g)
{
    for (uint32_t i = 0; i < g->config->source_count; i++) {
        struct versions *v = &g->versions[i];
        while (v->told < v->count && fill_has_step_room(g, g->filling))
            tell(g, i, v->seen[v->told++]);
    }
}
