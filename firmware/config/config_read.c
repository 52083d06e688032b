/* config_read: the stages in their order, and the files that a configuration names. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/err.h"

enum { PAGE_BYTES = 4096 };

/* Zero, without touching what is zero already: reading an untouched page costs no memory, writing
 * one does, and most of the struct is room that no file fills. */
static void clear(void *at, size_t bytes)
{
    static const uint8_t zero[PAGE_BYTES];
    for (size_t done = 0; done < bytes; done += PAGE_BYTES) {
        size_t piece = bytes - done < PAGE_BYTES ? bytes - done : PAGE_BYTES;
        if (memcmp((uint8_t *)at + done, zero, piece) != 0)
            memset((uint8_t *)at + done, 0, piece);
    }
}

static void reader_init(struct config_reader *r, const char *name, struct config *config)
{
    r->name = name;
    r->text = (struct text){ config->text, 0 };
    r->config = config;
    r->place_count = r->part_count = 0;
    r->fault_count = 0;
    r->may_be_contract = r->is_contract = false;
    clear(config, sizeof *config);
}

void config_too_large(struct config_reader *r)
{
    struct config_fault *f = fault_new(r, (struct config_place){ 0 }, "the file is too large");
    fault_why(f, "a configuration has at most %d KiB, because it is journalled whole",
              CONFIG_FILE_BYTES_MAX / 1024);
    fault_fix(f, "move what is about single devices into the inventory");
}

/* Until the end or an error; -1: errno tells. */
static ssize_t read_all(int descriptor, char *to, size_t bytes)
{
    size_t used = 0;
    while (used < bytes) {
        ssize_t got = read(descriptor, to + used, bytes - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : (ssize_t)used;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

bool config_load(struct config_reader *r, const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes =
        descriptor < 0 ? -1 : read_all(descriptor, r->config->text, CONFIG_FILE_BYTES_MAX);
    if (bytes < 0) {
        struct config_fault *f = fault_new(r, (struct config_place){ 0 }, "the file can't be read");
        fault_why(f, "%s", strerror(errno));
        fault_fix(f, "name the file with -c FILE");
    } else if (bytes == CONFIG_FILE_BYTES_MAX) {
        config_too_large(r);
    }
    if (descriptor >= 0)
        (void)close(descriptor);
    if (r->fault_count > 0)
        return false;
    r->text.bytes = (uint32_t)bytes;
    return config_include(r);
}

void config_stages(struct config_reader *r, bool environment)
{
    config_defaults(SECTION_ROOT, r->config);
    config_walk(r);
    if (r->is_contract)
        config_check_contract_list(r);
    if (r->is_contract || r->place_count == 0)
        return; /* no map was found: nothing to compare */
    config_derive(r);
    config_check(r);
    if (environment && r->fault_count == 0)
        config_check_environment(r);
}

int config_read(const char *path, struct config *config, FILE *errors)
{
    struct config_reader r;
    reader_init(&r, path, config);
    if (config_load(&r, path))
        config_stages(&r, true);
    config_report(&r, errors);
    return (int)r.fault_count;
}

int config_read_socket(const char *path, struct config *config, FILE *errors)
{
    struct config_reader r;
    reader_init(&r, path, config);
    if (config_load(&r, path))
        config_stages(&r, false);
    if (r.fault_count == 0)
        return 0;
    bool walked = r.place_count > 0; /* its syntax is good */
    if (walked && !config_is_bad(&r, config->socket_path)) {
        (void)fprintf(errors,
                      "weir: warning: %s has %u fault%s (`weir check` tells them); asking the "
                      "gateway at %s, which runs by what it read before\n",
                      path, r.fault_count, r.fault_count == 1 ? "" : "s", config->socket_path);
        return 0;
    }
    config_report(&r, errors);
    (void)fprintf(errors, "so it does not say where the gateway's socket is: `-s PATH` does\n");
    return (int)r.fault_count;
}

int config_read_text(const char *name, const char *text, size_t bytes, struct config *config,
                     FILE *errors)
{
    struct config_reader r;
    reader_init(&r, name, config);
    if (bytes >= CONFIG_FILE_BYTES_MAX) {
        config_too_large(&r);
    } else {
        if (bytes > 0)
            memcpy(config->text, text, bytes);
        config->text_bytes = r.text.bytes = (uint32_t)bytes;
        config_stages(&r, false);
    }
    config_report(&r, errors);
    return (int)r.fault_count;
}

/* The check that `weir check` makes, its faults kept in *r for printing. */
void config_reader_run(struct config_reader *r, const char *path, struct config *config,
                       bool environment)
{
    reader_init(r, path, config);
    if (config_load(r, path))
        config_stages(r, environment);
}

void config_reader_contracts(struct config_reader *r, const char *path, struct config *config)
{
    reader_init(r, path, config);
    r->may_be_contract = true;
    if (config_load(r, path))
        config_stages(r, false);
}

/* --- secrets ----------------------------------------------------------------------------- */

enum { WHY_BYTES = 256 };

int config_secret_open(const char *path, int *descriptor, char *why)
{
    struct stat st;
    /* Without waiting for whoever may write into a FIFO. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        (void)snprintf(why, WHY_BYTES, "it can't be opened: %s", strerror(errno));
        return WEIR_EINVAL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)snprintf(why, WHY_BYTES, "it is not a regular file");
    } else if ((st.st_mode & 077) != 0) {
        (void)snprintf(why, WHY_BYTES, "its mode is %04o: others than its owner may use it",
                       (unsigned)(st.st_mode & 07777));
    } else if (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0) { /* root may ask */
        (void)snprintf(why, WHY_BYTES,
                       "it belongs to user %u, who is neither root nor the one that runs Weir",
                       (unsigned)st.st_uid);
    } else {
        *descriptor = fd;
        return 0;
    }
    (void)close(fd);
    return WEIR_EINVAL;
}

/* What the descriptor holds, which is closed. */
static int take_text(int descriptor, char *to, size_t bytes, char *why)
{
    ssize_t got = read_all(descriptor, to, bytes);
    int err = errno;
    (void)close(descriptor);
    if (got > 0 && (size_t)got < bytes && to[got - 1] == '\n')
        got--;
    if (got > 0 && (size_t)got < bytes) {
        to[got] = '\0';
        return 0;
    }
    memset(to, 0, bytes);
    if (got < 0)
        (void)snprintf(why, WHY_BYTES, "it can't be read: %s", strerror(err));
    else
        (void)snprintf(why, WHY_BYTES, got == 0 ? "it is empty" : "it has more than %zu bytes",
                       bytes - 1);
    return WEIR_EINVAL;
}

int config_secret(const char *path, char *to, size_t bytes, char *why)
{
    int descriptor;
    assert(bytes >= 2);
    to[0] = '\0';
    if (config_secret_open(path, &descriptor, why) != 0)
        return WEIR_EINVAL;
    return take_text(descriptor, to, bytes, why);
}

int config_file(const char *path, char *to, size_t bytes, char *why)
{
    assert(bytes >= 2);
    to[0] = '\0';
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor >= 0)
        return take_text(descriptor, to, bytes, why);
    (void)snprintf(why, WHY_BYTES, "%.180s can't be opened: %s", path, strerror(errno));
    return WEIR_EINVAL;
}

static bool board_allows_less(const struct config *config)
{
    uint64_t board = config->board.memory_bytes_max;
    return board > 0 && board < config->memory_bytes_max;
}

uint64_t config_memory_max(const struct config *config)
{
    return board_allows_less(config) ? config->board.memory_bytes_max : config->memory_bytes_max;
}

/* "1.2GiB": rounded up, so that what is over reads as over. */
static void print_bytes(uint64_t size_bytes, char *to, size_t bytes)
{
    const uint64_t unit = size_bytes >= 10 << 20 ? 1 << 20 : 1 << 10;
    units_print_size((size_bytes + unit - 1) / unit * unit, to, bytes);
}

int config_check_budget(const struct config *config, const struct config_costs *costs,
                        FILE *errors)
{
    char total[32], most[32], part[32];
    if (costs->total_bytes <= config_memory_max(config))
        return 0;
    print_bytes(costs->total_bytes, total, sizeof total);
    units_print_size(config_memory_max(config), most, sizeof most);
    const char *whose =
        board_allows_less(config) ? "what the board allows" : "gateway.memory_max";
    if (errors == NULL)
        return 1;
    (void)fprintf(errors,
                  "%s: error: the memory budget is %s, over %s, %s\n"
                  "  why: everything is set aside at start, so that it can't run out later; "
                  "of it:\n",
                  config->path, total, whose, most);
    for (uint32_t i = 0; i < costs->count; i++) {
        print_bytes(costs->most[i].bytes, part, sizeof part);
        (void)fprintf(errors, "    %10s  %s\n", part, costs->most[i].what);
    }
    (void)fprintf(errors, "  fix: ");
    if (costs->count > 0 && costs->most[0].lower[0] != '\0')
        (void)fprintf(errors, "lower %s, or ", costs->most[0].lower);
    (void)fprintf(errors, "raise %s\n", whose);
    return 1;
}
