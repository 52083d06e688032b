/* Whether the contracts may follow those that the store accepted last. */
#include "firmware/config/config.h"

#include <assert.h>

#include "pipeline/err.h"

static void print_error(FILE *errors, const struct config *config, const struct contract *contract,
                        const char *what)
{
    (void)fprintf(errors, "%s: error: the contract `%s` can't be taken: %s\n", config->path,
                  contract->name, what);
}

/* It differs from `before`, which was accepted. */
static bool may_follow(const struct config *config, const struct contract *before,
                       const struct contract *contract, FILE *errors)
{
    char what[CONTRACT_WHY_BYTES];
    bool compatible = contract_compatible(before, contract, what, sizeof what);
    if (!compatible) {
        print_error(errors, config, contract, what);
        (void)fprintf(errors,
                      "  why: version %u of it was accepted before; readings made for that would "
                      "be refused, or taken for something else\n"
                      "  fix: undo that, or give the contract a new name, also in its sources\n",
                      before->version);
    } else if (contract->version <= before->version) {
        print_error(errors, config, contract, "it has changed, and its version has not grown");
        (void)fprintf(errors,
                      "  why: version %u of it was accepted before; alerts and results name the "
                      "version that they go by\n"
                      "  fix: write `version: %u`, or undo the change\n",
                      before->version, before->version + 1);
    }
    return compatible && contract->version > before->version;
}

static int unreadable(const struct config *config, const struct contract *contract, FILE *errors)
{
    print_error(errors, config, contract, "what was accepted under its name can't be read");
    (void)fprintf(errors, "  why: the store's record of it is damaged, or a newer Weir's\n"
                          "  fix: give the contract a new name, also in its sources\n");
    return 1;
}

/* 0, 1 with an error printed, or the store's error. */
static int judge(const struct config *config, uint32_t index, struct store *store, FILE *errors,
                 uint32_t *changed)
{
    const struct contract *contract = &config->contracts[index];
    struct contract before;
    int error = store_contract_read(store, contract->name, &before);
    if (error == WEIR_ECORRUPT)
        return unreadable(config, contract, errors);
    if (error != 0 && error != WEIR_ENOTFOUND)
        return error;
    if (error == 0 && contract_same(&before, contract))
        return 0;
    if (error == 0 && !may_follow(config, &before, contract, errors))
        return 1;
    *changed |= 1u << index;
    return 0;
}

int config_check_contracts(const struct config *config, struct store *store, FILE *errors,
                           uint32_t *changed)
{
    static_assert(CONFIG_CONTRACTS_MAX <= 32, "a bit for each");
    int count = 0;
    *changed = 0;
    for (uint32_t i = 0; i < config->contract_count; i++) {
        int error = judge(config, i, store, errors, changed);
        if (error < 0)
            return error;
        count += error;
    }
    return count;
}
