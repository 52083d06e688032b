/* Contradictions between the thresholds of shed levels. */
#include "firmware/config/config_parts.h"

enum { DURATION_BYTES = 32 };

static const char *key_of(enum shed_cause cause, enum shed_level level)
{
    size_t offset = offsetof(struct config, shed.over) +
                    ((size_t)cause * SHED_LEVELS + (size_t)level) * sizeof(int64_t);
    for (uint32_t i = 0; i < config_key_count; i++)
        if (config_keys[i].section == SECTION_SHED && config_keys[i].offset == offset)
            return config_keys[i].name;
    return ""; /* none sets it, and so it is 0 */
}

static enum shed_level next_used(const int64_t over[SHED_LEVELS], enum shed_level level)
{
    do
        level++;
    while (level < SHED_LEVELS && over[level] == 0);
    return level;
}

static void check_order(struct config_reader *r, enum shed_cause cause)
{
    const int64_t *over = r->config->shed.over[cause];
    enum shed_level below = next_used(over, SHED_NORMAL);
    for (enum shed_level level = below; level < SHED_LEVELS; level = next_used(over, level)) {
        if (level != below && over[level] <= over[below]) {
            const int64_t *at = config_given(r, &over[level]) ? &over[level] : &over[below];
            struct config_fault *f = fault_at(r, at, "`shed.%s` is not more than `shed.%s`",
                                              key_of(cause, level), key_of(cause, below));
            fault_why(f, "levels are entered one after the other, each under more pressure");
            fault_fix(f, "a greater %s, or 0, which leaves that level to other causes",
                      key_of(cause, level));
        }
        below = level;
    }
}

static void check_lag(struct config_reader *r)
{
    const struct config *c = r->config;
    enum shed_level first = next_used(c->shed.over[SHED_LAG], SHED_NORMAL);
    if (first == SHED_LEVELS || c->shed.over[SHED_LAG][first] > c->commit_max_age_ms)
        return;
    const void *lag = &c->shed.over[SHED_LAG][first], *age = &c->commit_max_age_ms;
    char waits[DURATION_BYTES], least[DURATION_BYTES];
    units_print_duration(c->commit_max_age_ms, waits, sizeof waits);
    units_print_duration(2 * c->commit_max_age_ms, least, sizeof least);
    struct config_fault *f =
        fault_at(r, config_given(r, lag) || !config_given(r, age) ? lag : age,
                 "`shed.%s` is not more than `commit.max_age`", key_of(SHED_LAG, first));
    fault_why(f,
              "a source waits up to %s for a commit without any pressure, so %s would always be "
              "shed",
              waits, first == SHED_ENRICHMENT ? "enrichment" : "something");
    fault_fix(f, "at least `%s`", least);
}

void config_check_shed(struct config_reader *r)
{
    for (enum shed_cause cause = SHED_LAG; cause < SHED_CAUSES; cause++)
        check_order(r, cause);
    check_lag(r);
}
