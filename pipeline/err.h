/* err: every fallible call in the project returns 0 or one of these.
 * A foreign library's code is translated at the seam where it enters, and its own text is logged
 * there; behind that seam only these exist. */
#ifndef PIPELINE_ERR_H
#define PIPELINE_ERR_H

#define WEIR_ERRORS(X)                                               \
    X(WEIR_EINVAL, 1, "value is not usable")                         \
    X(WEIR_EFULL, 2, "a fixed limit was reached")                    \
    X(WEIR_EAGAIN, 3, "cannot proceed now, try again")               \
    X(WEIR_EIO, 4, "the outside world failed")                       \
    X(WEIR_ENOSPC, 5, "no space is left on the disk or in its budget") \
    X(WEIR_ECORRUPT, 6, "stored bytes are damaged")                  \
    X(WEIR_EVERSION, 7, "written by an incompatible version")        \
    X(WEIR_ENOTFOUND, 8, "there is no such thing")                   \
    X(WEIR_EBUSY, 9, "somebody else holds it")                       \
    X(WEIR_ELATE, 10, "older than what was already taken")

enum weir_err {
#define X(name, code, text) name = -(code),
    WEIR_ERRORS(X)
#undef X
};

/* The text of an error above; "ok" for 0, "unknown error" for anything else. Never NULL. */
const char *weir_err_text(int err);

#endif
