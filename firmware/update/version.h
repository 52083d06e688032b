/* version: which of two versions is the later one, as an update's policy asks. No heap. */
#ifndef FIRMWARE_UPDATE_VERSION_H
#define FIRMWARE_UPDATE_VERSION_H

/* Below 0: `a` is older than `b`; 0: the same; above 0: newer. Runs of digits count as numbers,
 * everything else by its bytes; '~' comes before anything, also before the end, so that 1.2~rc1 is
 * older than 1.2 (Debian Policy 5.6.12, without epochs). */
int version_compare(const char *a, const char *b);

#endif
