/* packet_parts: what the decoders of single packets share. For packet*.c only. Each reads the
 * variable header and the payload, all of which is there. */
#ifndef PIPELINE_MQTT_PACKET_PARTS_H
#define PIPELINE_MQTT_PACKET_PARTS_H

#include "pipeline/mqtt/packet.h"
#include "pipeline/mqtt/property.h"

/* 3.1.1 lets a length take more bytes than it needs; 5.0 does not, which shows only here. */
void packet_read_connect(struct wire *r, bool is_wasteful, struct mqtt_packet *packet);

void packet_read_subscribe(struct wire *r, enum mqtt_version version, struct mqtt_packet *packet);

/* A packet identifier, which is not 0. */
uint16_t packet_read_id(struct wire *r);

#endif
