/* severity: how bad an alert is, as it is told. A rule has one of its own, from INFO on; LEARNING
 * stands for alerts of a series that is too new to be judged, whatever their rule says. */
#ifndef PIPELINE_ALERTS_SEVERITY_H
#define PIPELINE_ALERTS_SEVERITY_H

enum severity {
    SEVERITY_LEARNING = -1,
    SEVERITY_INFO,
    SEVERITY_WARNING,
    SEVERITY_MINOR,
    SEVERITY_MAJOR,
    SEVERITY_CRITICAL,
    SEVERITIES /* that a rule can have */
};

/* "learning", "info", ..., "critical". */
const char *severity_name(enum severity severity);

#endif
