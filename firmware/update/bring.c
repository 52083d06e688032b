#include "firmware/update/bring.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/update/version.h"
#include "pipeline/err.h"

extern char **environ;

bool bring_is_url(const char *word)
{
    return strncasecmp(word, "http://", 7) == 0 || strncasecmp(word, "https://", 8) == 0;
}

/* --- by HTTP --- */

/* Of the disk: what would leave this much free for the gateway's store. */
enum { KEEP_FREE_MB = 32 };

uint64_t bring_room_bytes(const char *folder)
{
    struct statvfs s;
    const uint64_t kept = KEEP_FREE_MB * UINT64_C(1048576);
    if (statvfs(folder, &s) != 0)
        return 0;
    uint64_t available = (uint64_t)s.f_bavail * s.f_frsize;
    return available > kept ? available - kept : 0;
}

void bring_begin(const char *url, const char *folder)
{
    char note[BRING_PATH_BYTES], path[BRING_PATH_BYTES], before[1024] = "";
    (void)snprintf(path, sizeof path, "%s/update.raucb", folder);
    (void)snprintf(note, sizeof note, "%s/update.url", folder);
    FILE *file = fopen(note, "re");
    if (file != NULL) {
        if (fgets(before, sizeof before, file) == NULL)
            before[0] = '\0';
        (void)fclose(file); /* read only */
    }
    if (strcmp(before, url) == 0)
        return;
    (void)unlink(path); /* not there: as wanted */
    file = fopen(note, "we");
    if (file == NULL)
        return; /* then it begins anew each time */
    (void)fputs(url, file);
    (void)fclose(file); /* likewise */
}

enum { CURL_TOO_LARGE = 63 };

/* An answer in chunks does not say how long it is, and curl's --max-filesize does not hold for it:
 * the kernel stops the child's file at `end` bytes. 0, or -1 and there is no child. */
static int spawn_bounded(pid_t *child, char *const words[], uint64_t end)
{
    struct rlimit before, bound;
    if (getrlimit(RLIMIT_FSIZE, &before) != 0)
        return -1;
    bound = before;
    if (end < bound.rlim_cur) /* RLIM_INFINITY is the greatest */
        bound.rlim_cur = end;
    if (setrlimit(RLIMIT_FSIZE, &bound) != 0)
        return -1;
    int error = posix_spawnp(child, words[0], NULL, NULL, words, environ);
    (void)setrlimit(RLIMIT_FSIZE, &before); /* back up to what it was can't fail */
    return error == 0 ? 0 : -1;
}

static uint64_t bytes_there(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? (uint64_t)s.st_size : 0;
}

static int run_curl(const struct bring_source *from, const char *path)
{
    char room[32];
    const char *words[25] = { "curl", "--fail", "--globoff", "--silent", "--show-error",
                              "--location", "--proto", "=http,https", "--connect-timeout", "30",
                              "--speed-limit", "100", "--speed-time", "60", "--retry", "3",
                              "--continue-at", "-", "--max-filesize", room, "--output", path };
    int count = 22, status;
    pid_t child;
    (void)snprintf(room, sizeof room, "%llu", (unsigned long long)from->room_bytes);
    if (access(from->authority, R_OK) == 0) {
        words[count++] = "--cacert";
        words[count++] = from->authority;
    }
    char *all[28];
    for (int i = 0; i < count; i++)
        all[i] = (char *)(uintptr_t)words[i]; /* posix_spawn does not write to them */
    all[count++] = (char *)(uintptr_t)from->url;
    all[count] = NULL;
    if (spawn_bounded(&child, all, bytes_there(path) + from->room_bytes) != 0)
        return -1;
    if (waitpid(child, &status, 0) != child)
        return -1;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
        return CURL_TOO_LARGE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int bring_url(const struct bring_source *from, const char *folder, char path[BRING_PATH_BYTES],
              char why[BRING_WHY_BYTES])
{
    (void)snprintf(path, BRING_PATH_BYTES, "%s/update.raucb", folder);
    bring_begin(from->url, folder);
    int status = run_curl(from, path);
    if (status == 0)
        return 0;
    if (status < 0 || status == 127)
        (void)snprintf(why, BRING_WHY_BYTES, "curl can't be run");
    else if (status == CURL_TOO_LARGE)
        (void)snprintf(why, BRING_WHY_BYTES, "there is no room for it: %llu bytes are left",
                       (unsigned long long)from->room_bytes);
    else
        (void)snprintf(why, BRING_WHY_BYTES, "it can't be fetched (curl: %d)", status);
    if (status == CURL_TOO_LARGE)
        bring_forget(folder); /* to go on with it is no use, and the room is the store's */
    return WEIR_EIO;
}

void bring_forget(const char *folder)
{
    static const char *const names[] = { "update.raucb", "update.url" };
    char path[BRING_PATH_BYTES];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path); /* not there: as wanted */
    }
}

/* --- off a stick --- */

static const char stick[] = "/run/weir-stick";

static bool is_usb(const char *name)
{
    char link[300], where[PATH_MAX];
    (void)snprintf(link, sizeof link, "/sys/class/block/%s", name);
    return realpath(link, where) != NULL && strstr(where, "/usb") != NULL;
}

static bool mount_stick(const char *name)
{
    static const char *const kinds[] = { "vfat", "ext4" };
    char device[300];
    (void)snprintf(device, sizeof device, "/dev/%s", name);
    (void)mkdir(stick, 0700); /* it may be there */
    for (int i = 0; i < 2; i++)
        if (mount(device, stick, kinds[i], MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL) == 0)
            return true;
    return false;
}

/* The newest bundle for the board there. */
static bool find_bundle(const char *board, char path[BRING_PATH_BYTES])
{
    char pattern[128], best[256] = "";
    struct dirent *entry;
    DIR *folder = opendir(stick);
    if (folder == NULL)
        return false;
    (void)snprintf(pattern, sizeof pattern, "weir-%s-*.raucb", board);
    while ((entry = readdir(folder)) != NULL)
        if (fnmatch(pattern, entry->d_name, 0) == 0 && version_compare(entry->d_name, best) > 0)
            (void)snprintf(best, sizeof best, "%s", entry->d_name);
    (void)closedir(folder); /* read only */
    (void)snprintf(path, BRING_PATH_BYTES, "%s/%s", stick, best);
    return best[0] != '\0';
}

int bring_stick(const char *board, char path[BRING_PATH_BYTES], char why[BRING_WHY_BYTES])
{
    struct dirent *entry;
    DIR *blocks = opendir("/sys/class/block");
    bool found = false, seen = false;
    while (blocks != NULL && !found && (entry = readdir(blocks)) != NULL) {
        if (entry->d_name[0] == '.' || !is_usb(entry->d_name) || !mount_stick(entry->d_name))
            continue;
        seen = true;
        found = find_bundle(board, path);
        if (!found)
            bring_stick_done();
    }
    if (blocks != NULL)
        (void)closedir(blocks); /* read only */
    if (found)
        return 0;
    if (seen)
        (void)snprintf(why, BRING_WHY_BYTES, "no weir-%s-*.raucb lies at the top of it", board);
    else
        (void)snprintf(why, BRING_WHY_BYTES, "no USB disk with FAT or ext4 is there");
    return WEIR_ENOTFOUND;
}

void bring_stick_done(void)
{
    (void)umount(stick); /* a second time: nothing is there */
}
