/* source: the words by which somebody elsewhere says where an update is, and by which the gateway
 * and the updater's side of it talk: a line there, an answer back. No heap. */
#ifndef FIRMWARE_UPDATE_SOURCE_H
#define FIRMWARE_UPDATE_SOURCE_H

#include <stdbool.h>

enum {
    UPDATE_URL_BYTES = 1000,  /* at most */
    UPDATE_LINE_BYTES = 1100, /* "install URL\n" */
    UPDATE_ANSWER_BYTES = 8192 /* "202 {...}\n": a status of HTTP, and JSON */
};

/* `stick`, or a URL of http or https with a host, made of the characters that a URL may have (RFC
 * 3986), without a user's name or password, which the list of processes would show. Of this
 * machine no file: who asks may not learn what lies here. */
bool update_source_is_sound(const char *words);

#endif
