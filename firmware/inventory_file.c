#include "firmware/inventory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/log.h"
#include "pipeline/err.h"

enum { INVENTORY_LOOK_MS = 5000, INVENTORY_READ_AGAIN_MS = 200 };

struct inventory_file {
    const char *path; /* empty: none */
    bool json;
    struct timespec changed; /* of the file as last loaded */
    off_t size;
    int64_t look_ms;
    char *bytes; /* [bytes_max + 1]: one more shows a file that is too large */
    uint32_t bytes_max;
};

struct inventory_file *inventory_file_init(const struct config *config, struct arena *arena)
{
    struct inventory_file *f = arena_take(arena, 1, sizeof *f);
    char *bytes = arena_take(arena, config->inventory_bytes + 1u, 1);
    if (f == NULL)
        return NULL;
    size_t length = strlen(config->inventory_file);
    f->path = config->inventory_file;
    f->bytes = bytes;
    f->bytes_max = config->inventory_bytes;
    f->json = length > 5 && strcmp(config->inventory_file + length - 5, ".json") == 0;
    return f;
}

static int read_file(struct inventory_file *f, size_t *bytes, char *why)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    *bytes = 0;
    while (fd >= 0 && *bytes <= f->bytes_max &&
           (got = read(fd, f->bytes + *bytes, f->bytes_max + 1 - *bytes)) > 0)
        *bytes += (size_t)got;
    if (fd < 0 || got < 0)
        (void)snprintf(why, 256, "%s: %s", f->path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* read only */
    return fd < 0 || got < 0 ? WEIR_EIO : 0;
}

int inventory_file_load(struct inventory_file *f, struct gateway *gateway, char *why)
{
    size_t bytes;
    uint8_t digest[32];
    struct stat status;
    if (f->path[0] == '\0') {
        (void)snprintf(why, 256, "no inventory file is configured");
        return WEIR_ENOTFOUND;
    }
    if (stat(f->path, &status) ==
        0) { /* before reading: a change while we read is seen next time */
        f->changed = status.st_mtim;
        f->size = status.st_size;
    }
    int error = read_file(f, &bytes, why);
    if (error != 0)
        return error;
    if (mbedtls_sha256_ret((const unsigned char *)f->bytes, bytes, digest, 0) != 0)
        return WEIR_EIO;
    return gateway_on_inventory(gateway, digest, (struct text){ f->bytes, (uint32_t)bytes },
                                f->json, why);
}

void inventory_file_turn(struct inventory_file *f, struct gateway *gateway, int64_t mono_ms)
{
    char why[256] = "";
    struct stat status;
    if (f->path[0] == '\0' || mono_ms < f->look_ms)
        return;
    f->look_ms = mono_ms + INVENTORY_LOOK_MS;
    if (stat(f->path, &status) != 0 ||
        (status.st_mtim.tv_sec == f->changed.tv_sec &&
         status.st_mtim.tv_nsec == f->changed.tv_nsec && status.st_size == f->size))
        return;
    int error = inventory_file_load(f, gateway, why);
    if (error == WEIR_EAGAIN) {
        f->changed = (struct timespec){ 0 };
        f->look_ms = mono_ms + INVENTORY_READ_AGAIN_MS;
    } else if (error != 0) {
        log_event("inventory_refused", "why=\"%s\"", why);
    } else {
        log_event("inventory_loaded", "file=%s", f->path);
    }
}
