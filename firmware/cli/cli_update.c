/* `weir update`: a board's other slot is written, tried, kept or left. RAUC does the work
 * (firmware/update/rauc.h); what is added is which versions may follow which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/update/rauc.h"
#include "firmware/update/version.h"

static const char help[] =
    "usage: weir update status\n"
    "       weir update check FILE\n"
    "       weir update install FILE [--force]\n"
    "       weir update confirm\n"
    "       weir update rollback\n\n"
    "Of a board that runs an image with two slots, as root. FILE is a signed bundle.\n\n"
    "  status    the slots, and which starts next\n"
    "  check     whether the bundle is signed by whom we trust, for this board, and not older\n"
    "            than what runs\n"
    "  install   check, then write it into the slot that does not run; the next start tries it\n"
    "  --force   an older version too; the system's log says so\n"
    "  confirm   the slot that runs is good: it is started from now on\n"
    "  rollback  the other slot is started next\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 not understood.\n";

enum { VERSION_BYTES = 64 };

/* What the image says that it is. */
static const char version_path[] = "/etc/weir-version";

static int problem(const struct rauc *rauc, const char *what)
{
    (void)fprintf(stderr, "weir: %s: %s\n", what, rauc_why(rauc));
    return CLI_PROBLEM;
}

static void running_version(char version[VERSION_BYTES])
{
    FILE *file = fopen(version_path, "re");
    version[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(version, VERSION_BYTES, file) != NULL)
        version[strcspn(version, "\n")] = '\0';
    (void)fclose(file); /* read only */
}

static int print_status(struct rauc *rauc)
{
    struct rauc_state state;
    char version[VERSION_BYTES];
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    running_version(version);
    (void)printf("board    %s\nversion  %s\nupdater  %s\n", state.compatible, version,
                 state.operation);
    for (int i = 0; i < state.slot_count; i++) {
        const struct rauc_slot *slot = &state.slots[i];
        (void)printf("slot %s   %s, %s%s\n", slot->bootname, slot->state, slot->good,
                     strcmp(slot->name, state.primary) == 0 ? ", starts next" : "");
    }
    return CLI_OK;
}

/* Whether the bundle may be installed; says why not. RAUC looks at the signature itself. */
static int judge(struct rauc *rauc, const char *path, bool force)
{
    struct rauc_state state;
    struct rauc_bundle bundle;
    char version[VERSION_BYTES];
    if (rauc_bundle(rauc, path, &bundle) != 0) { /* RAUC 1.8 says why in its log alone */
        (void)fprintf(stderr, "weir: %s is no bundle that this board trusts (%s); "
                              "journalctl -u rauc says why\n", path, rauc_why(rauc));
        return CLI_PROBLEM;
    }
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    if (strcmp(bundle.compatible, state.compatible) != 0) {
        (void)fprintf(stderr, "weir: %s is for %s, this is a %s\n", path, bundle.compatible,
                      state.compatible);
        return CLI_PROBLEM;
    }
    running_version(version);
    (void)printf("running  %s\nbundle   %s\n", version, bundle.version);
    (void)fflush(stdout); /* before what is said on stderr, where both go into one log */
    if (version_compare(bundle.version, version) >= 0)
        return CLI_OK;
    if (!force) {
        (void)fprintf(stderr,
                      "weir: %s is older than what runs; --force installs it all the same\n",
                      bundle.version);
        return CLI_PROBLEM;
    }
    syslog(LOG_WARNING, "update_forced from=%s to=%s", version, bundle.version);
    return CLI_OK;
}

static void print_progress(int percent, const char *step)
{
    static int last = -1; /* of the one installation that a process makes */
    if (percent != last)
        (void)printf("%3d %%    %s\n", percent, step), (void)fflush(stdout);
    last = percent;
}

static int install(struct rauc *rauc, const char *path, bool force)
{
    int status = judge(rauc, path, force);
    if (status != CLI_OK)
        return status;
    if (rauc_install(rauc, path, print_progress) != 0)
        return problem(rauc, path);
    (void)printf("installed; the next start tries it\n");
    return CLI_OK;
}

static int mark(struct rauc *rauc, const char *state, const char *slot)
{
    if (rauc_mark(rauc, state, slot) != 0)
        return problem(rauc, slot);
    return print_status(rauc);
}

static int act(struct rauc *rauc, const struct arguments *a, bool force)
{
    const char *verb = a->words[0];
    char *path = NULL;
    int status = CLI_PROBLEM;
    if (strcmp(verb, "status") == 0)
        return print_status(rauc);
    if (strcmp(verb, "confirm") == 0)
        return mark(rauc, "good", "booted");
    if (strcmp(verb, "rollback") == 0)
        return mark(rauc, "active", "other");
    path = realpath(a->words[1], NULL); /* the updater stands in another folder */
    if (path == NULL)
        (void)fprintf(stderr, "weir: %s can't be found\n", a->words[1]);
    else if (strcmp(verb, "check") == 0)
        status = judge(rauc, path, false);
    else
        status = install(rauc, path, force);
    free(path);
    return status;
}

int cli_update(int argc, char **argv)
{
    static const char *const alone[] = { "status", "confirm", "rollback" };
    bool force = false, known = false;
    struct rauc *rauc;
    const struct flag flags[] = { { "--force", NULL, NULL, &force }, { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    const char *verb = a.word_count > 0 ? a.words[0] : "";
    for (int i = 0; i < 3; i++)
        known = known || (strcmp(verb, alone[i]) == 0 && a.word_count == 1);
    if (!known && strcmp(verb, "check") != 0 && strcmp(verb, "install") != 0)
        return arguments_usage(&a, "want status, check, install, confirm or rollback, not", verb);
    if (!known && a.word_count != 2)
        return arguments_usage(&a, "want a bundle's file after", verb);
    if (rauc_open(&rauc) != 0) {
        (void)fprintf(stderr, "weir: there is no D-Bus here, and no updater\n");
        return CLI_PROBLEM;
    }
    status = act(rauc, &a, force);
    rauc_close(rauc);
    return status;
}
