#include "pipeline/err.h"

const char *weir_err_text(int err)
{
    switch (err) {
    case 0:
        return "ok";
#define X(name, code, text) \
    case name:              \
        return text;
        WEIR_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}
