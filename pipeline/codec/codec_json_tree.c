#include "pipeline/codec/codec_json_tree.h"

#include <assert.h>
#include <cjson/cJSON.h>

#include "pipeline/codec/codec_json_check.h"

/* --- walking --- */

struct walk { /* every value, in the order of the text */
    cJSON *node;                    /* NULL: at the end */
    cJSON *parents[JSON_DEPTH_MAX]; /* around it; cJSON has no way up */
    uint32_t depth;
};

static void walk_next(struct walk *w)
{
    if (w->node->child != NULL) {
        assert(w->depth < JSON_DEPTH_MAX);
        w->parents[w->depth++] = w->node;
        w->node = w->node->child;
        return;
    }
    while (w->node->next == NULL && w->depth > 0)
        w->node = w->parents[--w->depth];
    w->node = w->node->next;
}

/* --- keys that stand twice --- */

enum { PAIRWISE_MAX = 16 }; /* members up to which comparing all pairs is the faster way */

static cJSON *duplicate_pairwise(cJSON *object)
{
    for (cJSON *a = object->child; a != NULL; a = a->next)
        for (cJSON *b = a->next; b != NULL; b = b->next)
            if (a->string[0] == b->string[0] && strcmp(a->string, b->string) == 0)
                return b;
    return NULL;
}

static void sift_down(cJSON **heap, size_t at, size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && strcmp(heap[child]->string, heap[child + 1]->string) < 0)
            child++;
        if (strcmp(heap[at]->string, heap[child]->string) >= 0)
            return;
        cJSON *swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

/* Heapsort: O(n log n) whatever an attacker sends, in place, no recursion. Equal keys leave the
 * heap one after the other. */
static cJSON *duplicate_sorted(cJSON *object, size_t count, bool *exhausted)
{
    cJSON **heap = cJSON_malloc(count * sizeof *heap);
    if (heap == NULL) {
        *exhausted = true;
        return NULL;
    }
    size_t filled = 0;
    for (cJSON *member = object->child; member != NULL; member = member->next)
        heap[filled++] = member;
    assert(filled == count);
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, i, count);
    for (const cJSON *last = NULL; count > 0;) {
        cJSON *largest = heap[0];
        if (last != NULL && strcmp(last->string, largest->string) == 0)
            return largest;
        last = largest;
        heap[0] = heap[--count];
        sift_down(heap, 0, count);
    }
    return NULL;
}

static cJSON *duplicate_in(cJSON *object, bool *exhausted)
{
    size_t count = 0;
    for (const cJSON *member = object->child; member != NULL; member = member->next)
        count++;
    return count <= PAIRWISE_MAX ? duplicate_pairwise(object)
                                 : duplicate_sorted(object, count, exhausted);
}

cJSON *json_duplicate(cJSON *root, bool *exhausted)
{
    *exhausted = false;
    for (struct walk w = { .node = root }; w.node != NULL; walk_next(&w)) {
        if (!cJSON_IsObject(w.node))
            continue;
        cJSON *found = duplicate_in(w.node, exhausted);
        if (found != NULL || *exhausted)
            return found;
    }
    return NULL;
}

/* --- pointers --- */

static cJSON *element(cJSON *array, const char *token)
{
    uint32_t index = 0;
    if (token[0] == '\0' || (token[0] == '0' && token[1] != '\0'))
        return NULL;
    for (; *token != '\0'; token++) {
        if (*token < '0' || *token > '9' || index > UINT32_MAX / 10 - 1)
            return NULL;
        index = index * 10 + (uint32_t)(*token - '0');
    }
    cJSON *at = array->child;
    while (at != NULL && index-- > 0)
        at = at->next;
    return at;
}

/* Keys are short, and most differ at once: a call for each would be the larger part. */
static bool is_key(const char *key, const char *token)
{
    for (; *key == *token; key++, token++)
        if (*key == '\0')
            return true;
    return false;
}

static cJSON *member(cJSON *object, const char *token)
{
    cJSON *at = object->child;
    while (at != NULL && !is_key(at->string, token))
        at = at->next;
    return at;
}

cJSON *json_find(cJSON *from, const struct json_pointer *pointer)
{
    const char *token = pointer->tokens;
    for (uint32_t left = pointer->token_count; left > 0 && from != NULL; left--) {
        from = cJSON_IsObject(from)  ? member(from, token)
               : cJSON_IsArray(from) ? element(from, token)
                                     : NULL;
        token += left > 1 ? strlen(token) + 1 : 0;
    }
    return from != NULL && cJSON_IsNull(from) ? NULL : from;
}

/* --- places --- */

static uint32_t skip_string(struct text json, uint32_t at)
{
    for (at++; json.at[at] != '"'; at++)
        at += json.at[at] == '\\';
    return at + 1;
}

/* From `at` over what stands between values, ends of containers included. */
static uint32_t skip_between(struct text json, uint32_t at)
{
    while (strchr(" \t\r\n,:]}", json.at[at]) != NULL)
        at++;
    return at;
}

static uint32_t skip_scalar(struct text json, uint32_t at)
{
    if (json.at[at] == '"')
        return skip_string(json, at);
    while (at < json.bytes && strchr(" \t\r\n,]}", json.at[at]) == NULL)
        at++;
    return at;
}

void json_locate(cJSON *root, struct text json, bool keys)
{
    uint32_t at = 0;
    for (struct walk w = { .node = root }; w.node != NULL; walk_next(&w)) {
        at = skip_between(json, at);
        uint32_t begin = at;
        if (w.depth > 0 && cJSON_IsObject(w.parents[w.depth - 1])) {
            at = skip_between(json, skip_string(json, at));
            begin = keys ? begin : at;
        }
        assert(at < json.bytes);
        w.node->valueint = (int)begin;
        bool container = cJSON_IsObject(w.node) || cJSON_IsArray(w.node);
        at = container ? at + 1 : skip_scalar(json, at);
    }
}
