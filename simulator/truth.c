#include "simulator/truth.h"

#include <inttypes.h>

void truth_fleet(FILE *to, uint64_t seed, uint64_t devices, const char *proportions_json)
{
    if (to != NULL)
        fprintf(to, "{\"record\":\"fleet\",\"seed\":%" PRIu64 ",\"devices\":%" PRIu64 ",%s}\n",
                seed, devices, proportions_json);
}

void truth_clock(FILE *to, const char *device, int64_t offset_ms)
{
    if (to != NULL)
        fprintf(to, "{\"record\":\"clock\",\"device\":\"%s\",\"offset_ms\":%" PRId64 "}\n",
                device, offset_ms);
}

void truth_fault(FILE *to, const char *device, const char *metric, const struct fault *fault,
                 int64_t clock_offset_ms)
{
    if (to == NULL)
        return;
    fprintf(to,
            "{\"record\":\"fault\",\"device\":\"%s\",\"metric\":\"%s\",\"kind\":\"%s\","
            "\"start_ms\":%" PRId64 ",\"end_ms\":%" PRId64 ",\"published_ms\":%" PRId64
            ",\"magnitude_sd\":%.2f,\"readings\":%" PRIu32 "}\n",
            device, metric, fault_name(fault->kind), fault->start_ms + clock_offset_ms,
            fault->end_ms + clock_offset_ms, fault->published_ms, fault->magnitude_sd,
            fault->readings);
    (void)fflush(to); /* the fleet may be stopped at any moment */
}

void truth_end(FILE *to, const struct fleet_totals *totals)
{
    if (to != NULL)
        fprintf(to,
                "{\"record\":\"end\",\"published\":%" PRIu64 ",\"withheld\":%" PRIu64
                ",\"late\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"repeated\":%" PRIu64
                ",\"malformed\":%" PRIu64 "}\n",
                totals->published, totals->withheld, totals->late, totals->reordered,
                totals->repeated, totals->malformed);
}
