/* json_trees: whether two of cJSON's trees say the same, as far as the codec looks: order, types,
 * keys, strings, and every bit of every number. For what tests the scanner. */
#ifndef TESTS_LIB_JSON_TREES_H
#define TESTS_LIB_JSON_TREES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>

static inline bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static inline bool nodes_equal(const cJSON *a, const cJSON *b)
{
    return a->type == b->type && same_text(a->string, b->string) &&
           same_text(a->valuestring, b->valuestring) &&
           memcmp(&a->valuedouble, &b->valuedouble, sizeof a->valuedouble) == 0;
}

/* Flat ones: no member has a child. */
static inline bool trees_equal(const cJSON *a, const cJSON *b)
{
    if (!nodes_equal(a, b) || a->next != NULL || b->next != NULL)
        return false;
    const cJSON *of_a = a->child, *of_b = b->child;
    for (; of_a != NULL && of_b != NULL; of_a = of_a->next, of_b = of_b->next)
        if (!nodes_equal(of_a, of_b) || of_a->child != NULL || of_b->child != NULL)
            return false;
    return of_a == of_b;
}

#endif
