#include "pipeline/pressure/lag.h"

#include <assert.h>

static void begin_slice(struct lag *l, int64_t t_ms)
{
    l->before_ms = l->slice_least_ms;
    l->slice_from_ms = t_ms;
    l->slice_least_ms = INT64_MAX;
}

void lag_init(struct lag *l, int64_t t_ms)
{
    *l = (struct lag){ .slice_from_ms = t_ms,
                       .slice_least_ms = INT64_MAX,
                       .before_ms = INT64_MAX,
                       .grows_from_ms = INT64_MAX };
}

enum lag_verdict lag_update(struct lag *l, int64_t for_ms, int64_t lag_ms, int64_t told_ms,
                            int64_t t_ms)
{
    assert(for_ms > 0 && lag_ms >= 0 && told_ms >= 0);
    assert(t_ms >= l->slice_from_ms);
    if (lag_ms < l->slice_least_ms)
        l->slice_least_ms = lag_ms;
    if (t_ms - l->slice_from_ms < for_ms / LAG_SLICES)
        return LAG_AS_IT_WAS;
    int64_t least_ms = l->slice_least_ms;
    bool grows = least_ms > l->before_ms && least_ms >= LAG_LEAST_MS;
    if (!grows)
        l->grows_from_ms = INT64_MAX;
    else if (l->grows_from_ms == INT64_MAX)
        l->grows_from_ms = l->slice_from_ms;
    begin_slice(l, t_ms);
    if (grows && t_ms - l->grows_from_ms >= for_ms && least_ms / 2 >= told_ms)
        return LAG_GROWS;
    return told_ms > 0 && least_ms < told_ms / 2 ? LAG_IS_OVER : LAG_AS_IT_WAS;
}
