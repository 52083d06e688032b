/* What is wrong with a contract, and with what is not kept. */
#include "firmware/config/config_parts.h"

static void check_metrics(struct config_reader *r, const struct contract *contract)
{
    struct config_fault *f;
    for (uint32_t i = 0; i < contract->metric_count; i++) {
        const struct contract_metric *m = &contract->metrics[i];
        if (m->has_min && m->has_max && m->min > m->max) {
            f = fault_at(r, &m->min, "`min` is more than `max` for the metric `%s`", m->name);
            fault_why(f, "every reading would be refused");
            fault_fix(f, "swap them");
        }
        if (m->type != VALUE_NUMBER && (m->has_min || m->has_max)) {
            f = fault_at(r, m->has_min ? &m->min : &m->max,
                         "a range for `%s`, which is not a number", m->name);
            fault_why(f, "only numbers have a least and a greatest value");
            fault_fix(f, "leave min and max out, or write `type: number`");
        }
        for (uint32_t j = 0; j < i; j++)
            if (m->name[0] != '\0' && strcmp(m->name, contract->metrics[j].name) == 0) {
                f = fault_at(r, m->name, "the metric `%s` is in the contract twice", m->name);
                fault_why(f, "only one type and range can be meant");
                fault_fix(f, "keep one of the two");
            }
    }
}

void config_check_contract_list(struct config_reader *r)
{
    const struct config *config = r->config;
    for (uint32_t i = 0; i < config->contract_count; i++) {
        const struct contract *contract = &config->contracts[i];
        check_metrics(r, contract);
        for (uint32_t j = 0; j < i; j++)
            if (contract->name[0] != '\0'
                && strcmp(contract->name, config->contracts[j].name) == 0) {
                struct config_fault *f =
                    fault_at(r, contract->name, "two contracts are called `%s`", contract->name);
                fault_why(f, "a source names its contract by this");
                fault_fix(f, "give each a name of its own");
            }
    }
}

/* --- what is not kept ------------------------------------------------------------------------ */

void config_check_pii(struct config_reader *r, const struct config_source *source)
{
    struct config_fault *f;
    for (uint32_t i = 0; i < source->pii_count; i++) {
        const struct pii_field *field = &source->pii[i];
        if (field->by == PII_HMAC && r->config->pii_key_file[0] == '\0') {
            f = fault_at(r, &field->by, "`pii: hmac` without `gateway.pii_key`");
            fault_why(f, "without a key anybody could try out what stands behind a name");
            fault_fix(f, "`openssl rand -hex 32` into a file of mode 0600, and name it there");
        }
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(field->pointer, source->pii[j].pointer) == 0) {
                f = fault_at(r, field->pointer, "`%s` is listed twice", field->pointer);
                fault_why(f, "only one treatment can be meant");
                fault_fix(f, "keep one of the two");
            }
    }
}
