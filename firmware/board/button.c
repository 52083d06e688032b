#include "firmware/board/button.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/log.h"
#include "pipeline/alerts/alert.h"

/* Acknowledge one that is open and not acknowledged: 1; 0: there is none; below 0: not now. */
static int acknowledge_one(struct gateway *gateway)
{
    struct gateway_view view = gateway_view(gateway);
    struct alert_view alert;
    char command[sizeof "ack " + ALERT_ID_BYTES];
    uint64_t cursor = 0;
    while (engine_alert(view.engine, &cursor, &alert)) {
        if (!alert_is_open(alert.alert) || alert.alert->acknowledged)
            continue;
        (void)snprintf(command, sizeof command, "ack %s", alert.id);
        int error = gateway_command(gateway, text_of(command));
        return error == 0 ? 1 : error;
    }
    return 0;
}

static void acknowledge(struct button *b, struct gateway *gateway)
{
    int done = 1;
    for (int i = 0; i < BUTTON_ALERTS_A_TURN && done > 0; i++) {
        done = acknowledge_one(gateway);
        b->acknowledged += done > 0;
    }
    if (done != 0) /* more of them, or not now: in the next turn */
        return;
    log_event("button_acknowledged", "alerts=%u", b->acknowledged);
    *b = (struct button){ 0 };
}

static void ask_for_reset(const char *socket_path)
{
    char path[300];
    const char *slash = strrchr(socket_path, '/');
    int folder_bytes = slash != NULL ? (int)(slash - socket_path) + 1 : 0;
    (void)snprintf(path, sizeof path, "%.*sfactory-reset", folder_bytes, socket_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    log_event("button_factory_reset", "path=%s error=\"%s\"", path, fd < 0 ? strerror(errno) : "");
    if (fd >= 0)
        (void)close(fd); /* nothing is in it */
}

void button_turn(struct button *b, enum hal_press press, struct gateway *gateway,
                 const char *socket_path)
{
    if (press == PRESS_LONG)
        ask_for_reset(socket_path);
    if (press == PRESS_SHORT)
        *b = (struct button){ .acknowledging = true };
    if (b->acknowledging)
        acknowledge(b, gateway);
}
