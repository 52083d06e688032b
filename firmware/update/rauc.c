#include "firmware/update/rauc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "pipeline/err.h"

#define SERVICE "de.pengutronix.rauc"
#define OBJECT "/"
#define INTERFACE "de.pengutronix.rauc.Installer"

/* Most answers come within seconds. A board that is busy took longer than D-Bus's own 25 s. */
enum { TURN_US = 1000000, ANSWER_US = 600000000 };

struct rauc {
    sd_bus *bus;
    char why[RAUC_TEXT_BYTES];
    bool done; /* of an installation */
    int result;
};

int rauc_open(struct rauc **rauc)
{
    struct rauc *r = calloc(1, sizeof *r);
    if (r == NULL)
        return WEIR_EFULL;
    if (sd_bus_open_system(&r->bus) < 0) {
        free(r);
        return WEIR_ENOTFOUND;
    }
    (void)sd_bus_set_method_call_timeout(r->bus, ANSWER_US); /* else it stays as it was */
    *rauc = r;
    return 0;
}

void rauc_close(struct rauc *rauc)
{
    (void)sd_bus_flush_close_unref(rauc->bus); /* returns NULL */
    free(rauc);
}

const char *rauc_why(const struct rauc *rauc)
{
    return rauc->why;
}

/* Takes the words of `error`, or the code's, and frees the former. */
static int fail(struct rauc *r, sd_bus_error *error, int code)
{
    const char *words = sd_bus_error_is_set(error) ? error->message : strerror(-code);
    (void)snprintf(r->why, sizeof r->why, "%s", words != NULL ? words : "no answer");
    sd_bus_error_free(error);
    return WEIR_EIO;
}

static int read_property(struct rauc *r, const char *name, char *to, size_t bytes)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    char *text = NULL;
    int code = sd_bus_get_property_string(r->bus, SERVICE, OBJECT, INTERFACE, name, &error, &text);
    if (code < 0)
        return fail(r, &error, code);
    (void)snprintf(to, bytes, "%s", text);
    free(text);
    return 0;
}

/* --- slots --- */

static void keep(struct rauc_slot *slot, const char *key, const char *text)
{
    if (strcmp(key, "bootname") == 0)
        (void)snprintf(slot->bootname, sizeof slot->bootname, "%s", text);
    else if (strcmp(key, "state") == 0)
        (void)snprintf(slot->state, sizeof slot->state, "%s", text);
    else if (strcmp(key, "boot-status") == 0)
        (void)snprintf(slot->good, sizeof slot->good, "%s", text);
    else if (strcmp(key, "bundle.version") == 0)
        (void)snprintf(slot->version, sizeof slot->version, "%s", text);
}

/* One slot's a{sv}: texts are looked at, anything else is passed over. */
static int read_fields(sd_bus_message *m, struct rauc_slot *slot)
{
    int code = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (code >= 0 && (code = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        const char *key, *contents, *text;
        char type;
        code = sd_bus_message_read(m, "s", &key);
        code = code < 0 ? code : sd_bus_message_peek_type(m, &type, &contents);
        if (code < 0)
            return code;
        if (strcmp(contents, "s") == 0) {
            code = sd_bus_message_read(m, "v", "s", &text);
            if (code >= 0)
                keep(slot, key, text);
        } else {
            code = sd_bus_message_skip(m, "v");
        }
        code = code < 0 ? code : sd_bus_message_exit_container(m);
    }
    return code < 0 ? code : sd_bus_message_exit_container(m);
}

static int read_slots(sd_bus_message *m, struct rauc_state *state)
{
    int code = sd_bus_message_enter_container(m, 'a', "(sa{sv})");
    while (code >= 0 && (code = sd_bus_message_enter_container(m, 'r', "sa{sv}")) > 0) {
        const char *name;
        struct rauc_slot slot = { .name = "" };
        code = sd_bus_message_read(m, "s", &name);
        code = code < 0 ? code : read_fields(m, &slot);
        if (code < 0)
            return code;
        (void)snprintf(slot.name, sizeof slot.name, "%s", name);
        if (state->slot_count < RAUC_SLOTS_MAX)
            state->slots[state->slot_count++] = slot;
        code = sd_bus_message_exit_container(m);
    }
    return code;
}

int rauc_state(struct rauc *r, struct rauc_state *state)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *answer = NULL;
    const char *primary = NULL;
    memset(state, 0, sizeof *state);
    int err = read_property(r, "Compatible", state->compatible, sizeof state->compatible);
    err = err != 0 ? err : read_property(r, "Operation", state->operation, sizeof state->operation);
    if (err != 0 || strcmp(state->operation, "idle") != 0) /* busy: it tells nothing else then */
        return err;
    int code = sd_bus_call_method(r->bus, SERVICE, OBJECT, INTERFACE, "GetSlotStatus", &error,
                                  &answer, "");
    code = code < 0 ? code : read_slots(answer, state);
    (void)sd_bus_message_unref(answer);
    answer = NULL;
    if (code < 0)
        return fail(r, &error, code);
    code = sd_bus_call_method(r->bus, SERVICE, OBJECT, INTERFACE, "GetPrimary", &error, &answer,
                              "");
    code = code < 0 ? code : sd_bus_message_read(answer, "s", &primary);
    if (code >= 0)
        (void)snprintf(state->primary, sizeof state->primary, "%s", primary);
    (void)sd_bus_message_unref(answer);
    return code < 0 ? fail(r, &error, code) : 0;
}

/* --- bundles --- */

int rauc_bundle(struct rauc *r, const char *path, struct rauc_bundle *bundle)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *answer = NULL;
    const char *compatible, *version;
    int code = sd_bus_call_method(r->bus, SERVICE, OBJECT, INTERFACE, "Info", &error, &answer, "s",
                                  path);
    code = code < 0 ? code : sd_bus_message_read(answer, "ss", &compatible, &version);
    if (code >= 0) {
        (void)snprintf(bundle->compatible, sizeof bundle->compatible, "%s", compatible);
        (void)snprintf(bundle->version, sizeof bundle->version, "%s", version);
    }
    (void)sd_bus_message_unref(answer);
    return code < 0 ? fail(r, &error, code) : 0;
}

static int on_completed(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct rauc *r = ctx;
    int32_t result = -1;
    (void)error;
    if (sd_bus_message_read(m, "i", &result) >= 0) {
        r->result = result;
        r->done = true;
    }
    return 0;
}

static void tell_progress(struct rauc *r, void (*progress)(int, const char *))
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *answer = NULL;
    int32_t percent, depth;
    const char *step;
    if (sd_bus_get_property(r->bus, SERVICE, OBJECT, INTERFACE, "Progress", &error, &answer,
                            "(isi)") >= 0 &&
        sd_bus_message_read(answer, "(isi)", &percent, &step, &depth) >= 0)
        progress(percent, step);
    (void)sd_bus_message_unref(answer);
    sd_bus_error_free(&error); /* a step that is not told is no fault */
}

/* The signal is what ends it; where that got lost, the operation that is "idle" again. */
static int wait_completed(struct rauc *r, void (*progress)(int, const char *))
{
    char operation[32];
    while (!r->done) {
        int code = sd_bus_process(r->bus, NULL);
        if (code > 0)
            continue;
        code = code < 0 ? code : sd_bus_wait(r->bus, TURN_US);
        if (code < 0)
            return code;
        if (code > 0)
            continue;
        tell_progress(r, progress);
        if (read_property(r, "Operation", operation, sizeof operation) != 0)
            return -EIO;
        if (strcmp(operation, "idle") == 0 && sd_bus_process(r->bus, NULL) <= 0 && !r->done)
            return -EIO;
    }
    return 0;
}

int rauc_install(struct rauc *r, const char *path, void (*progress)(int percent, const char *step))
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    r->done = false;
    int code = sd_bus_match_signal(r->bus, NULL, SERVICE, OBJECT, INTERFACE, "Completed",
                                   on_completed, r);
    code = code < 0 ? code
                    : sd_bus_call_method(r->bus, SERVICE, OBJECT, INTERFACE, "InstallBundle",
                                         &error, NULL, "sa{sv}", path, 0);
    code = code < 0 ? code : wait_completed(r, progress);
    if (code < 0)
        return fail(r, &error, code);
    if (r->result == 0)
        return 0;
    if (read_property(r, "LastError", r->why, sizeof r->why) != 0 || r->why[0] == '\0')
        (void)snprintf(r->why, sizeof r->why, "the installation failed");
    return WEIR_EIO;
}

int rauc_mark(struct rauc *r, const char *state, const char *slot)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int code = sd_bus_call_method(r->bus, SERVICE, OBJECT, INTERFACE, "Mark", &error, NULL, "ss",
                                  state, slot);
    return code < 0 ? fail(r, &error, code) : 0;
}
