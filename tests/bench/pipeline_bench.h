/* pipeline_bench: what its two files share. */
#ifndef TESTS_BENCH_PIPELINE_BENCH_H
#define TESTS_BENCH_PIPELINE_BENCH_H

#include "firmware/config.h"

/* Where each byte of a device with one metric goes. One JSON line. */
void print_memory(const struct config *config);

#endif
