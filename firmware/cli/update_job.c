#include "firmware/cli/update_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/cli/json_view.h"
#include "pipeline/err.h"
#include "pipeline/timestamp.h"

enum { PATH_BYTES = 256, FILE_BYTES = 4096 };

static const char *const states[] = { "none", "running", "done", "failed" };

static const char *path_of(char path[PATH_BYTES], const char *folder, const char *name)
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

/* --- the lock --- */

/* Of the open file, not of the process: a child has it too, and asking takes nothing. */
static const struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

int job_lock(const char *folder)
{
    char path[PATH_BYTES];
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return WEIR_EIO;
    int fd = open(path_of(path, folder, "lock"), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return WEIR_EIO;
    struct flock lock = whole;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    int why = errno;
    (void)close(fd); /* nothing was written */
    errno = why;
    return why == EAGAIN || why == EACCES ? WEIR_EBUSY : WEIR_EIO;
}

static bool is_locked(const char *folder)
{
    char path[PATH_BYTES];
    int fd = open(path_of(path, folder, "lock"), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct flock lock = whole;
    if (fd < 0)
        return false;
    bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd); /* nothing was written */
    return locked;
}

/* --- the file --- */

static void put_or_null(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text[0] != '\0')
        json_string(w, text);
    else
        json_null(w);
}

static void put_moment(struct json_writer *w, const char *key, int64_t unix_ms)
{
    json_key(w, key);
    if (unix_ms != 0)
        json_time(w, unix_ms);
    else
        json_null(w);
}

void job_put(struct json_writer *w, const struct job *job)
{
    json_put_string(w, "state", states[job->state]);
    put_or_null(w, "verb", job->verb);
    json_key(w, "percent");
    if (job->percent >= 0)
        json_integer(w, job->percent);
    else
        json_null(w);
    put_or_null(w, "message", job->message);
    put_or_null(w, "error", job->error);
    put_or_null(w, "bundle", job->bundle);
    put_moment(w, "began", job->began_ms);
    put_moment(w, "ended", job->ended_ms);
}

int job_write(const char *folder, const struct job *job)
{
    char text[FILE_BYTES], path[PATH_BYTES], aside[PATH_BYTES];
    struct json_writer w = json_writer_over(text, sizeof text);
    json_object(&w);
    job_put(&w, job);
    json_object_end(&w);
    struct text all = json_done(&w);
    FILE *file = fopen(path_of(aside, folder, "job.new"), "we");
    if (file == NULL)
        return WEIR_EIO;
    bool written = fwrite(all.at, 1, all.bytes, file) == all.bytes;
    if (fclose(file) == 0 && written && rename(aside, path_of(path, folder, "job")) == 0)
        return 0;
    (void)unlink(aside);
    return WEIR_EIO;
}

static int64_t moment_of(struct text json, const char *key)
{
    char words[TIMESTAMP_BYTES];
    int64_t unix_ms = 0;
    json_view_text(json, key, words, sizeof words);
    return timestamp_parse(text_of(words), &unix_ms) == 0 ? unix_ms : 0;
}

static void read_file(const char *folder, struct job *job)
{
    char text[FILE_BYTES], path[PATH_BYTES], word[16];
    *job = (struct job){ .percent = -1 };
    FILE *file = fopen(path_of(path, folder, "job"), "re");
    if (file == NULL)
        return;
    struct text json = { text, (uint32_t)fread(text, 1, sizeof text, file) };
    (void)fclose(file); /* read only */
    json_view_text(json, "state", word, sizeof word);
    for (int i = 0; i <= JOB_FAILED; i++)
        if (strcmp(word, states[i]) == 0)
            job->state = (enum job_state)i;
    json_view_text(json, "verb", job->verb, sizeof job->verb);
    json_view_text(json, "bundle", job->bundle, sizeof job->bundle);
    json_view_text(json, "message", job->message, sizeof job->message);
    json_view_text(json, "error", job->error, sizeof job->error);
    json_view_text(json, "percent", word, sizeof word);
    job->percent = word[0] != '\0' ? atoi(word) : -1;
    job->began_ms = moment_of(json, "began");
    job->ended_ms = moment_of(json, "ended");
}

void job_read(const char *folder, struct job *job)
{
    struct job seen;
    read_file(folder, &seen);
    bool alone = seen.state == JOB_RUNNING && !is_locked(folder);
    read_file(folder, job); /* it may have ended in between, which it says before it lets go */
    if (!alone || job->state != JOB_RUNNING || job->began_ms != seen.began_ms)
        return;
    job->state = JOB_FAILED;
    (void)snprintf(job->error, sizeof job->error, "it was interrupted; ask for it again");
}

/* --- what it says --- */

static void hear_problem(struct job *job, const char *words, const char *source)
{
    char before[sizeof job->error];
    size_t bytes = strlen(source);
    if (bytes > 0 && strncmp(words, source, bytes) == 0 && strncmp(words + bytes, ": ", 2) == 0)
        words += bytes + 2;
    (void)snprintf(before, sizeof before, "%s", job->error); /* curl's own words */
    (void)snprintf(job->error, sizeof job->error, "%s%s%.160s", words,
                   before[0] != '\0' ? ": " : "", before);
}

bool job_hear(struct job *job, const char *line, const char *source)
{
    int percent = 0, words_at = 0;
    if (sscanf(line, "%3d %%    %n", &percent, &words_at) == 1 && words_at > 0) {
        job->percent = percent;
        (void)snprintf(job->message, sizeof job->message, "%s", line + words_at);
    } else if (strncmp(line, "bundle   ", 9) == 0) {
        (void)snprintf(job->bundle, sizeof job->bundle, "%s", line + 9);
    } else if (strncmp(line, "found    ", 9) == 0) {
        (void)snprintf(job->message, sizeof job->message, "checking");
    } else if (strncmp(line, "weir: ", 6) == 0) {
        hear_problem(job, line + 6, source);
    } else if (strncmp(line, "curl: ", 6) == 0) {
        (void)snprintf(job->error, sizeof job->error, "%s", line);
    } else if (strstr(line, " NO   ") != NULL) { /* a part of the gate */
        (void)snprintf(job->error, sizeof job->error, "the gate: %s", line);
    } else {
        return false;
    }
    return true;
}
