#include "firmware/update/probe.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/err.h"

enum { PATH_BYTES = 256, WAIT_MS = 120000, STEP_MS = 100, ANSWER_S = 30 };

static const char config[] =
    "gateway: {name: probe, data_dir: data, socket: probe.sock}\n"
    "limits: {devices: 4, series: 4, payload: 256B, sessions: 4, exchanges: 4}\n"
    "store: {disk_max: 16MiB, wal_max: 2MiB, ballast: 1MiB}\n"
    "clock: {trust: system}\n"
    "commit: {max_age: 50ms}\n"
    "sources:\n"
    "  - {name: probe, listen: \"mqtt://127.0.0.1:%u\", anonymous: true, connections: 4,\n"
    "     topics: [\"probe/{device}/{metric}\"]}\n";

/* MQTT 3.1.1: CONNECT with a clean session as `probe`, and PUBLISH of one reading at QoS 1 as
 * packet 1; what answers them. */
static const unsigned char connect_packet[] = { 0x10, 17,  0,   4,   'M', 'Q', 'T', 'T', 4,  2,
                                                0,    60,  0,   5,   'p', 'r', 'o', 'b', 'e' };
static const unsigned char connack[] = { 0x20, 2, 0, 0 }, puback[] = { 0x40, 2, 0, 1 };
static const char topic[] = "probe/self/test", payload[] = "{\"value\":1,\"sequence\":1}";

struct probe {
    char folder[PATH_BYTES];
    unsigned port;
    pid_t child;
    char *what;
};

static int fail(const struct probe *p, const char *words)
{
    (void)snprintf(p->what, PROBE_WHAT_BYTES, "%s", words);
    return WEIR_EIO;
}

/* --- where it works --- */

static int remove_one(const char *path, const struct stat *is, int kind, struct FTW *at)
{
    (void)is, (void)kind, (void)at;
    return remove(path);
}

static void clear(const struct probe *p)
{
    (void)nftw(p->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* not there: as wanted */
}

/* A port that was free just now: the kernel gives another one to whoever asks next. */
static unsigned free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t bytes = sizeof at;
    unsigned port = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &bytes) == 0)
        port = ntohs(at.sin_port);
    (void)close(fd);
    return port;
}

static int write_config(const struct probe *p)
{
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/probe.yaml", p->folder);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return WEIR_EIO;
    bool written = fprintf(file, config, p->port) > 0;
    return fclose(file) == 0 && written ? 0 : WEIR_EIO;
}

static int make(struct probe *p, const struct passwd *user)
{
    char data[PATH_BYTES + 16];
    (void)snprintf(data, sizeof data, "%s/data", p->folder);
    clear(p);
    p->port = free_port();
    if (p->port == 0 || mkdir(p->folder, 0755) != 0 || mkdir(data, 0755) != 0 ||
        write_config(p) != 0)
        return WEIR_EIO;
    if (user != NULL && (chown(p->folder, user->pw_uid, user->pw_gid) != 0 ||
                         chown(data, user->pw_uid, user->pw_gid) != 0))
        return WEIR_EIO;
    return 0;
}

/* --- the gateway --- */

static void become_gateway(const struct probe *p, const struct passwd *user)
{
    int log = -1;
    if (chdir(p->folder) != 0)
        _exit(1);
    if (user != NULL && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
                         setuid(user->pw_uid) != 0))
        _exit(1);
    log = open("log", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(1);
    (void)unsetenv("NOTIFY_SOCKET"); /* of whoever asked: this one is not its service */
    (void)execl("/proc/self/exe", "weir", "run", "-c", "probe.yaml", (char *)NULL);
    _exit(1);
}

static bool ended(struct probe *p)
{
    if (p->child > 0 && waitpid(p->child, NULL, WNOHANG) == p->child)
        p->child = 0;
    return p->child == 0;
}

/* What it said goes away with its folder. */
static void tell_log(const struct probe *p)
{
    char path[PATH_BYTES + 16], line[512];
    (void)snprintf(path, sizeof path, "%s/log", p->folder);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        (void)fprintf(stderr, "probe: %s", line);
    (void)fclose(file); /* read only */
}

static void end(struct probe *p)
{
    if (ended(p))
        return;
    (void)kill(p->child, SIGKILL); /* what was acknowledged is on disk; the folder goes anyway */
    (void)waitpid(p->child, NULL, 0);
    p->child = 0;
}

/* --- the device --- */

static int connect_once(unsigned port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const struct timeval limit = { .tv_sec = ANSWER_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static int wait_connected(struct probe *p)
{
    for (int waited_ms = 0; waited_ms < WAIT_MS && !ended(p); waited_ms += STEP_MS) {
        int fd = connect_once(p->port);
        if (fd >= 0)
            return fd;
        (void)nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
    }
    return -1;
}

static bool answers(int fd, const void *packet, size_t bytes, const unsigned char wanted[4])
{
    unsigned char got[4];
    return send(fd, packet, bytes, MSG_NOSIGNAL) == (ssize_t)bytes &&
           recv(fd, got, sizeof got, MSG_WAITALL) == (ssize_t)sizeof got &&
           memcmp(got, wanted, sizeof got) == 0;
}

static int publish(const struct probe *p, int fd)
{
    enum { TOPIC = sizeof topic - 1, PAYLOAD = sizeof payload - 1, REST = 2 + TOPIC + 2 + PAYLOAD };
    static_assert(REST < 128, "its length is one byte");
    unsigned char packet[2 + REST] = { 0x32, REST, 0, TOPIC };
    memcpy(packet + 4, topic, TOPIC);
    packet[4 + TOPIC + 1] = 1; /* packet identifier */
    memcpy(packet + 4 + TOPIC + 2, payload, PAYLOAD);
    if (!answers(fd, connect_packet, sizeof connect_packet, connack))
        return fail(p, "a gateway of this version does not let a device in");
    if (!answers(fd, packet, sizeof packet, puback))
        return fail(p, "a gateway of this version does not acknowledge a reading");
    (void)snprintf(p->what, PROBE_WHAT_BYTES, "from MQTT to disk, in a store of its own");
    return 0;
}

static int run(struct probe *p, const struct passwd *user)
{
    if (make(p, user) != 0)
        return fail(p, strerror(errno));
    p->child = fork();
    if (p->child == 0)
        become_gateway(p, user);
    if (p->child < 0)
        return p->child = 0, fail(p, strerror(errno));
    int fd = wait_connected(p);
    int err = fd < 0 ? fail(p, "a gateway of this version does not start with an empty store")
                     : publish(p, fd);
    if (fd >= 0)
        (void)close(fd);
    end(p);
    if (err != 0)
        tell_log(p);
    return err;
}

int probe_run(const char *folder, char what[PROBE_WHAT_BYTES])
{
    struct probe p = { .what = what };
    const struct passwd *user = geteuid() == 0 ? getpwnam("weir") : NULL;
    if (snprintf(p.folder, sizeof p.folder, "%s/probe", folder) >= (int)sizeof p.folder)
        return fail(&p, "the folder's name is too long");
    int err = run(&p, user);
    clear(&p);
    return err;
}
