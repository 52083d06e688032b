/* prometheus: the text format of Prometheus (0.0.4) into a bounded buffer. A family is begun once,
 * then its samples follow, each with its own labels. A writer that runs out of room remembers that
 * (`out.failed`) and does nothing more. */
#ifndef FIRMWARE_PROMETHEUS_H
#define FIRMWARE_PROMETHEUS_H

#include "pipeline/bytes.h"
#include "pipeline/pressure/histogram.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prometheus {
    struct byte_writer out;
    const char *family; /* under way */
};

struct prometheus prometheus_over(void *at, size_t bytes);

enum prometheus_kind { PROMETHEUS_COUNTER, PROMETHEUS_GAUGE, PROMETHEUS_HISTOGRAM };

/* HELP and TYPE. `name` and `help` are of the program: no escapes needed. */
void prometheus_family(struct prometheus *p, enum prometheus_kind kind, const char *name,
                       const char *help);

struct prometheus_label {
    const char *name, *value; /* the value is escaped; name NULL: no label */
};

/* One sample of the family under way, with up to two labels; NULL: none. */
void prometheus_count(struct prometheus *p, const struct prometheus_label labels[2],
                      uint64_t value);
void prometheus_value(struct prometheus *p, const struct prometheus_label labels[2], double value);

/* A family with one sample without labels. */
void prometheus_counter(struct prometheus *p, const char *name, const char *help, uint64_t value);
void prometheus_gauge(struct prometheus *p, const char *name, const char *help, double value);
/* A family of one histogram, in seconds. */
void prometheus_histogram(struct prometheus *p, const char *name, const char *help,
                          const struct histogram *histogram);

#endif
