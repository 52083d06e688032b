#include "firmware/update/source.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* RFC 3986, but the brackets of an IPv6 address, which may stand in the host alone. */
static const char in_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "-._~:/?#@!$&'()*+,;=%";

bool update_source_is_sound(const char *words)
{
    if (strcmp(words, "stick") == 0)
        return true;
    size_t scheme = strncasecmp(words, "http://", 7) == 0    ? 7
                    : strncasecmp(words, "https://", 8) == 0 ? 8
                                                             : 0;
    if (scheme == 0 || strlen(words) > UPDATE_URL_BYTES)
        return false;
    const char *host = words + scheme;
    size_t host_bytes = strcspn(host, "/?#");
    if (host_bytes == 0 || host[0] == ':' || host[0] == '-' ||
        memchr(host, '@', host_bytes) != NULL)
        return false;
    size_t address = 0;
    if (host[0] == '[') {
        address = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        if (address < 3 || host[address] != ']')
            return false;
        address++;
    }
    return host[address + strspn(host + address, in_urls)] == '\0';
}
