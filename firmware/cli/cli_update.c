/* `weir update`: a board's other slot is written, tried, kept or left. RAUC does the work
 * (firmware/update/rauc.h); what is added is which versions may follow which. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/update_gate.h"
#include "firmware/cli/update_job.h"
#include "firmware/cli/update_serve.h"
#include "firmware/update/bring.h"
#include "firmware/update/rauc.h"
#include "firmware/update/trial.h"
#include "firmware/update/version.h"
#include "pipeline/err.h"

static const char help[] =
    "usage: weir update status [--json]\n"
    "       weir update check BUNDLE\n"
    "       weir update install BUNDLE [--force]\n"
    "       weir update gate [--scratch DIR] [--json]\n"
    "       weir update confirm [--force]\n"
    "       weir update rollback\n"
    "       weir update serve\n\n"
    "Of a board that runs an image with two slots, as root. BUNDLE is a signed update: a file, a\n"
    "URL (http, https), or the word `stick`: the newest for this board on a USB disk. Of a URL\n"
    "only what the board has not is read, as it is written, where the server gives ranges; else\n"
    "the whole file is fetched into /data/rauc, by check too, and goes when it was installed;\n"
    "where that breaks off the next try goes on. 32 MiB of the data partition stay free.\n\n"
    "  status    the slots, and which starts next\n"
    "  check     whether the bundle is signed by whom we trust, for this board, and not older\n"
    "            than what runs\n"
    "  install   check, then write it into the slot that does not run; the next start tries it\n"
    "  gate      whether what runs is well: the gateway answers, its store commits, a reading\n"
    "            goes from MQTT to disk (in a store of its own, below DIR), and the uplink is\n"
    "            connected if it was before the update. Changes nothing; works without slots too\n"
    "  confirm   the same, and then the slot that runs is good: it is started from now on\n"
    "  rollback  the other slot is started next\n"
    "  serve     one of these for the gateway, whose HTTP asks for it on the standard input:\n"
    "            for the image's weir-update.socket, not for people\n"
    "  --force   install: an older version too, or on trial; confirm: without the gate; the\n"
    "            system's log says so\n"
    "  --root    DIR: where /etc, /data and /run are looked for; for trials\n\n"
    "While a check, an installation or a rollback is under way, also by HTTP, another is refused;\n"
    "and none is installed while what runs is on trial itself.\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 not understood.\n";

enum { VERSION_BYTES = 64, ROOT_BYTES_MAX = 160, PLACE_BYTES = ROOT_BYTES_MAX + 32 };

struct wish { /* the command line */
    const char *verb, *bundle, *scratch, *root;
    bool force;
    struct client_options gateway;
    /* what the image says that it is; what outlives an update; who signs a server of updates; what
     * is under way */
    char version[PLACE_BYTES], updates[PLACE_BYTES], trial[PLACE_BYTES], authority[PLACE_BYTES];
    char job[PLACE_BYTES], cmdline[PLACE_BYTES], settings[PLACE_BYTES];
};

static void find_places(struct wish *wish)
{
    (void)snprintf(wish->version, PLACE_BYTES, "%s/etc/weir-version", wish->root);
    (void)snprintf(wish->updates, PLACE_BYTES, "%s/data/rauc", wish->root);
    (void)snprintf(wish->trial, PLACE_BYTES, "%s/data/rauc/trial", wish->root);
    (void)snprintf(wish->authority, PLACE_BYTES, "%s/data/etc/rauc/ca.pem", wish->root);
    (void)snprintf(wish->settings, PLACE_BYTES, "%s/etc/rauc/system.conf", wish->root);
    (void)snprintf(wish->cmdline, PLACE_BYTES, "%s/proc/cmdline", wish->root);
    (void)snprintf(wish->job, PLACE_BYTES, "%s/run/weir-update", wish->root);
    if (wish->scratch == NULL)
        wish->scratch = wish->updates;
}

static int problem(const struct rauc *rauc, const char *what)
{
    (void)fprintf(stderr, "weir: %s: %s\n", what, rauc_why(rauc));
    return CLI_PROBLEM;
}

static void running_version(const struct wish *wish, char version[VERSION_BYTES])
{
    FILE *file = fopen(wish->version, "re");
    version[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(version, VERSION_BYTES, file) != NULL)
        version[strcspn(version, "\n")] = '\0';
    (void)fclose(file); /* read only */
}

static int print_status(struct rauc *rauc, const struct wish *wish)
{
    struct rauc_state state;
    char version[VERSION_BYTES];
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    running_version(wish, version);
    if (wish->gateway.json && strcmp(wish->verb, "status") == 0) {
        char text[UPDATE_ANSWER_BYTES];
        struct json_writer w = json_writer_over(text, sizeof text);
        json_object(&w);
        update_put_machine(&w, &state, version);
        json_object_end(&w);
        struct text all = json_done(&w);
        (void)printf("%.*s\n", (int)all.bytes, all.at);
        return CLI_OK;
    }
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
static int judge(struct rauc *rauc, const struct wish *wish, const char *path, bool force,
                 struct rauc_bundle *bundle)
{
    struct rauc_state state;
    char version[VERSION_BYTES];
    if (rauc_bundle(rauc, path, bundle) != 0) { /* RAUC 1.8 says why in its log alone */
        (void)fprintf(stderr, "weir: %s is no bundle that this board trusts (%s); "
                              "journalctl -u rauc says why\n", path, rauc_why(rauc));
        if (strncmp(path, wish->updates, strlen(wish->updates)) == 0)
            bring_forget(wish->updates); /* fetched: a part of another may be in it; begin anew */
        return CLI_PROBLEM;
    }
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    if (strcmp(bundle->compatible, state.compatible) != 0) {
        (void)fprintf(stderr, "weir: %s is for %s, this is a %s\n", path, bundle->compatible,
                      state.compatible);
        return CLI_PROBLEM;
    }
    running_version(wish, version);
    (void)printf("running  %s\nbundle   %s\n", version, bundle->version);
    (void)fflush(stdout); /* before what is said on stderr, where both go into one log */
    if (version_compare(bundle->version, version) >= 0)
        return CLI_OK;
    if (!force) {
        (void)fprintf(stderr,
                      "weir: %s is older than what runs; --force installs it all the same\n",
                      bundle->version);
        return CLI_PROBLEM;
    }
    syslog(LOG_WARNING, "update_forced from=%s to=%s", version, bundle->version);
    return CLI_OK;
}

static void print_progress(int percent, const char *step)
{
    static int last = -1; /* of the one installation that a process makes */
    if (percent != last)
        (void)printf("%3d %%    %s\n", percent, step), (void)fflush(stdout);
    last = percent;
}

static bool uplink_is_connected(const struct client_options *gateway)
{
    struct client_answer answer = { 0 };
    char why[256];
    return client_call(gateway->socket_path, "GET", "/api/v1/status", &answer, why) == 0 &&
           json_view_bool(json_view_at(answer.body, "uplink"), "connected");
}

/* For the start that tries it: written before the slot is, so that no update is ever untried. */
static int note_trial(struct rauc *rauc, const struct wish *wish, const struct rauc_bundle *bundle)
{
    struct rauc_state state;
    struct trial trial = { .uplink = uplink_is_connected(&wish->gateway) };
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    for (int i = 0; i < state.slot_count; i++)
        if (strcmp(state.slots[i].state, "booted") != 0)
            memcpy(trial.slot, state.slots[i].bootname, sizeof trial.slot);
    running_version(wish, trial.from);
    (void)snprintf(trial.to, sizeof trial.to, "%s", bundle->version);
    if (trial_write(wish->trial, &trial) == 0)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s can't be written: %s\n", wish->trial, strerror(errno));
    return CLI_PROBLEM;
}

/* Then the other slot is the one to go back to, and not to be written over. */
static bool is_on_trial(const struct wish *wish)
{
    struct trial trial;
    char running[8];
    trial_running_slot(wish->cmdline, running);
    return trial_read(wish->trial, &trial) == 0 && strcmp(running, trial.slot) == 0;
}

/* What was streamed was read twice from a server that nobody trusts: to be judged, and to be
 * written. Every bundle that we ever signed is good to RAUC, also an old one. */
static int check_written(struct rauc *rauc, const struct rauc_bundle *judged)
{
    struct rauc_state state;
    const char *written = "";
    for (int tries = 0; tries < 30; tries++) { /* it may be busy a moment longer, and tells none */
        if (rauc_state(rauc, &state) == 0 && state.slot_count > 0)
            break;
        (void)sleep(1); /* a signal ends it sooner */
    }
    for (int i = 0; i < state.slot_count; i++)
        if (strcmp(state.slots[i].state, "booted") != 0)
            written = state.slots[i].version;
    if (strcmp(written, judged->version) == 0)
        return CLI_OK;
    if (rauc_mark(rauc, "bad", "other") != 0 || rauc_mark(rauc, "active", "booted") != 0)
        (void)problem(rauc, "the slot that was written can't be left");
    syslog(LOG_WARNING, "update_swapped judged=%s written=%s", judged->version, written);
    (void)fprintf(stderr, "weir: its server showed version %s, and gave version %s then; the slot "
                          "is left\n", judged->version, written);
    return CLI_PROBLEM;
}

static int install(struct rauc *rauc, const struct wish *wish, const char *path)
{
    struct rauc_bundle bundle;
    if (is_on_trial(wish) && !wish->force) {
        (void)fprintf(stderr, "weir: what runs is on trial, and the other slot is the one to go "
                              "back to: `weir update confirm` first\n");
        return CLI_PROBLEM;
    }
    if (is_on_trial(wish))
        syslog(LOG_WARNING, "update_forced on_trial");
    int status = judge(rauc, wish, path, wish->force, &bundle);
    status = status == CLI_OK ? note_trial(rauc, wish, &bundle) : status;
    if (status != CLI_OK)
        return status;
    if (rauc_install(rauc, path, print_progress) != 0)
        status = problem(rauc, path);
    else if (bring_is_url(path) && !wish->force)
        status = check_written(rauc, &bundle);
    if (status != CLI_OK) {
        (void)unlink(wish->trial);
        return status;
    }
    bring_forget(wish->updates);
    (void)printf("installed; the next start tries it\n");
    return CLI_OK;
}

/* --- the slot that runs --- */

static int mark(struct rauc *rauc, const struct wish *wish, const char *state, const char *slot)
{
    if (rauc_mark(rauc, state, slot) != 0)
        return problem(rauc, slot);
    return print_status(rauc, wish);
}

static bool passes_gate(const struct wish *wish, const struct trial *trial)
{
    struct gate gate;
    char running[8];
    trial_running_slot(wish->cmdline, running);
    bool tried = strcmp(running, trial->slot) == 0;
    bool passed = gate_pass(&gate, &wish->gateway, tried && trial->uplink, wish->scratch);
    gate_print(&gate, wish->gateway.json);
    (void)fflush(stdout); /* before what is said on stderr, where both go into one log */
    return passed;
}

static int judge_running(const struct wish *wish)
{
    struct trial trial;
    (void)trial_read(wish->trial, &trial); /* none: nothing is wanted beyond */
    return passes_gate(wish, &trial) ? CLI_OK : CLI_PROBLEM;
}

static int confirm(struct rauc *rauc, const struct wish *wish)
{
    struct trial trial;
    char running[8];
    bool waits = trial_read(wish->trial, &trial) == 0;
    if (!wish->force && !passes_gate(wish, &trial))
        return CLI_PROBLEM;
    if (wish->force)
        syslog(LOG_WARNING, "update_confirmed_by_force");
    int status = mark(rauc, wish, "good", "booted");
    if (status != CLI_OK || !waits)
        return status;
    trial_running_slot(wish->cmdline, running);
    bool kept = strcmp(running, trial.slot) == 0;
    syslog(kept ? LOG_NOTICE : LOG_WARNING, "%s from=%s to=%s",
           kept ? "update_kept" : "update_left", trial.from, trial.to);
    (void)printf("%s %s\n", kept ? "kept     the update to" : "left     the update to", trial.to);
    (void)unlink(wish->trial); /* or it is told once more */
    return CLI_OK;
}

static int rollback(struct rauc *rauc, const struct wish *wish)
{
    struct rauc_state state;
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    for (int i = 0; i < state.slot_count; i++) {
        const struct rauc_slot *slot = &state.slots[i];
        if (strcmp(slot->state, "booted") != 0 && strcmp(slot->good, "bad") == 0) {
            (void)fprintf(stderr, "weir: slot %s is empty, or was left\n", slot->bootname);
            return CLI_PROBLEM;
        }
    }
    return mark(rauc, wish, "active", "other");
}

/* --- from where the bundle is --- */

static int with_bundle(struct rauc *rauc, const struct wish *wish, const char *path)
{
    struct rauc_bundle bundle;
    return strcmp(wish->verb, "check") == 0 ? judge(rauc, wish, path, false, &bundle)
                                            : install(rauc, wish, path);
}

/* Whether RAUC can read it where it is, and so only what the board has not: built for that, and
 * told so by the image's settings (else it would fetch all of it into memory), from a server that
 * gives ranges. */
static bool can_stream(struct rauc *rauc, const struct wish *wish)
{
    char line[128];
    struct rauc_bundle bundle;
    bool streams = false;
    FILE *settings = fopen(wish->settings, "re");
    while (settings != NULL && fgets(line, sizeof line, settings) != NULL)
        streams = streams || strcmp(line, "[streaming]\n") == 0;
    if (settings != NULL)
        (void)fclose(settings); /* read only */
    if (!streams)
        return false;
    if (rauc_bundle(rauc, wish->bundle, &bundle) == 0)
        return true;
    (void)printf("whole    it can't be read piece by piece (%s): fetching it\n", rauc_why(rauc));
    (void)fflush(stdout); /* before what is said on stderr, where both go into one log */
    return false;
}

static int from_elsewhere(struct rauc *rauc, const struct wish *wish)
{
    struct rauc_state state;
    char path[BRING_PATH_BYTES], why[BRING_WHY_BYTES];
    bool url = bring_is_url(wish->bundle);
    if (rauc_state(rauc, &state) != 0)
        return problem(rauc, "no word from the updater");
    const char *board = strncmp(state.compatible, "weir-", 5) == 0 ? state.compatible + 5 : "";
    if (url && can_stream(rauc, wish)) {
        (void)printf("found    on its server: what is not here is read as it is written\n");
        return with_bundle(rauc, wish, wish->bundle);
    }
    if (url)
        bring_begin(wish->bundle, wish->updates);
    const struct bring_source from = { wish->bundle, wish->authority,
                                       bring_room_bytes(wish->updates) };
    int err = url ? bring_url(&from, wish->updates, path, why) : bring_stick(board, path, why);
    if (err != 0) {
        (void)fprintf(stderr, "weir: %s: %s\n", wish->bundle, why);
        return CLI_PROBLEM;
    }
    (void)printf("found    %s\n", path);
    int status = with_bundle(rauc, wish, path);
    if (!url)
        bring_stick_done();
    return status;
}

static int from_file(struct rauc *rauc, const struct wish *wish)
{
    char *path = realpath(wish->bundle, NULL); /* the updater stands in another folder */
    if (path == NULL) {
        (void)fprintf(stderr, "weir: %s can't be found\n", wish->bundle);
        return CLI_PROBLEM;
    }
    int status = with_bundle(rauc, wish, path);
    free(path);
    return status;
}

static int act(struct rauc *rauc, const struct wish *wish)
{
    if (strcmp(wish->verb, "status") == 0)
        return print_status(rauc, wish);
    if (strcmp(wish->verb, "confirm") == 0)
        return confirm(rauc, wish);
    if (strcmp(wish->verb, "rollback") == 0)
        return rollback(rauc, wish);
    if (bring_is_url(wish->bundle) || strcmp(wish->bundle, "stick") == 0)
        return from_elsewhere(rauc, wish);
    return from_file(rauc, wish);
}

static int ask_rauc(const struct wish *wish)
{
    struct rauc *rauc;
    if (rauc_open(&rauc) != 0) {
        (void)fprintf(stderr, "weir: there is no D-Bus here, and no updater\n");
        return CLI_PROBLEM;
    }
    int status = act(rauc, wish);
    rauc_close(rauc);
    return status;
}

/* --- alone, or for the gateway --- */

static int do_alone(const struct wish *wish)
{
    /* The slot that runs is judged at each start, and must not wait for somebody's fetching. */
    bool aside = strcmp(wish->verb, "status") == 0 || strcmp(wish->verb, "confirm") == 0;
    int lock = aside ? 0 : job_lock(wish->job);
    if (lock == WEIR_EBUSY)
        (void)fprintf(stderr, "weir: another update is under way: weir update status\n");
    else if (lock < 0)
        (void)fprintf(stderr, "weir: %s: %s\n", wish->job, strerror(errno));
    return lock < 0 ? CLI_PROBLEM : ask_rauc(wish); /* the lock goes with the process */
}

static int do_for_gateway(void *ctx, const char *verb, const char *bundle)
{
    struct wish *wish = ctx;
    wish->verb = verb;
    wish->bundle = bundle;
    return ask_rauc(wish);
}

static int serve(struct wish *wish)
{
    struct update_service service = { .folder = wish->job,
                                      .fetches_into = wish->updates,
                                      .act = do_for_gateway,
                                      .ctx = wish };
    running_version(wish, service.version);
    return update_serve(&service);
}

int cli_update(int argc, char **argv)
{
    static const char *const alone[] = { "status", "gate", "confirm", "rollback", "serve" };
    struct wish wish = { .root = "" };
    const struct flag flags[] = { { "--force", NULL, NULL, &wish.force },
                                  { "--scratch", NULL, &wish.scratch, NULL },
                                  { "--root", NULL, &wish.root, NULL },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    int status = arguments_for_gateway(&a, argc, argv, &wish.gateway);
    if (status != -1)
        return status;
    bool known = false;
    wish.verb = a.word_count > 0 ? a.words[0] : "";
    wish.bundle = a.word_count > 1 ? a.words[1] : "";
    for (int i = 0; i < 5; i++)
        known = known || (strcmp(wish.verb, alone[i]) == 0 && a.word_count == 1);
    if (!known && strcmp(wish.verb, "check") != 0 && strcmp(wish.verb, "install") != 0)
        return arguments_usage(&a, "want status, check, install, gate, confirm or rollback, not",
                               wish.verb);
    if (!known && a.word_count != 2)
        return arguments_usage(&a, "want a bundle after", wish.verb);
    if (strlen(wish.root) > ROOT_BYTES_MAX)
        return arguments_usage(&a, "is too long for --root:", wish.root);
    find_places(&wish);
    if (strcmp(wish.verb, "gate") == 0)
        return judge_running(&wish);
    return strcmp(wish.verb, "serve") == 0 ? serve(&wish) : do_alone(&wish);
}
