#!/usr/bin/env python3
"""Goal: every subcommand of weir and weir-sim knows --help and --version, and says by its exit status what happened: 0
done, 1 not there or nobody answers, 2 not understood, 78 wrong configuration; its --help says so too.
Method: every one against a running gateway, against none, and with words that nobody understands."""
import csv
import json
import os
import pty
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, skip_without  # noqa: E402

SIM = os.path.join(os.path.dirname(WEIR), "weir-sim")
COMMANDS = {WEIR: ["run", "status", "devices", "show", "tail", "alerts", "maintenance", "dlq", "export", "device", "detect", "size",
                   "bench", "check", "contract", "reload", "config", "token", "version"],
            SIM: ["fleet", "cloud", "inject", "report", "world"]}
NO_ID = "0" * 26
# What asks the gateway: its words, and its exit status while the gateway runs.
ASKING = [(["status"], 0), (["devices"], 0), (["show", "pump"], 0), (["show", "NOSUCH"], 1), (["tail"], 0),
          (["alerts"], 0), (["alerts", "ack", NO_ID], 1), (["alerts", "shelve", NO_ID], 1), (["alerts", "ack", "x"], 1),
          (["maintenance"], 0), (["maintenance", "off", "--all"], 1),
          (["dlq", "list"], 0), (["dlq", "show", "1"], 0), (["dlq", "show", "999"], 1), (["dlq", "show", "x"], 1),
          (["reload"], 0), (["export"], 0), (["export", "--from", "99999"], 0)]
MISUSED = [["show"], ["show", "a", "b"], ["alerts", "eat", NO_ID], ["alerts", "ack"], ["dlq"], ["dlq", "show"],
           ["tail", "-n", "0"], ["tail", "-n", "5x"], ["alerts", "shelve", NO_ID, "--for", "1h"], ["maintenance", "on", "--all"], ["maintenance", "on", "--for", "1h"], ["maintenance", "on", "--all", "--for", "5s"], ["export", "--format", "xml"], ["export", "--from", "x"], ["config"], ["config", "eat"], ["config", "explain", "all", "--json"],
           ["check", "x"], ["version", "x"], ["run", "x"], ["status", "x"], ["devices", "x"], ["tail", "x"], ["export", "x"],
           ["contract", "check", "a"], ["contract", "check", "a", "b", "--mode", "x"], ["nosuch"]]
CONFIG = """
sources:
  - {{name: plant, url: "mqtt://localhost:{port}", payload: {{fields: {{lot: /lot, by: /by}}}},
     topics: ["t/{{device}}/{{metric}}", {{template: "u/{{device}}/{{metric}}", payload: {{fields: {{at: /at, lot: /l}}}}}}]}}
  - {{name: hall, url: "mqtt://localhost:{port}", topics: ["h/{{device}}/{{metric}}"], payload: {{fields: {{by: /who}}}}}}
clock: {{trust: system}}
"""


def run(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def check(program, words, status):
    code, out, err = run(program, *words)
    assert code == status, f"{os.path.basename(program)} {words}: {code}, not {status}: {out}{err}"
    assert status == 0 or err, f"{words}: nothing on stderr"
    return out


def help_and_version():
    version = check(WEIR, ["--version"], 0).split()[1]
    for program, commands in COMMANDS.items():
        for command in commands:
            name = os.path.basename(program)
            text = check(program, [command, "--help"], 0)
            assert text.startswith(f"usage: {name} {command}"), text
            assert re.search(r"Exit status:? 0", text), text
            assert check(program, [command, "--version"], 0) == f"{name} {version}\n"
            check(program, [command, "--nonsense"], 2)


def without_a_gateway(place):
    for words, _ in ASKING:
        check(WEIR, [*words, "-s", place.path("nobody.sock")], 1)
    for words in MISUSED:
        check(WEIR, words, 2)
    for words in (["run"], ["check"], ["status"], ["show", "pump"]):
        check(WEIR, [*words, "-c", place.path("nothing.yaml")], 78)
    check(WEIR, ["config", "show", "-c", place.path("nothing.yaml")], 78)
    check(WEIR, ["config", "explain", "nosuch"], 1)
    check(WEIR, ["config", "explain", "window.size"], 0)


def the_usual_gateway_has_room(place):
    """Devices over TLS, and a cloud: what most write, with no limits of their own."""
    place.pki("guest")
    pki, config = place.path("pki"), place.path("usual.yaml")
    with open(config, "w", encoding="utf-8") as f:
        f.write("gateway: {name: guest}\nsources:\n  - {name: devices, listen: 'mqtts://0.0.0.0:8883', topics: ['telemetry/{device}/{metric}'], "
                f"cert: {pki}/server.crt, key: {pki}/server.key, client_ca: {pki}/ca.crt}}\n"
                f"uplink: {{url: 'mqtts://localhost:8883', ca: {pki}/ca.crt, cert: {pki}/guest.crt, key: {pki}/guest.key}}\n")
    check(WEIR, ["check", "-c", config], 0)


def what_takes_too_much_is_named(place):
    config = place.path("large.yaml")
    with open(config, "w", encoding="utf-8") as f:
        f.write("sources: [{name: a, url: 'mqtt://localhost:1883', topics: ['t/{device}/{metric}']}]\nstreams:\n"
                "  - {name: small, key: [device]}\n  - {name: large, key: [device], keys: 500000}\n"
                "  - {name: sketchy, key: [device], keys: 3000, aggregates: [median, distinct]}\n")
    code, _, said = run(WEIR, "check", "-c", config)
    named = [line.split()[2] for line in said.splitlines() if "  stream " in line]
    assert code == 78 and named[:2] == ["large:", "sketchy:"] and "fix: lower `keys` of the stream `large`" in said, said
    code, told, _ = run(WEIR, "check", "--json", "-c", config)
    assert code == 78 and "stream large: 500000 keys" in json.loads(told)["errors"][0]["why"], told


def with_a_gateway(place):
    port = place.start_broker("plant")
    place.write_config(CONFIG.format(port=port))
    place.start_gateway()
    place.wait_status("connected", lambda s: all(source["connected"] for source in s["sources"]))
    for topic, payload in (("t", '{"value":20}'), ("t", "no JSON"), ("t", '{"value":21,"lot":7,"by":"Jo, \\"B\\""}'),
                           ("h", '{"value":22,"who":"Al"}'), ("u", '{"value":23,"at":"door","l":8}')):
        subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", f"{topic}/pump/temp", "-m", payload], check=True)
    place.wait_status("all taken", lambda s: s["ledger"]["received"] == 5)
    for words, status in ASKING:
        check(WEIR, [*words, "-c", place.config], status)
        check(WEIR, [*words, "--json", "-s", place.socket], status)
    check(WEIR, ["check", "-c", place.config], 0)
    # a fault in the file that the gateway does not run by yet keeps nobody from asking it
    faulty, text = place.path("faulty.yaml"), open(place.config, encoding="utf-8").read()
    for more, status, said in (("limits: {devices: many}\n", 0, "faulty.yaml has 1 fault "), ("limits: {devices\n", 78, "`-s PATH`")):
        with open(faulty, "w", encoding="utf-8") as f:
            f.write(text + more)
        for words in (["status"], ["alerts"], ["dlq", "list"]):
            code, out, err = run(WEIR, *words, "-c", faulty)
            assert code == status and said in err and bool(out) == (status == 0) and (status or err.count("\n") == 1), (words, code, err)
            assert run(WEIR, *words, "-s", place.socket)[0] == 0
        assert run(WEIR, "check", "-c", faulty)[0] == 78


def on_a_terminal(*words):
    ours, its = pty.openpty()
    subprocess.run([WEIR, *words], stdin=subprocess.DEVNULL, stdout=its, timeout=30, check=True)
    os.close(its)
    text = b""
    try:
        while more := os.read(ours, 65536):
            text += more
    except OSError:  # the other end is closed, on Linux
        pass
    os.close(ours)
    return text.decode()


def nothing_steers_the_terminal(place):
    """Whatever a device sends: neither the escape character, nor its like beyond ASCII."""
    nasty = "x\x1b[2J\x9b31m\x7f"
    for topic, payload in (("t/pump/temp", nasty), ("t/pump/temp", json.dumps({"value": [nasty]})),
                           ("t/pump/text", json.dumps({"value": nasty, "unit": nasty}))):
        subprocess.run(["mosquitto_pub", "-p", str(place.ports["plant"]), "-q", "1", "-t", topic, "-m", payload], check=True)
    place.wait_status("all taken", lambda s: s["ledger"]["received"] == 8)
    letters = [json.loads(line)["id"] for line in check(WEIR, ["dlq", "list", "--json", "-s", place.socket], 0).splitlines()]
    for words in (["tail"], ["dlq", "list"], *(["dlq", "show", str(i)] for i in letters), ["devices"], ["show", "pump"]):
        shown = on_a_terminal(*words, "-s", place.socket)
        for colour in re.findall("\x1b\\[[0-9]+m", shown):
            shown = shown.replace(colour, "")
        assert shown and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", shown), (words, shown)
        piped = check(WEIR, [*words, "-s", place.socket], 0)
        assert "\x1b[1m" not in piped and "\x1b[33m" not in piped, "colour in a pipe"
    assert nasty in "".join(check(WEIR, ["dlq", "show", str(i), "-s", place.socket], 0) for i in letters), "a file has it"


def further_fields_are_columns(place):
    rows = list(csv.DictReader(check(WEIR, ["export", "--format", "csv", "-s", place.socket], 0).splitlines()))
    found = {row["value"]: (row["fields.lot"], row["fields.by"], row["fields.at"]) for row in rows}
    assert found == {"20": ("", "", ""), "21": ("7", 'Jo, "B"', ""), "22": ("", "Al", ""), "23": ("8", "", "door")}, rows


def main():
    skip_without("mosquitto", "mosquitto_pub")
    help_and_version()
    with Place() as place:
        without_a_gateway(place)
        the_usual_gateway_has_room(place)
        what_takes_too_much_is_named(place)
        with_a_gateway(place)
        further_fields_are_columns(place)
        nothing_steers_the_terminal(place)
    print(f"ok {sum(map(len, COMMANDS.values()))} commands, {len(ASKING)} questions, {len(MISUSED)} misuses")
    return 0


sys.exit(main())
