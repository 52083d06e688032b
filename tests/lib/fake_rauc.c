/* A stand-in for RAUC's service, for tests: what its interface answers, of bundles that are small text
 * files: "COMPATIBLE VERSION HOW", where HOW is good, slow (until the file `go` is there), broken (the
 * installation fails) or rogue (the signature does). Marks are written to `marks`.
 *   fake_rauc FOLDER      on the system bus, until it is killed */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static const char *folder;
static char compatible[64], version[64], how[64];
static const char *operation = "idle", *last_error = "", *step = "Installing";
static int percent, primary;

static int read_bundle(const char *path, sd_bus_error *error)
{
    FILE *file = fopen(path, "r");
    int got = file != NULL ? fscanf(file, "%63s %63s %63s", compatible, version, how) : 0;
    if (file != NULL)
        fclose(file);
    if (got != 3 || strcmp(how, "rogue") == 0)
        return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "signature verification failed");
    return 0;
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *ctx,
                    sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)ctx, (void)error;
    const char *text = strcmp(property, "Compatible") == 0 ? "weir-test" : strcmp(property, "Operation") == 0 ? operation : last_error;
    return sd_bus_message_append(reply, "s", text);
}

static int get_progress(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *ctx,
                        sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)property, (void)ctx, (void)error;
    return sd_bus_message_append(reply, "(isi)", percent, step, 1);
}

static int on_info(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const char *path;
    (void)ctx;
    int code = sd_bus_message_read(m, "s", &path);
    code = code < 0 ? code : read_bundle(path, error);
    return code < 0 ? code : sd_bus_reply_method_return(m, "ss", compatible, version);
}

static int on_install(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const char *path;
    (void)ctx;
    int code = sd_bus_message_read(m, "s", &path);
    code = code < 0 ? code : sd_bus_message_skip(m, "a{sv}");
    code = code < 0 ? code : read_bundle(path, error);
    if (code < 0)
        return code;
    operation = "installing";
    percent = 40;
    step = "Copying image to rootfs.1";
    return sd_bus_reply_method_return(m, "");
}

static int on_slots(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)ctx, (void)error;
    sd_bus_message *reply;
    int code = sd_bus_message_new_method_return(m, &reply);
    code = code < 0 ? code
                    : sd_bus_message_append(reply, "a(sa{sv})", 2, "rootfs.0", 4, "bootname", "s", "A", "state", "s", "booted", "size", "t",
                                            (uint64_t)7, "boot-status", "s", "good", "rootfs.1", 3, "bootname", "s", "B", "state", "s",
                                            "inactive", "boot-status", "s", "good");
    code = code < 0 ? code : sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return code;
}

static int on_primary(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)ctx, (void)error;
    return sd_bus_reply_method_return(m, "s", primary == 0 ? "rootfs.0" : "rootfs.1");
}

static int on_mark(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const char *state, *slot;
    char path[512];
    (void)ctx, (void)error;
    int code = sd_bus_message_read(m, "ss", &state, &slot);
    if (code < 0)
        return code;
    if (strcmp(state, "active") == 0)
        primary = strcmp(slot, "other") == 0;
    snprintf(path, sizeof path, "%s/marks", folder);
    FILE *file = fopen(path, "a");
    if (file != NULL) {
        fprintf(file, "%s %s\n", state, slot);
        fclose(file);
    }
    return sd_bus_reply_method_return(m, "ss", slot, "marked");
}

/* A second of an installation, or what a second is worth. */
static void go_on(sd_bus *bus)
{
    char path[512];
    snprintf(path, sizeof path, "%s/go", folder);
    if (strcmp(operation, "idle") == 0 || (strcmp(how, "slow") == 0 && access(path, F_OK) != 0))
        return;
    int result = strcmp(how, "broken") == 0;
    last_error = result != 0 ? "Failed updating slot rootfs.1: Input/output error" : "";
    percent = 100;
    primary = result == 0 ? 1 : primary;
    operation = "idle";
    sd_bus_emit_signal(bus, "/", "de.pengutronix.rauc.Installer", "Completed", "i", result);
}

static const sd_bus_vtable table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Info", "s", "ss", on_info, 0),
    SD_BUS_METHOD("InstallBundle", "sa{sv}", "", on_install, 0),
    SD_BUS_METHOD("GetSlotStatus", "", "a(sa{sv})", on_slots, 0),
    SD_BUS_METHOD("GetPrimary", "", "s", on_primary, 0),
    SD_BUS_METHOD("Mark", "ss", "ss", on_mark, 0),
    SD_BUS_PROPERTY("Compatible", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Operation", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("LastError", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Progress", "(isi)", get_progress, 0, 0),
    SD_BUS_SIGNAL("Completed", "i", 0),
    SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
    sd_bus *bus;
    folder = argc > 1 ? argv[1] : ".";
    if (sd_bus_open_system(&bus) < 0 || sd_bus_add_object_vtable(bus, NULL, "/", "de.pengutronix.rauc.Installer", table, NULL) < 0 ||
        sd_bus_request_name(bus, "de.pengutronix.rauc", 0) < 0)
        return 1;
    for (;;) {
        int code = sd_bus_process(bus, NULL);
        if (code < 0)
            return 1;
        if (code == 0 && sd_bus_wait(bus, 300000) == 0)
            go_on(bus);
    }
}
