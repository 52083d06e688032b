#include "firmware/sizing/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/config/config.h"
#include "firmware/log.h"
#include "pipeline/err.h"

enum { PATH_BYTES = CONFIG_PATH_BYTES_MAX + 32, USUAL_PAYLOAD_BYTES = 80 };

static const struct {
    const char *name, *doc;
    size_t offset;
    double most;
} fields[] = {
#define FIELD(field, text, most) { #field, text, offsetof(struct calibration, field), most }
    FIELD(decode_ns, "ns to decode a reading's message, without its bytes", 1e9),
    FIELD(decode_byte_ns, "ns for each byte of its payload", 1e6),
    FIELD(pipeline_ns, "ns a reading behind that, its place in the journal included", 1e9),
    FIELD(commit_us, "us that a small commit takes", 1e9),
    FIELD(commit_cpu_us, "us of it in the processor", 1e9),
    FIELD(commit_bytes, "bytes written to the disk for a commit", 1e9),
    FIELD(reading_bytes, "bytes written to the disk for each reading", 1e6),
#undef FIELD
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static double *field_of(struct calibration *c, size_t i)
{
    return (double *)(void *)((char *)c + fields[i].offset);
}

/* Five times what `weir bench --calibrate` came to on a 2-core x86 server with ext4: by a rule of
 * thumb the cores of small boards (Cortex-A53) are so much slower. */
struct calibration calibration_default(void)
{
    return (struct calibration){
        .decode_ns = 630,
        .decode_byte_ns = 1,
        .pipeline_ns = 3400,
        .commit_us = 40000,
        .commit_cpu_us = 1800,
        .commit_bytes = 20000,
        .reading_bytes = 20,
        .origin = "built in: five times the time that an x86 server takes, as a rule of thumb for "
                  "small boards; `weir bench --calibrate` on the board measures it",
    };
}

static const char *line_of(const char *text, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, bytes) == 0 && strncmp(at + bytes, " = ", 3) == 0)
            return at + bytes + 3;
    }
    return NULL;
}

int calibration_parse(const char *text, struct calibration *c, char *why)
{
    struct calibration read = { .decode_ns = 0 };
    for (size_t i = 0; i < FIELDS; i++) {
        const char *at = line_of(text, fields[i].name);
        char *end = NULL;
        double value = at != NULL ? strtod(at, &end) : 0;
        if (at == NULL || end == at || *end != '\n' || !(value >= 0 && value <= fields[i].most)) {
            (void)snprintf(why, 256, "%s is missing or no number from 0 to %g", fields[i].name,
                           fields[i].most);
            return WEIR_EINVAL;
        }
        *field_of(&read, i) = value;
    }
    if (calibration_capacity(&read, 0) > 1e9) {
        (void)snprintf(why, 256, "no machine takes a reading in less than a nanosecond");
        return WEIR_EINVAL;
    }
    const char *origin = line_of(text, "origin");
    size_t bytes = origin != NULL ? strcspn(origin, "\n") : 0;
    bytes = bytes < sizeof read.origin ? bytes : sizeof read.origin - 1;
    if (bytes > 0)
        memcpy(read.origin, origin, bytes);
    *c = read;
    return 0;
}

static void path_in(const char *data_dir, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/calibration.conf", data_dir);
}

int calibration_read(const char *data_dir, struct calibration *c, char *why)
{
    char path[PATH_BYTES], text[CALIBRATION_FILE_BYTES_MAX + 1];
    path_in(data_dir, path);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return WEIR_ENOTFOUND;
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file); /* it was read only */
    text[bytes] = '\0';
    return calibration_parse(text, c, why);
}

int calibration_write(const char *data_dir, const struct calibration *c)
{
    char path[PATH_BYTES];
    struct calibration copy = *c;
    path_in(data_dir, path);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return WEIR_EIO;
    (void)fprintf(file, "# What this board can do; written by `weir bench --calibrate`.\n"
                        "origin = %s\n", c->origin);
    for (size_t i = 0; i < FIELDS; i++)
        (void)fprintf(file, "# %s\n%s = %.6g\n", fields[i].doc, fields[i].name,
                      *field_of(&copy, i));
    bool failed = ferror(file) != 0;
    return fclose(file) != 0 || failed ? WEIR_EIO : 0;
}

double calibration_capacity(const struct calibration *c, double payload_bytes)
{
    double reading_ns = c->decode_ns + c->decode_byte_ns * payload_bytes + c->pipeline_ns;
    double left = 1 - c->commit_cpu_us * 1e-6;
    return reading_ns > 0 ? (left > 0.01 ? left : 0.01) * 1e9 / reading_ns : INFINITY;
}

double calibration_start(const char *data_dir)
{
    struct calibration c = calibration_default();
    char why[256] = "";
    if (calibration_read(data_dir, &c, why) == WEIR_EINVAL)
        log_event("calibration_refused", "file=%s/calibration.conf why=\"%s\"", data_dir, why);
    double capacity = calibration_capacity(&c, USUAL_PAYLOAD_BYTES);
    log_event("calibration", "readings_per_second=%.0f origin=\"%s\"", capacity, c.origin);
    return capacity;
}
