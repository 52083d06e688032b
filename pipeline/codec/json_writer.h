/* json_writer: JSON text into a bounded buffer, for everything that Weir says to others.
 * Commas and escaping are its business; nesting is checked by asserts. A writer that runs out of
 * room remembers that
 * (`out.failed`) and does nothing more. Numbers are the shortest text that reads back as the same
 * double; what is
 * not finite is written as null. */
#ifndef PIPELINE_CODEC_JSON_WRITER_H
#define PIPELINE_CODEC_JSON_WRITER_H

#include "pipeline/bytes.h"

struct json_writer {
    struct byte_writer out;
    uint32_t depth;
    uint32_t comma;  /* bit d: something was written at depth d */
    bool after_key;
};

struct json_writer json_writer_over(void *at, size_t bytes);
void json_object(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key); /* plain ASCII, no escapes needed */
void json_colon(struct json_writer *w); /* behind json_text: that was a key, of any bytes */
/* bytes that are not UTF-8 become U+FFFD */
void json_text(struct json_writer *w, struct text text);
void json_string(struct json_writer *w, const char *terminated);
void json_base64(struct json_writer *w, struct text bytes); /* RFC 4648, padded, as a string */
void json_number(struct json_writer *w, double value);
void json_integer(struct json_writer *w, int64_t value);
void json_unsigned(struct json_writer *w, uint64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_time(struct json_writer *w, int64_t unix_ms); /* RFC 3339 string with milliseconds */
/* A member of an object: its key and its value. */
void json_put_text(struct json_writer *w, const char *key, struct text text);
void json_put_string(struct json_writer *w, const char *key, const char *terminated);
void json_put_number(struct json_writer *w, const char *key, double value);
void json_put_integer(struct json_writer *w, const char *key, int64_t value);
void json_put_unsigned(struct json_writer *w, const char *key, uint64_t value);
void json_put_bool(struct json_writer *w, const char *key, bool value);
/* Members that another writer made, as they stand between its braces; not empty. */
void json_put_members(struct json_writer *w, struct text members);
void json_put_time(struct json_writer *w, const char *key, int64_t unix_ms);
/* asserts that everything was closed; empty when failed */
struct text json_done(struct json_writer *w);

#endif
