/* calibration: what this board can do, as coefficients: measured by `weir bench --calibrate`, kept
 * in a small file in the data directory, read by `weir size` and by the gateway at its start.
 * Without the file built-in figures stand in, which say what they are. */
#ifndef FIRMWARE_CALIBRATION_H
#define FIRMWARE_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALIBRATION_ORIGIN_BYTES = 192, CALIBRATION_FILE_BYTES_MAX = 4096 };

struct calibration {
    double decode_ns;      /* of a reading's message without its bytes, */
    double decode_byte_ns; /* and for each byte of its payload */
    double pipeline_ns;    /* of a reading: identity to detectors, and its place in the journal */
    double commit_us;      /* that a small commit takes, the disk included */
    double commit_cpu_us;  /* of it, in the processor */
    double commit_bytes;   /* written to the disk for a commit, whatever is in it, */
    double reading_bytes;  /* and for each reading */
    char origin[CALIBRATION_ORIGIN_BYTES]; /* where the figures come from, for people */
};

struct calibration calibration_default(void);

/* Of data_dir/calibration.conf. WEIR_ENOTFOUND: it is not there; WEIR_EINVAL: it is not one, with a
 * sentence in `why` (256 bytes). On error *c is unchanged. */
int calibration_read(const char *data_dir, struct calibration *c, char *why);
int calibration_parse(const char *text, struct calibration *c, char *why);
/* WEIR_EIO with errno. */
int calibration_write(const char *data_dir, const struct calibration *c);

/* Readings a second that one gateway takes when a core does nothing else: each in a message of its
 * own of so many payload bytes, a commit each second. */
double calibration_capacity(const struct calibration *c, double payload_bytes);

/* For the gateway's start: what one on this board can take, of messages of a usual size. Logged; a
 * file that can't be read is as good as none. */
double calibration_start(const char *data_dir);

/* Measure it: about five seconds on one core, in a directory of its own below `data_dir`, which is
 * removed. WEIR_EIO, WEIR_EFULL with a sentence in `why`. Takes heap: not for the
 * daemon. */
int calibrate(const char *data_dir, struct calibration *c, char *why);

#endif
