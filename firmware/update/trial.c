#include "firmware/update/trial.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/err.h"

int trial_write(const char *path, const struct trial *t)
{
    char aside[256];
    if (snprintf(aside, sizeof aside, "%s.new", path) >= (int)sizeof aside)
        return WEIR_EIO;
    FILE *file = fopen(aside, "we");
    if (file == NULL)
        return WEIR_EIO;
    bool written = fprintf(file, "slot=%s\nfrom=%s\nto=%s\nuplink=%d\n", t->slot, t->from, t->to,
                           t->uplink) > 0;
    written = fflush(file) == 0 && fsync(fileno(file)) == 0 && written;
    if (fclose(file) != 0 || !written || rename(aside, path) != 0) {
        (void)unlink(aside);
        return WEIR_EIO;
    }
    sync(); /* the name too; a slot was just written, so nobody is in a hurry */
    return 0;
}

int trial_read(const char *path, struct trial *t)
{
    char line[128];
    FILE *file = fopen(path, "re");
    memset(t, 0, sizeof *t);
    if (file == NULL)
        return WEIR_ENOTFOUND;
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        if (strcmp(line, "slot") == 0)
            (void)snprintf(t->slot, sizeof t->slot, "%s", value);
        else if (strcmp(line, "from") == 0)
            (void)snprintf(t->from, sizeof t->from, "%s", value);
        else if (strcmp(line, "to") == 0)
            (void)snprintf(t->to, sizeof t->to, "%s", value);
        else if (strcmp(line, "uplink") == 0)
            t->uplink = value[0] == '1';
    }
    (void)fclose(file); /* read only */
    return t->slot[0] == '\0' ? WEIR_ENOTFOUND : 0;
}

void trial_running_slot(const char *cmdline, char slot[8])
{
    char line[4096] = "";
    FILE *file = fopen(cmdline, "re");
    slot[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, "rauc.slot=");
        if (at != NULL)
            (void)snprintf(slot, 8, "%.*s", (int)strcspn(at + 10, " \n"), at + 10);
    }
    (void)fclose(file); /* read only */
}
