#include "pipeline/alerts/severity.h"

#include <assert.h>

const char *severity_name(enum severity severity)
{
    static const char *const names[] = { "learning", "info",  "warning",
                                         "minor",    "major", "critical" };
    assert(severity >= SEVERITY_LEARNING && severity < SEVERITIES);
    return names[severity - SEVERITY_LEARNING];
}
