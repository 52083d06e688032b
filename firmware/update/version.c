#include "firmware/update/version.h"

#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters before everything else, '~' before the end of the text. */
static int rank(char c)
{
    if (c == '~')
        return -1;
    if (c == '\0' || is_digit(c))
        return 0;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return (unsigned char)c + (letter ? 0 : 256);
}

/* Of two runs of digits: without leading zeros the longer is the larger. Moves both behind
 * theirs. */
static int compare_numbers(const char **a, const char **b)
{
    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    size_t a_bytes = strspn(*a, "0123456789"), b_bytes = strspn(*b, "0123456789");
    int order = a_bytes != b_bytes ? (a_bytes < b_bytes ? -1 : 1) : memcmp(*a, *b, a_bytes);
    *a += a_bytes;
    *b += b_bytes;
    return order;
}

int version_compare(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        while ((*a != '\0' && !is_digit(*a)) || (*b != '\0' && !is_digit(*b))) {
            int left = rank(*a), right = rank(*b);
            if (left != right)
                return left < right ? -1 : 1;
            a++;
            b++;
        }
        int order = compare_numbers(&a, &b);
        if (order != 0)
            return order < 0 ? -1 : 1;
    }
    return 0;
}
