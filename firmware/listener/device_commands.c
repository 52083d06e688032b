/* device_commands: a command to a device that is connected and listens: at once, or not at all. */
#include <stdio.h>
#include <string.h>

#include "firmware/listener/listener_state.h"
#include "firmware/log.h"

/* --- what became of those at QoS 1 -------------------------------------------------------------
 */

static struct listener_command *find(struct listener *l, uint64_t number)
{
    struct listener_command *command = &l->commands[number % LISTENER_COMMANDS];
    return number > 0 && command->number == number ? command : NULL;
}

static bool is_over(const struct command_progress *p)
{
    return p->sent == p->acknowledged + p->refused + p->lost;
}

/* The number of a new one; 0: too many wait for their devices. Those that are over give way, oldest
 * first. */
static uint64_t begin(struct listener *l)
{
    for (uint32_t i = 0; i < LISTENER_COMMANDS; i++) {
        struct listener_command *command = &l->commands[++l->last_command % LISTENER_COMMANDS];
        if (command->number != 0 && !is_over(&command->progress))
            continue;
        *command = (struct listener_command){ .number = l->last_command };
        return l->last_command;
    }
    return 0;
}

struct command_progress listener_command_progress(struct listener *l, uint64_t number)
{
    const struct listener_command *command = find(l, number);
    return command != NULL ? command->progress : (struct command_progress){ 0 };
}

void listener_command_end(struct listener *l, uint64_t number)
{
    struct listener_command *command = find(l, number);
    if (command != NULL)
        command->number = 0;
}

void device_on_delivered(struct listener *l, struct device *d)
{
    struct listener_command *command = find(l, d->command);
    bool refused = l->event.packet.ack.reason >= MQTT_FAILURE;
    d->command = 0;
    l->counts.commands_acknowledged += !refused;
    if (command != NULL) /* else nobody waits any more */
        *(refused ? &command->progress.refused : &command->progress.acknowledged) += 1;
}

void device_forget_command(struct listener *l, struct device *d)
{
    struct listener_command *command = find(l, d->command);
    d->command = 0;
    if (command != NULL)
        command->progress.lost++;
}

/* --- sending ------------------------------------------------------------------------------------
 */

static enum command_fate send_to(struct listener *l, struct device *d,
                                 const struct command *command, uint64_t number)
{
    char topic[sizeof LISTENER_COMMANDS_TOPIC + SESSION_ID_BYTES];
    uint8_t granted = (d->topics & SESSION_COMMANDS_QOS_1) != 0 ? 1 : 0;
    if ((d->topics & SESSION_COMMANDS) == 0 || d->reply.count > 0) /* its SUBACK comes first */
        return COMMAND_NOT_SUBSCRIBED;
    if (granted < command->qos)
        return COMMAND_AT_QOS_0;
    if (d->command != 0 && command->qos > 0)
        return COMMAND_NOT_NOW;
    struct text name = device_name(d);
    int topic_bytes = snprintf(topic, sizeof topic, "%s%.*s", LISTENER_COMMANDS_TOPIC,
                               (int)name.bytes, name.at);
    struct mqtt_outgoing message = { .qos = command->qos,
                                     .topic = { topic, (uint32_t)topic_bytes },
                                     .payload = command->payload };
    if (command->qos > 0)
        d->command = number;
    int err = device_publish(l, d, &message);
    if (err == 0)
        return COMMAND_SENT;
    d->command = command->qos > 0 ? 0 : d->command;
    return err == WEIR_EINVAL ? COMMAND_TOO_LARGE : COMMAND_NOT_NOW;
}

enum command_fate listener_command(struct listener *l, const struct command *command,
                                   uint64_t *number)
{
    enum command_fate fate = COMMAND_NOT_CONNECTED;
    uint32_t sent = 0;
    *number = command->qos > 0 ? begin(l) : 0;
    struct listener_command *kept = find(l, *number);
    if (command->qos > 0 && kept == NULL)
        return COMMAND_NOT_NOW;
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (!d->connected || !text_equal(device_name(d), command->device))
            continue;
        if (kept != NULL)
            kept->progress.sent = sent + 1; /* should it be lost at once */
        enum command_fate one = send_to(l, d, command, *number);
        sent += one == COMMAND_SENT;
        fate = one > fate ? one : fate;
    }
    if (kept != NULL)
        kept->progress.sent = sent;
    if (fate != COMMAND_SENT)
        return fate;
    l->counts.commands++;
    log_event("device_command", "source=%s device=\"%s\" qos=%u bytes=%u connections=%u",
              l->config.source->name, log_name(command->device.at, command->device.bytes).text,
              command->qos, command->payload.bytes, sent);
    return fate;
}
