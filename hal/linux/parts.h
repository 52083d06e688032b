/* parts: what the files of hal/linux share. Nobody else includes this. */
#ifndef HAL_LINUX_PARTS_H
#define HAL_LINUX_PARTS_H

#include <stddef.h>

#include "hal/linux/hal_linux.h"
#include "pipeline/err.h"

/* --- the tree: small files under the root (tree.c) --- */

enum { TREE_PATH_BYTES = 512, TREE_TEXT_BYTES = 4096 };

/* root + what the format says. A path that is too long is cut, and then not found. */
void tree_path(const struct hal_linux *m, char to[TREE_PATH_BYTES], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A file's text, terminated, white space and zero bytes at its end cut off. WEIR_ENOTFOUND,
 * WEIR_EIO. */
int tree_read(const char *path, char *to, size_t bytes);
/* Into a file that is there. WEIR_ENOTFOUND, WEIR_EIO. */
int tree_write(const char *path, const char *text);
/* errno as the hal says it: WEIR_ENOTFOUND, WEIR_EBUSY, WEIR_EIO. */
int tree_error(int code);
/* The number in `text` behind `key` ("MemTotal:"); 0 where the key is not there. */
uint64_t tree_number_behind(const char *text, const char *key);

/* --- the parts, as struct hal wants them; ctx is a struct hal_linux --- */

struct hal_time linux_time(void *ctx);
uint64_t linux_boot(const struct hal_linux *m);
int linux_watchdog_start(void *ctx, uint32_t timeout_s, uint32_t *granted_s);
int linux_watchdog_feed(void *ctx);
int linux_watchdog_stop(void *ctx);
int linux_led(void *ctx, enum led_pattern pattern);
int linux_relay(void *ctx, bool on);
int linux_relay_find(struct hal_linux *m); /* 0: the chip is there */
void linux_relay_close(struct hal_linux *m);
int linux_button(void *ctx, enum hal_press *press);
int linux_button_find(struct hal_linux *m); /* 0: the chip is there */
void linux_button_close(struct hal_linux *m);
/* Of that name or label; the caller closes it. */
int linux_gpio_open(const struct hal_linux *m, const char *wanted, struct gpiod_chip **chip);
int linux_temperature(void *ctx, int32_t *milli_celsius);
int linux_supply_low(void *ctx, bool *low);
int linux_memory(void *ctx, struct hal_memory *memory);
int linux_storage(void *ctx, struct hal_storage *storage);
int linux_unique_id(void *ctx, char id[HAL_ID_BYTES]);
int linux_reset_reason(void *ctx, enum reset_reason *reason);
void linux_describe(void *ctx, struct hal_presence parts[HAL_PARTS]);

/* What the id was made from; NULL: the machine has none. */
const char *linux_unique_id_source(const struct hal_linux *m);

#endif
