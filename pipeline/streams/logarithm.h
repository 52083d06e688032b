/* logarithm: the natural logarithm and its inverse, the same bits on every processor; glibc's
 * differ in the last one.
 *
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1), by its
 * series, of which |s| <= 0.172 needs eleven terms. Add, subtract, multiply and divide only.
 * Within 4e-16 of the true value, relative to it (tests/unit/expression_test.c). */
#ifndef PIPELINE_STREAMS_LOGARITHM_H
#define PIPELINE_STREAMS_LOGARITHM_H

/* x is finite and greater than 0. */
double logarithm(double x);

/* e^x for |x| <= 700; x = k ln 2 + r, and the series of e^r. Within 1e-15, relative to it. */
double exponential(double x);

#endif
