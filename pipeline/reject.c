#include "pipeline/reject.h"

const char *reject_name(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_NONE:
        return "none";
#define X(name, number, word, text) \
    case name:                      \
        return word;
        WEIR_REJECTS(X)
#undef X
    case REJECT_REASON_END:
        break;
    }
    return "unknown";
}

const char *reject_text(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_NONE:
        return "not rejected";
#define X(name, number, word, text) \
    case name:                      \
        return text;
        WEIR_REJECTS(X)
#undef X
    case REJECT_REASON_END:
        break;
    }
    return "unknown reason";
}
