/* connection_parts: what the files of connection share. For connection*.c only. */
#ifndef PIPELINE_MQTT_CONNECTION_PARTS_H
#define PIPELINE_MQTT_CONNECTION_PARTS_H

#include "pipeline/mqtt/connection.h"

/* One packet of a connected client each: what it breaks, or the event. */
enum mqtt_fault connection_on_publish(struct mqtt_connection *c, struct mqtt_event *event);
enum mqtt_fault connection_on_pubrel(struct mqtt_connection *c, struct mqtt_event *event);
enum mqtt_fault connection_on_puback(struct mqtt_connection *c, struct mqtt_event *event);
enum mqtt_fault connection_on_pubrec(struct mqtt_connection *c, struct mqtt_event *event,
                                     struct byte_writer *w);

#endif
