#include "pipeline/timestamp.h"

#include <assert.h>
#include <stdbool.h>

#include "pipeline/err.h"

#define DAY_MS INT64_C(86400000)
#define FIRST_MS INT64_C(-62135596800000) /* 0001-01-01T00:00:00.000Z */
#define LAST_MS INT64_C(253402300799999)  /* 9999-12-31T23:59:59.999Z */

/* Days from 1970-01-01. The year is taken to begin in March, so that the leap day comes last, and
 * counted in eras of 400 years of 146097 days (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). Year >= 1, so nothing here is negative but the result. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

struct cursor {
    const char *at;
    uint32_t left;
    bool bad;
};

static int digits(struct cursor *c, uint32_t count, int min, int max)
{
    int value = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (c->left == 0 || *c->at < '0' || *c->at > '9') {
            c->bad = true;
            return min;
        }
        value = value * 10 + (*c->at++ - '0');
        c->left--;
    }
    if (value < min || value > max) {
        c->bad = true;
        return min;
    }
    return value;
}

/* Take the next byte if it is one of `these`; its place there, or -1. */
static int one_of(struct cursor *c, const char *these)
{
    for (int i = 0; c->left > 0 && these[i] != '\0'; i++) {
        if (*c->at == these[i]) {
            c->at++;
            c->left--;
            return i;
        }
    }
    return -1;
}

static void expect(struct cursor *c, const char *these)
{
    if (one_of(c, these) < 0)
        c->bad = true;
}

static int64_t date_days(struct cursor *c)
{
    int year = digits(c, 4, 1, 9999);
    expect(c, "-");
    int month = digits(c, 2, 1, 12);
    expect(c, "-");
    int day = digits(c, 2, 1, 31);
    if (day > days_in(year, month))
        c->bad = true;
    return days_of(year, month, day);
}

static int fraction_ms(struct cursor *c)
{
    if (one_of(c, ".") < 0)
        return 0;
    int ms = digits(c, 1, 0, 9) * 100;
    for (int weight = 10; c->left > 0 && *c->at >= '0' && *c->at <= '9'; weight /= 10)
        ms += weight * digits(c, 1, 0, 9); /* weight is 0 from the fourth on: cut */
    return ms;
}

static int offset_minutes(struct cursor *c)
{
    if (one_of(c, "Zz") >= 0)
        return 0;
    int sign = one_of(c, "+-");
    if (sign < 0)
        c->bad = true;
    int hours = digits(c, 2, 0, 23);
    expect(c, ":");
    int minutes = hours * 60 + digits(c, 2, 0, 59);
    return sign == 1 ? -minutes : minutes;
}

int timestamp_parse(struct text text, int64_t *unix_ms)
{
    struct cursor c = { text.at, text.bytes, false };
    int64_t days = date_days(&c);
    expect(&c, "Tt ");
    int hour = digits(&c, 2, 0, 23);
    expect(&c, ":");
    int minute = digits(&c, 2, 0, 59);
    expect(&c, ":");
    int second = digits(&c, 2, 0, 60);
    int ms = fraction_ms(&c);
    int64_t minutes = days * 1440 + hour * 60 + minute - offset_minutes(&c);
    if (c.bad || c.left > 0)
        return WEIR_EINVAL;
    int64_t next_midnight = minutes + 1; /* when the minute is 23:59 UTC */
    if (second == 60 && next_midnight % 1440 != 0)
        return WEIR_EINVAL;
    *unix_ms = minutes * 60000 + second * 1000 + ms;
    return 0;
}

static void put_digits(char *to, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    assert(value == 0);
}

void timestamp_print(int64_t unix_ms, char to[TIMESTAMP_BYTES])
{
    unix_ms = unix_ms < FIRST_MS ? FIRST_MS : unix_ms > LAST_MS ? LAST_MS : unix_ms;
    int64_t days = (unix_ms - FIRST_MS) / DAY_MS + 306; /* since 0000-03-01 */
    int64_t ms = (unix_ms - FIRST_MS) % DAY_MS;
    int64_t era = days / 146097;
    int64_t day_of_era = days % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153; /* 0: March */
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    memcpy(to, "0000-00-00T00:00:00.000Z", TIMESTAMP_BYTES);
    put_digits(to, era * 400 + year_of_era + (month <= 2), 4);
    put_digits(to + 5, month, 2);
    put_digits(to + 8, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
    put_digits(to + 11, ms / 3600000, 2);
    put_digits(to + 14, ms / 60000 % 60, 2);
    put_digits(to + 17, ms / 1000 % 60, 2);
    put_digits(to + 20, ms % 1000, 3);
}
