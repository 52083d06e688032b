#include "firmware/api/prometheus.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_BYTES = 1024 };

static void put(struct prometheus *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct prometheus *p, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= sizeof line)
        p->out.failed = true;
    else
        put_raw(&p->out, line, (size_t)bytes);
}

struct prometheus prometheus_over(void *at, size_t bytes)
{
    return (struct prometheus){ .out = { .at = at, .bytes = bytes } };
}

void prometheus_family(struct prometheus *p, enum prometheus_kind kind, const char *name,
                       const char *help)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    p->family = name;
    put(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* Backslash, quote and line feed must not stand in a label's value as they are. */
static void put_label_value(struct prometheus *p, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            put_raw(&p->out, "\\n", 2);
        else if (*value == '\\' || *value == '"')
            put(p, "\\%c", *value);
        else
            put_raw(&p->out, value, 1);
    }
}

static void put_head(struct prometheus *p, const struct prometheus_label labels[2])
{
    bool open = false;
    put_raw(&p->out, p->family, strlen(p->family));
    for (int i = 0; labels != NULL && i < 2 && labels[i].name != NULL; i++) {
        put(p, "%s%s=\"", open ? "," : "{", labels[i].name);
        put_label_value(p, labels[i].value);
        put_raw(&p->out, "\"", 1);
        open = true;
    }
    if (open)
        put_raw(&p->out, "}", 1);
}

void prometheus_count(struct prometheus *p, const struct prometheus_label labels[2],
                      uint64_t value)
{
    put_head(p, labels);
    put(p, " %llu\n", (unsigned long long)value);
}

void prometheus_value(struct prometheus *p, const struct prometheus_label labels[2], double value)
{
    put_head(p, labels);
    put(p, " %.15g\n", value);
}

void prometheus_counter(struct prometheus *p, const char *name, const char *help, uint64_t value)
{
    prometheus_family(p, PROMETHEUS_COUNTER, name, help);
    prometheus_count(p, NULL, value);
}

void prometheus_gauge(struct prometheus *p, const char *name, const char *help, double value)
{
    prometheus_family(p, PROMETHEUS_GAUGE, name, help);
    prometheus_value(p, NULL, value);
}

void prometheus_histogram(struct prometheus *p, const char *name, const char *help,
                          const struct histogram *histogram)
{
    uint64_t count = 0;
    prometheus_family(p, PROMETHEUS_HISTOGRAM, name, help);
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += histogram->counts[i];
        put(p, "%s_bucket{le=\"%g\"} %llu\n", name, (double)histogram_bounds_us[i] / 1e6,
            (unsigned long long)count);
    }
    count += histogram->counts[HISTOGRAM_BOUNDS];
    put(p, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.15g\n%s_count %llu\n", name,
        (unsigned long long)count, name, (double)histogram->sum_us / 1e6, name,
        (unsigned long long)count);
}
