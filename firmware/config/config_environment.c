/* Stage environment: the files that a configuration names are there, and its secrets are secret. It
 * looks at this machine, as the user who runs it. */
#include "firmware/config/config_parts.h"
#include "firmware/config/tokens.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hal/board.h"

enum { OTHER_FILES = 128 }; /* the store, brokers, the API's connections, the machine's parts */

static void check_readable(struct config_reader *r, const char *path, const char *what)
{
    if (path[0] == '\0' || access(path, R_OK) == 0)
        return;
    struct config_fault *f =
        fault_at(r, path, "environment: the %s can't be read: %s", what, strerror(errno));
    fault_why(f, "without it the gateway can't start");
    fault_fix(f, "put it there, readable for the user that runs Weir, or name another file");
}

static void check_secret(struct config_reader *r, const char *path, const char *what)
{
    char why[256];
    int descriptor;
    if (path[0] == '\0')
        return;
    if (config_secret_open(path, &descriptor, why) == 0) {
        (void)close(descriptor);
        return;
    }
    struct config_fault *f = fault_at(r, path, "environment: the %s can't be used", what);
    fault_why(f, "%s", why);
    fault_fix(f, access(path, F_OK) != 0
                     ? "put it there, for the user that runs Weir, with mode 0600"
                     : "chown it to the user that runs Weir, and chmod 0600");
}

static void check_broker(struct config_reader *r, const struct config_broker *broker)
{
    check_readable(r, broker->ca_file, "file of CA certificates");
    check_readable(r, broker->cert_file, "certificate");
    check_secret(r, broker->key_file, "private key");
    check_secret(r, broker->password_file, "password file");
}

/* A short one can be tried out. */
static void check_pii_key(struct config_reader *r)
{
    char why[256], key[CONFIG_PII_KEY_BYTES];
    const char *path = r->config->pii_key_file;
    check_secret(r, path, "key for `pii: hmac`");
    if (path[0] == '\0' || r->fault_count > 0)
        return;
    bool read = config_secret(path, key, sizeof key, why) == 0;
    if (read && strlen(key) >= CONFIG_PII_KEY_LEAST)
        return;
    struct config_fault *f = fault_at(r, path, "environment: the key for `pii: hmac` is no good");
    fault_why(f, "%s", read ? "it has fewer than 32 characters" : why);
    fault_fix(f, "`openssl rand -hex 32` makes one; with another key every name changes");
}

/* Each role has one: whoever only reads needs no right to do more. */
static void check_tokens(struct config_reader *r, const char *path)
{
    static struct tokens tokens; /* large */
    char why[256];
    if (path[0] == '\0' || tokens_read(path, &tokens, why) == 0)
        return;
    struct config_fault *f = fault_at(r, path, "environment: the file of tokens can't be used");
    fault_why(f, "%s", why);
    fault_fix(f, "`weir token viewer NAME` and `weir token engineer NAME` write its lines; it "
                 "belongs to the user that runs Weir, with mode 0600");
}

/* Each connection is a file of the process. */
static void check_files(struct config_reader *r)
{
    const struct config *config = r->config;
    const struct config_source *last = NULL;
    struct rlimit limit;
    uint64_t files = OTHER_FILES;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_LISTENER) {
            last = &config->sources[i];
            files += config_connection_places(last);
        }
    if (last == NULL || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= files)
        return;
    struct config_fault *f = fault_at(r, &last->connections_max,
                                      "environment: more connections than files may be open");
    fault_why(f, "all listeners and the rest need %llu, and the limit is %llu",
              (unsigned long long)files, (unsigned long long)limit.rlim_max);
    fault_fix(f, "fewer `connections`, or a higher limit (LimitNOFILE= in the service file)");
}

static void check_board(struct config_reader *r)
{
    char why[HAL_WHY_BYTES];
    struct config *config = r->config;
    struct config_fault *f;
    if (config->board_file[0] == '\0')
        return;
    if (hal_board_read(config->board_file, &config->board, why) != 0) {
        f = fault_at(r, config->board_file, "environment: the board file can't be used");
        fault_why(f, "%s", why);
        fault_fix(f, "boards/README.md says what stands in it; empty: the machine has no parts");
        return;
    }
    if (config->board.devices_max > 0 && config->engine.devices_max > config->board.devices_max) {
        f = fault_at(r, &config->engine.devices_max,
                     "environment: %u devices are more than the board is good for",
                     config->engine.devices_max);
        fault_why(f, "%s says devices_max = %u", config->board_file, config->board.devices_max);
        fault_fix(f, "lower limits.devices, or correct the board file");
    }
}

void config_check_environment(struct config_reader *r)
{
    const struct config *config = r->config;
    for (uint32_t i = 0; i < config->source_count; i++) {
        check_broker(r, &config->sources[i].broker);
        check_readable(r, config->sources[i].client_ca_file, "file of clients' CA certificates");
    }
    if (config->uplink.given)
        check_broker(r, &config->uplink.broker);
    if (config->http.given) {
        check_broker(r, &config->http.at);
        check_tokens(r, config->http.token_file);
    }
    check_pii_key(r);
    check_board(r);
    check_files(r);
    check_readable(r, config->inventory_file, "inventory");
}
