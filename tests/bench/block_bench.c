/* Goal: what a journal block costs: nanoseconds to append and to read a reading, bytes a reading, memory touched.
 * Method: 1,000 synthetic devices in random order, and every CSV of timestamp,value under the folder given as argument,
 * as one device each. Prints one JSON line a case.
 * Links: storage/block%.c storage/crc32c.c */
#include <assert.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/block.h"

enum { RECORDS = 10000, DEVICES = 1000, ROUNDS = 40 };

static const struct block_limits limits = { .records_max = RECORDS, .bytes_max = 1 << 20, .names_max = 5000 };
static struct block_builder *builder;
static struct block_reader *reader;
static uint8_t *arena_at;
static size_t arena_bytes;
static uint8_t block_room[1 << 20];
static struct record records[RECORDS];
static char names[DEVICES][32];
static uint64_t chance = 1;

static uint64_t rnd(void)
{
    uint64_t z = (chance += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double noise(void) /* about normal */
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(rnd() >> 11) * 0x1p-53;
    return sum;
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static size_t packed(uint32_t count)
{
    struct byte_writer w = { .at = block_room, .bytes = sizeof block_room };
    block_builder_reset(builder);
    for (uint32_t i = 0; i < count; i++)
        if (block_append(builder, &records[i]) != 0)
            abort();
    block_finish(builder, &w);
    assert(!w.failed);
    return w.used;
}

static uint64_t touched_kib(void)
{
    uint64_t pages = 0;
    for (size_t page = 0; page < arena_bytes; page += 4096)
        for (size_t i = page; i < page + 4096 && i < arena_bytes; i++)
            if (arena_at[i] != 0) {
                pages++;
                break;
            }
    return pages * 4;
}

static void measure(const char *name)
{
    double start = seconds();
    size_t bytes = 0;
    for (int i = 0; i < ROUNDS; i++)
        bytes = packed(RECORDS);
    double append_ns = (seconds() - start) * 1e9 / ROUNDS / RECORDS;
    struct record record;
    start = seconds();
    for (int i = 0; i < ROUNDS; i++) {
        if (block_open(reader, (struct text){ (char *)block_room, (uint32_t)bytes }) != 0)
            abort();
        while (block_next(reader, &record) == 1)
            continue;
    }
    double read_ns = (seconds() - start) * 1e9 / ROUNDS / RECORDS;
    printf("{\"bench\":\"block\",\"case\":\"%s\",\"append_ns\":%.1f,\"read_ns\":%.1f,\"bytes_a_reading\":%.2f,\"touched_kib\":%lu}\n",
           name, append_ns, read_ns, (double)bytes / RECORDS, (unsigned long)touched_kib());
}

/* Each device once a second with some jitter, in an order that changes when `shuffled`. */
static void synthetic(const char *name, int decimals, bool shuffled)
{
    double scale = decimals == 17 ? 1e18 : pow(10, decimals);
    int64_t t_ms = 86400000;
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint32_t device = shuffled ? (uint32_t)(rnd() % DEVICES) : i % DEVICES;
        double value = 20.0 + device % 50 + noise() * 0.5;
        t_ms += i % 10 == 0;
        records[i] = (struct record){ .kind = RECORD_READING, .t_ms = t_ms };
        struct reading *r = &records[i].reading;
        r->device = text_of(names[device]);
        r->metric = text_of("temperature");
        r->unit = text_of("Cel");
        r->value.number = decimals == 17 ? value : round(value * scale) / scale;
        r->has_device_time = r->has_sequence = true;
        r->device_time_ms = 1790000000000 + (int64_t)(i / DEVICES) * 1000 + device % 900 + (int64_t)(rnd() % 7);
        r->sequence = 5000 + device + i / DEVICES;
        records[i].event_time_ms = r->device_time_ms;
    }
    (void)packed(RECORDS);
    measure(name);
}

static uint64_t real_readings, real_bytes;

/* Blocks of up to a hundred readings of one series, as one device alone would make them in 100 s. */
static int real_series(const char *path, const struct stat *info, int kind)
{
    (void)info;
    size_t length = strlen(path);
    if (kind != FTW_F || length < 4 || strcmp(path + length - 4, ".csv") != 0)
        return 0;
    FILE *file = fopen(path, "r");
    char line[256];
    uint32_t count = 0;
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        return 0;
    while (count < RECORDS && fgets(line, sizeof line, file) != NULL) {
        struct tm tm = { 0 };
        double value, second = 0;
        if (sscanf(line, "%d-%d-%d %d:%d:%lf,%lf", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                   &second, &value) != 7)
            continue;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        int64_t time_ms = (int64_t)timegm(&tm) * 1000 + (int64_t)(second * 1000 + 0.5);
        records[count] = (struct record){ .kind = RECORD_READING, .t_ms = time_ms, .event_time_ms = time_ms };
        struct reading *r = &records[count++].reading;
        r->device = text_of("replayed");
        r->metric = text_of("value");
        r->value.number = value;
        r->has_device_time = r->has_sequence = true;
        r->device_time_ms = time_ms;
        r->sequence = count;
    }
    (void)fclose(file);
    size_t bytes = packed(count);
    real_readings += count;
    real_bytes += bytes;
    if (getenv("VERBOSE") != NULL)
        printf("%s %u readings, %.2f bytes each\n", path, count, (double)bytes / count);
    return 0;
}

int main(int argc, char **argv)
{
    struct arena arena = arena_measure();
    block_builder_init(&limits, &arena);
    arena_bytes = arena.used;
    arena_at = aligned_alloc(4096, (arena.used + 4095) / 4096 * 4096);
    memset(arena_at, 0, arena.used);
    arena = arena_over(arena_at, arena.used);
    builder = block_builder_init(&limits, &arena);
    arena = arena_measure();
    block_reader_init(&limits, &arena);
    arena = arena_over(calloc(1, arena.used), arena.used);
    reader = block_reader_init(&limits, &arena);
    for (int i = 0; i < DEVICES; i++)
        (void)snprintf(names[i], sizeof names[i], "line-%d/sensor-%04d", i / 100, i);
    printf("{\"bench\":\"block\",\"case\":\"memory\",\"builder_kib\":%zu,\"reader_kib\":%zu}\n", arena_bytes / 1024, arena.used / 1024);
    synthetic("2_decimals_in_turn", 2, false);
    synthetic("2_decimals_shuffled", 2, true);
    synthetic("full_doubles_in_turn", 17, false);
    synthetic("full_doubles_shuffled", 17, true);
    if (argc > 1)
        (void)ftw(argv[1], real_series, 16);
    if (real_readings > 0)
        printf("{\"bench\":\"block\",\"case\":\"real_series\",\"readings\":%lu,\"bytes_a_reading\":%.2f}\n",
               (unsigned long)real_readings, (double)real_bytes / (double)real_readings);
    return 0;
}
