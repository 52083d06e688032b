/* What happens in each scenario. Rates and proportions are those of small real ones; whatever
 * decides a test is not in here but in what the oracle makes of the events. A device has few
 * numbers missing at a time (dedup.ranges): an event is of any device, where that is no matter. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "simulator/chance.h"
#include "simulator/scenario.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
static const int64_t DAY = INT64_C(24) * HOUR;

static struct scenario_event *event(struct scenario_events *to, int64_t t_ms, uint32_t device,
                                    const char *metric, double value)
{
    struct scenario_event *e = scenario_add(to);
    e->t_ms = t_ms;
    e->device = device;
    e->value = value;
    (void)snprintf(e->metric, sizeof e->metric, "%s", metric);
    return e;
}

static double cents(double amount)
{
    return round(amount * 100) / 100;
}

static int64_t moment(int64_t span_ms, uint64_t *chance)
{
    return (int64_t)(chance_unit(chance) * (double)span_ms);
}

/* Mean 1. */
static double exponential(uint64_t *chance)
{
    return -log(1 - chance_unit(chance));
}

/* Few are often, most are rare: of `count`, by Zipf's law. */
static uint32_t popular(uint32_t count, uint64_t *chance)
{
    return (uint32_t)(exp(chance_unit(chance) * log(count + 1.0)) - 1) % count;
}

/* --- iot-temperature: a reading a second from each, and some spikes -------------------------- */

enum { SENSORS = 20 };

static void draw_temperatures(struct scenario_events *to, double scale, uint64_t *chance)
{
    int64_t seconds = 10 * MINUTE / SECOND;
    for (uint32_t d = 0; d < SENSORS * scale; d++) {
        double base = chance_between(chance, 15, 30);
        for (int64_t s = 0; s < seconds; s++) {
            double noise = 0.1 * (chance_unit(chance) + chance_unit(chance) - 1);
            bool spike = s > seconds / 2 && chance_below(chance, 100) == 0;
            struct scenario_event *e = event(to, s * SECOND + d * 7, d, "temperature",
                                             cents(base + noise + (spike ? 12 : 0)));
            (void)snprintf(e->fields, sizeof e->fields, ",\"spike\":%s", spike ? "true" : "false");
        }
    }
}

/* --- clickstream: who is active in which country --------------------------------------------- */

static void draw_clicks(struct scenario_events *to, double scale, uint64_t *chance)
{
    static const char *const countries[] = { "DE", "FR", "PL", "IT", "ES", "NL",
                                             "AT", "CZ", "SE", "PT", "DK", "IE" };
    static const char *const pages[] = { "home", "search", "item", "cart", "pay" };
    uint32_t clicks = (uint32_t)(scale * 24000);
    for (uint32_t i = 0; i < clicks; i++) {
        uint32_t user = popular(3000, chance);
        const char *country = countries[popular(12, chance)];
        struct scenario_event *e =
            event(to, moment(20 * MINUTE, chance), chance_below(chance, 100), "click",
                  1);
        (void)snprintf(e->fields, sizeof e->fields,
                       ",\"user\":\"u%u\",\"country\":\"%s\",\"page\":\"%s\"", user, country,
                       pages[chance_below(chance, 5)]);
    }
}

/* --- payment-fraud: cards that pay, some of them stolen -------------------------------------- */

static void pay(struct scenario_events *to, int64_t t_ms, uint32_t card, double amount,
                uint32_t merchant, bool stolen)
{
    size_t transaction = to->count;
    struct scenario_event *e = event(to, t_ms, card % 25, "payment", cents(amount));
    (void)snprintf(e->fields, sizeof e->fields,
                   ",\"card\":\"c%u\",\"merchant\":\"m%u\",\"transaction\":\"t%zu\",\"stolen\":%s",
                   card, merchant, transaction, stolen ? "true" : "false");
}

static void draw_payments(struct scenario_events *to, double scale, uint64_t *chance)
{
    uint32_t cards = 400;
    int64_t span_ms = 2 * HOUR;
    uint32_t payments = (uint32_t)(scale * 12000);
    for (uint32_t i = 0; i < payments; i++)
        pay(to, moment(span_ms, chance), popular(cards, chance), 5 + 40 * exponential(chance),
            chance_below(chance, 200), false);
    for (uint32_t i = 0; i < payments / 600; i++) { /* a thief's hurry: ten shops in a minute */
        int64_t t_ms = moment(span_ms, chance);
        uint32_t card = chance_below(chance, cards);
        for (uint32_t k = 0; k < 10; k++)
            pay(to, t_ms + k * 6 * SECOND, card, 300 + 500 * exponential(chance),
                chance_below(chance, 200), true);
    }
}

/* --- surge-pricing: requests and free drivers by zone ---------------------------------------- */

static void draw_rides(struct scenario_events *to, double scale, uint64_t *chance)
{
    uint32_t zones = 30, events = (uint32_t)(scale * 30000);
    int64_t span_ms = 30 * MINUTE;
    for (uint32_t i = 0; i < events; i++) {
        uint32_t zone = popular(zones, chance);
        int64_t t_ms = moment(span_ms, chance);
        /* Every zone has its rush, at a time of its own. */
        bool rush = (t_ms / (5 * MINUTE) + zone) % 4 == 0;
        bool request = chance_below(chance, 100) < (rush ? 75u : 45u);
        struct scenario_event *e = event(to, t_ms, chance_below(chance, 60),
                                         request ? "request" : "driver", 1);
        (void)snprintf(e->fields, sizeof e->fields, ",\"zone\":\"z%u\"", zone);
    }
}

/* --- customer-spend: purchases --------------------------------------------------------------- */

static void draw_purchases(struct scenario_events *to, double scale, uint64_t *chance)
{
    uint32_t purchases = (uint32_t)(scale * 15000);
    for (uint32_t i = 0; i < purchases; i++) {
        uint32_t customer = popular(300, chance);
        struct scenario_event *e = event(to, moment(2 * HOUR, chance),
                                         customer % 20, "purchase",
                                         cents(1 + 25 * exponential(chance)));
        (void)snprintf(e->fields, sizeof e->fields, ",\"customer\":\"k%u\"", customer);
    }
}

/* --- active-users-month: who was there in the last thirty days ------------------------------- */

static void draw_visits(struct scenario_events *to, double scale, uint64_t *chance)
{
    static const char *const apps[] = { "web", "phone" };
    uint32_t users = (uint32_t)(scale * 1500), days = 40;
    for (uint32_t user = 0; user < users; user++) {
        uint32_t every = 1 + popular(40, chance);
        for (uint32_t day = chance_below(chance, every); day < days;
             day += 1 + chance_below(chance, 2 * every)) {
            struct scenario_event *e = event(to, day * DAY + moment(DAY, chance), user % 30,
                                             "visit", 1);
            (void)snprintf(e->fields, sizeof e->fields, ",\"user\":\"u%u\",\"app\":\"%s\"", user,
                           apps[chance_below(chance, 2)]);
        }
    }
}

const struct scenario scenarios[] = {
    { "iot-temperature", "temperatures by device: 10 s windows, late by up to 15 s, and spikes",
      SENSORS, 12 * SECOND, 2 * MINUTE, draw_temperatures },
    { "clickstream", "active users by country: a minute, every 5 s, late by up to 3 min",
      100, 170 * SECOND, 10 * MINUTE, draw_clicks },
    { "payment-fraud", "sessions of payments by card: how much, how often, at how many merchants",
      25, 25 * SECOND, 30 * MINUTE, draw_payments },
    { "surge-pricing", "requests over free drivers by zone and minute",
      60, 40 * SECOND, 10 * MINUTE, draw_rides },
    { "customer-spend", "what a customer spent in 15 min, every 30 s, late by up to 2 min",
      20, 110 * SECOND, 20 * MINUTE, draw_purchases },
    { "active-users-month", "active users of 30 days, every day, late by up to 2 days",
      30, 40 * HOUR, INT64_C(34) * 24 * HOUR, draw_visits },
};
const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];
