/* cli: the command line, a file for each subcommand. A command gets its own name as argv[0] and
 * returns the process's exit status. What talks to a running gateway does so over its Unix socket
 * (client.h); no command opens the store, only `weir replay` a copy of it. */
#ifndef FIRMWARE_CLI_CLI_H
#define FIRMWARE_CLI_CLI_H

enum cli_exit {
    CLI_OK = 0,
    CLI_PROBLEM = 1, /* the gateway, the disk or the network said no */
    CLI_USAGE = 2,   /* the command line was not understood */
    CLI_DIFFERENT = 3, /* two things were compared, and are not the same */
    CLI_CONFIG = 78  /* the configuration is wrong (EX_CONFIG) */
};

struct cli_command {
    const char *name;
    const char *summary; /* a line of `weir --help` */
    int (*main)(int argc, char **argv);
};

int cli_run(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_devices(int argc, char **argv);
int cli_streams(int argc, char **argv);
int cli_device(int argc, char **argv);
int cli_command(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_alerts(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_maintenance(int argc, char **argv);
int cli_dlq(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_detect(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_contract(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_update(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_size(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_version(int argc, char **argv);

/* Where `run`, `check` and the others look when no -c was given: WEIR_CONFIG, else
 * /etc/weir/weir.yaml. */
const char *cli_config_path(void);

#endif
