/* Goal: no bytes harm the reader of contracts; what it takes is written as the same; the reasons why one may not follow another
 * come to an end, and are none for itself; and what is called compatible accepts what the older one lists.
 * Method: libFuzzer; the input is two contracts and a reading's value.
 * Links: pipeline/contract.c pipeline/bytes.c */
#include <assert.h>
#include <string.h>

#include "pipeline/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool load(struct contract *to, struct byte_reader *r)
{
    contract_load(to, r);
    for (uint32_t i = 0; i < to->metric_count && !r->failed; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(to->metrics[i].name, to->metrics[j].name) == 0)
                return false; /* no configuration has one */
    return !r->failed;
}

static void is_written_as_it_was(const struct contract *c)
{
    static uint8_t bytes[CONTRACT_BYTES_MAX];
    static struct contract again;
    char why[CONTRACT_WHY_BYTES];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    contract_save(c, &w);
    assert(!w.failed);
    struct byte_reader r = { bytes, w.used, 0, false };
    contract_load(&again, &r);
    assert(!r.failed && r.used == r.bytes && contract_same(c, &again));
    assert(contract_compatible(c, &again, why, sizeof why) && why[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct contract old, new_one;
    char why[CONTRACT_WHY_BYTES];
    struct byte_reader r = { data, bytes, 0, false };
    if (!load(&old, &r) || !load(&new_one, &r))
        return 0;
    is_written_as_it_was(&old);
    is_written_as_it_was(&new_one);
    uint32_t reasons = 0;
    while (contract_reason(&old, &new_one, reasons, why, sizeof why)) {
        assert(why[0] != '\0');
        assert(++reasons <= 5 * CONTRACT_METRICS_MAX + 1);
    }
    double number = get_f64(&r);
    if (reasons > 0 || r.failed || number != number)
        return 0;
    for (uint32_t i = 0; i < old.metric_count; i++) {
        struct reading reading = { .metric = text_of(old.metrics[i].name), .value = { .type = old.metrics[i].type,
                                                                                      .number = number } };
        if (contract_check(&old, &reading) == REJECT_NONE)
            assert(contract_check(&new_one, &reading) == REJECT_NONE);
    }
    return 0;
}
