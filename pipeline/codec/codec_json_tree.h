/* codec_json_tree: what the codec asks of cJSON's tree: a key that stands twice, the value under a
 * pointer, and where in the payload a value began (which cJSON does not say). */
#ifndef PIPELINE_CODEC_CODEC_JSON_TREE_H
#define PIPELINE_CODEC_CODEC_JSON_TREE_H

#include <stdbool.h>

#include "pipeline/codec/codec_json.h"

struct cJSON;

/* A member whose key its object has twice; NULL: none. Sets *exhausted, and returns NULL, when the
 * arena had no room to sort a large object's keys. */
struct cJSON *json_duplicate(struct cJSON *root, bool *exhausted);

/* The value under the pointer; NULL: there is none, or it is null. */
struct cJSON *json_find(struct cJSON *from, const struct json_pointer *pointer);

/* Write into each value's `valueint`, which nobody else here uses, the byte at which it begins, or,
 * for members when `keys`, its key. `json` is what the tree was made from. O(payload), so it is for
 * faults only. */
void json_locate(struct cJSON *root, struct text json, bool keys);

#endif
