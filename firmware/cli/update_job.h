/* update_job: the one thing that `weir update` does at a time, and how far it is, in a folder of
 * memory (/run/weir-update): a lock that goes with its process, and a small file of JSON that is
 * written whole. It is forgotten when the machine starts. */
#ifndef FIRMWARE_CLI_UPDATE_JOB_H
#define FIRMWARE_CLI_UPDATE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/codec/json_writer.h"

enum job_state { JOB_NONE, JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct job {
    enum job_state state; /* of the last since the machine started; none: there was no job */
    char verb[16];
    char bundle[64];     /* its version, when that is known */
    char message[160];   /* what it does, or did */
    char error[256];     /* FAILED: why, and what to do */
    int percent;         /* of the installation; -1: not that far */
    int64_t began_ms, ended_ms; /* Unix; 0: not yet */
};

/* The lock, and the folder for it: a descriptor, whose last copy holds it until it is closed.
 *   WEIR_EBUSY  another process has it
 *   WEIR_EIO    errno says why */
int job_lock(const char *folder);

/* WEIR_EIO: not written, and the file is as it was. */
int job_write(const char *folder, const struct job *job);
/* What was written last; one that is RUNNING while nobody has the lock has FAILED. */
void job_read(const char *folder, struct job *job);

/* What `weir update` prints while it works, a line at a time without its end, `source` being the
 * word that the bundle was asked for by, which is not told on. True: something is another now. */
bool job_hear(struct job *job, const char *line, const char *source);

/* As members of an object. */
void job_put(struct json_writer *w, const struct job *job);

#endif
