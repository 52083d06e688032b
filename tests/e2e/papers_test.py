#!/usr/bin/env python3
"""Goal: the papers keep up with the program. Method: names are taken from the source (log events, reject reasons,
health reasons, notices, gap reasons, messages at start) and from the running program (commands, status fields); each
must stand in its page, and the page may name none that is gone. The examples of docs/formats.md are published and
looked at, configurations checked, links followed; the service file is good, and the manager is told."""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, free_port, run_cases, skip_without, wait_until  # noqa: E402


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def sources(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            yield os.path.relpath(path, ROOT), read(path)


def section(page, title):
    """From a heading on, up to the next of the same depth or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,%d}} |\Z)" % 6, page, re.M | re.S)
    assert found, f"there is no section {title!r}"
    depth, at = len(found[1]), found.start()
    end = re.compile(rf"^#{{1,{depth}}} ", re.M).search(page, at + depth + 1)
    return page[at:end.start() if end else len(page)]


def first_cells(text):
    """What stands in backticks in the first cell of each row of the tables, but not of their heads."""
    rows = re.findall(r"^\| (`.*?) \|.*\n(?!\|---)", text, re.M)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def same(what, in_source, in_page):
    missing, gone = in_source - in_page, in_page - in_source
    assert not missing, f"{what}: not in the page: {sorted(missing)}"
    assert not gone, f"{what}: no longer in the source: {sorted(gone)}"
    assert in_source, f"{what}: none found, the test looks in the wrong place"
    print(f"  {what}: {len(in_source)}")


# --- what the source says ---

def arguments(text, at):
    """The arguments of the call whose parenthesis opens at `at`."""
    depth, quoted, parts, begin, i = 0, False, [], at + 1, at
    while i < len(text):
        c = text[i]
        if quoted:
            i += c == "\\"
            quoted = text[i] != '"' or c == "\\"
        elif c == '"':
            quoted = True
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return parts + [text[begin:i].strip()]
        elif c == "," and depth == 1:
            parts.append(text[begin:i].strip())
            begin = i + 1
        i += 1
    raise AssertionError("a call without an end")


def log_events():
    """The literal names in every call that logs. One that passes a name on (a wrapper) has none, and is listed here."""
    wrappers = {("firmware/daemon_start.c", "event"), ("firmware/tap/tap.c", "event"), ("firmware/gateway/gateway_fill.c", "kind"),
                ("firmware/listener/listener.c", "event")}
    calls = {"log_event": 0, "log_reason": 1, "ports.log": 1, "fill_notice": 1, "listener_log": 2}
    events = set()
    for path, text in sources("firmware/*.c", "firmware/*/*.c", "hal/*.c", "hal/*/*.c", "storage/*.c"):
        if path == "firmware/log.c":
            continue
        for call in re.finditer(r"\b(log_event|log_reason|ports\.log|fill_notice|listener_log)\(", text):
            line = text[text.rfind("\n", 0, call.start()) + 1:call.start()]
            if line.startswith(("static void ", "void ")):
                continue  # its definition
            name = arguments(text, call.end() - 1)[calls[call[1]]]
            found = re.findall(r'"([a-z_]+)"', name)
            assert found or (path, name) in wrappers, f"{path}: the event of {call[0]} is no literal: {name}"
            events.update(found)
    return events


def literals(pattern, *files):
    """The longest fixed part of each message that the pattern finds."""
    for path, text in sources(*files):
        for found in re.finditer(pattern + r'((?:"(?:[^"\\]|\\.)*"\s*)+)', text):
            whole = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', found[1])).replace("\\n", "").replace('\\"', '"')
            whole = whole.removeprefix("weir: ")
            part = max(re.split(r"%[-0-9.*]*(?:ll|z)?[a-zA-Z]", whole), key=len).strip(" :,;()")
            if len(part) >= 8:
                yield path, part


def start_messages():
    yield from literals(r'\(stderr,\s*(?="weir: )', "firmware/daemon.c", "firmware/daemon_start.c")
    yield from literals(r"print_error\(errors, config, contract,\s*", "firmware/config/config_contracts.c")
    opening = ["storage/store_open.c", "storage/store_schema.c", "storage/store_state.c"]
    yield from literals(r"store_fail\(s, WEIR_\w+,\s*", *opening)
    yield from literals(r"snprintf\(why, [^;]*?,\s*(?=\")", *opening, "firmware/api/http*.c", "firmware/gateway/gateway_start.c")


def page_names_what_the_source_says(_place):
    page = read("docs/troubleshooting.md")
    same("log events", log_events(), first_cells(section(page, "Log lines")))
    rejects = set(re.findall(r'X\(REJECT_\w+, \d+, "(\w+)"', read("pipeline/reject.h")))
    same("reject reasons", rejects, first_cells(section(read("docs/triage.md"), "Reasons")))
    told = read("firmware/board/health.c") + read("firmware/board/board.c")
    health = set(re.findall(r'health_add\(&h, [^;]*?"(\w+)"\);', told))
    same("health reasons", health, first_cells(section(page, "Health")))
    starts = section(page, "It does not start")
    lacking = sorted({f"{path}: {part}" for path, part in start_messages() if part not in starts})
    assert not lacking, "not in 'It does not start':\n" + "\n".join(lacking)
    texts = dict(re.findall(r'X\((WEIR_\w+), \d+, +"([^"]+)"\)', read("pipeline/err.h")))
    for error in ("WEIR_ENOSPC", "WEIR_EIO", "WEIR_ECORRUPT"):  # what a commit comes to
        assert texts[error] in page, f"{error}: {texts[error]}"


def guide_names_what_the_source_says(_place):
    guide = read("docs/receiver.md")
    notices = {name for path, text in sources("firmware/*.c", "firmware/*/*.c")
               for name in re.findall(r'fill_notice\(\s*g, "(\w+)"', text)}
    same("notices", notices, first_cells(section(guide, "Notices")))
    gaps = {name for _, text in sources("storage/*.c")
            for name in re.findall(r'(?:outbox_gap\(|struct eviction \w+ = \{)[^;]*?"(\w+)"', text)}
    same("reasons of gaps", gaps, first_cells(section(guide, "Lanes, holes and gap events")))
    vectors = {os.path.basename(path) for path, _ in sources("tests/vectors/*.json")} | {"windows.wr", "readings.wr", "streams.wr"}
    same("vectors", vectors, first_cells(section(guide, "Test vectors")))
    assert set(os.listdir(os.path.join(ROOT, "tests/vectors"))) == vectors


# --- what the program says ---

def weir(*words):
    done = subprocess.run([WEIR, *words], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout


def commands_are_in_the_page(_place):
    page = read("docs/operations.md")
    commands = re.findall(r"^  (\w+) +\S", weir("--help")[1], re.M)
    assert len(commands) > 8
    titles = set(re.findall(r"^### `weir (\w+)", page, re.M))
    same("commands", set(commands), titles)
    for command in commands:
        code, text = weir(command, "--help")
        assert code == 0 and text, command
        own = page[page.index(f"### `weir {command}"):]
        own = own[:re.search(r"^##", own[4:], re.M).start() + 4]
        assert "```" in own, f"weir {command} has no sample"
        flags = set(re.findall(r"--[a-z-]+", text)) - {"--json", "--help", "--config", "--socket", "--version"}
        lacking = [flag for flag in flags if flag not in own]
        assert not lacking, f"weir {command}: {lacking}"


def paths_of(value, path=""):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths_of(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from paths_of(value[0], path + "[]")
    else:
        yield path


def status_fields_are_in_the_page(place):
    port = place.start_broker("plant")
    topics = 'topics: ["t/{device}/{metric}"]'
    place.write_config(f'clock: {{trust: system}}\nsources:\n'
                       f'  - {{name: devices, listen: "mqtt://127.0.0.1:{free_port()}", anonymous: true, {topics}}}\n'
                       f'  - {{name: plant, url: "mqtt://localhost:{port}", {topics}}}\n')
    place.start_gateway()
    place.wait_status("both connected", lambda s: all(source["connected"] for source in s["sources"]))
    fields = {re.sub(r"^lanes\.\w+", "lanes.LANE", re.sub(r"^ledger\.rejected$", "ledger.rejected.REASON", path))
              for path in paths_of(place.status())}
    page = section(read("docs/operations.md"), "What `weir status --json` says")
    same("status fields", fields, first_cells(page))


def the_examples_of_formats_hold(place):
    """Each example's configuration is a source; its messages are published, and what weir tail says is compared."""
    text = section(read("docs/formats.md"), "Examples")
    examples = re.findall(r"```yaml\n(.*?)```\n```\n(.*?)```", text, re.S)
    assert len(examples) >= 4
    port = place.start_broker("plant")
    config = "clock: {trust: system}\nusual: {all: false}\nsources:\n"
    for i, (yaml, _) in enumerate(examples):
        config += f'  - name: example-{i}\n    url: mqtt://localhost:{port}\n    client_id: example-{i}\n'
        config += "".join(f"    {line}\n" for line in yaml.splitlines())
    place.write_config(config)
    place.start_gateway()
    place.wait_status("sources connected", lambda s: all(source["connected"] for source in s["sources"]))
    count = 0
    for _, messages in examples:
        for block in re.split(r"\n(?!->)", messages.strip("\n")):
            message, *want = block.split("\n-> ")
            topic, payload = message.split(" ", 1)
            before = place.status()["ledger"]
            subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-m", payload], check=True)
            place.wait_status(message, lambda s: s["ledger"]["received"] == before["received"] + len(want))
            tail = [json.loads(line) for line in place.weir("tail", "--json", "-n", str(len(want))).splitlines()]
            got = [outcome(entry) for entry in tail]
            assert got == want, f"{message}\n  says {want}\n  gives {got}"
            count += len(want)
    print(f"  readings: {count}")


def inventories_are_taken(place):
    """The examples of docs/operations.md, and what is said of a faulty one."""
    page = section(read("docs/operations.md"), "The inventory")
    files = re.findall(r"```(csv|json)\n(.*?)```", page, re.S)
    assert {kind for kind, _ in files} == {"csv", "json"}
    for kind, text in files:
        path = place.path(f"devices.{kind}")
        with open(path, "w") as f:
            f.write(text)
        place.write_config("clock: {trust: system}\n" f"inventory: {{file: {path}}}\n"
                           'sources: [{name: plant, url: "mqtt://localhost:1", topics: ["t/{device}/{metric}"]}]\n')
        place.start_gateway()
        wait_until(f"{path} is loaded", lambda: f"inventory_loaded file={path}" in place.log("gateway"))
        with open(path, "a") as f:
            f.write("pump9,too,few\n")
        wait_until(f"{path} is refused", lambda: "inventory_refused" in place.log("gateway"))
        place.stop("gateway")


def outcome(entry):
    """As docs/formats.md writes it. A time of arrival can't be written down, nor can the value of what was rejected."""
    taken = entry["outcome"] in ("stored", "duplicate")
    time_ = entry["event_time"] if taken and entry["event_time"].startswith("2025-06-15") else "-"
    words = [entry["device"], entry["metric"], entry["value"] if taken else "", entry["unit"], time_, entry["outcome"]]
    return " ".join(word or "-" for word in words)


# --- the papers themselves ---

def links_lead_somewhere(_place):
    count = 0
    for path, text in sources("*.md", "docs/*.md"):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            count += 1
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)), f"{path}: {target} is not there"
        for target in re.findall(r"`((?:tests|docs|simulator|firmware|pipeline|storage|hal|boards)/[\w./-]+)`", text):
            count += 1
            assert os.path.exists(os.path.join(ROOT, target)), f"{path}: {target} is not there"
    print(f"  links and paths: {count}")


def make_targets_exist(_place):
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", read("Makefile") + read("boards", "boards.mk"), re.M))
    for path, text in sources("*.md", "docs/*.md"):
        for target in re.findall(r"`make ([a-z0-9-]+)", text):
            assert target in targets, f"{path}: there is no `make {target}`"


def configurations_are_good(place):
    """Every YAML block: a whole file as it is, a part of one beside docs/examples/minimal.yaml."""
    count = 0
    for path, text in sources("*.md", "docs/*.md"):
        if path == "docs/formats.md":
            continue  # the_examples_of_formats_hold runs those
        for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
            whole = block if "sources:" in block else read("docs/examples/minimal.yaml") + block
            with open(place.config, "w") as f:
                f.write(whole)
            code, told = weir("check", "--json", "--no-environment", "-c", place.config)
            assert code == 0, f"{path}:\n{block}\n{told}"
            count += 1
    print(f"  configurations: {count}")


def the_service_file_is_good(_place):
    unit = read("docs/examples/weir.service")
    if not shutil.which("systemd-analyze"):
        print("  systemd-analyze is not installed: the service file is not checked")
        return
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "weir.service")
        with open(path, "w") as f:
            f.write(unit.replace("/usr/local/bin/weir", WEIR))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True,
                              timeout=60)
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if "weir.service" in line]
        assert done.returncode == 0 and not complaints, "\n".join(complaints) or done.stderr


def the_service_manager_is_told(place):
    """Ready, alive, stopping: by the protocol of sd_notify, and often enough for the service file's watchdog."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(place.path("notify"))
    manager.settimeout(15)
    place.write_config('clock: {trust: system}\nsources: [{name: plant, url: "mqtt://localhost:1", '
                       'topics: ["t/{device}/{metric}"]}]\n')
    place.start_gateway(env=dict(os.environ, NOTIFY_SOCKET=place.path("notify")))
    told, at = [], []
    while told.count(b"WATCHDOG=1") < 3:
        told.append(manager.recv(256))
        at.append(time.monotonic())
    assert told[0] == b"READY=1" and set(told[1:]) == {b"WATCHDOG=1"}, told
    patience = int(re.search(r"^WatchdogSec=(\d+)$", read("docs/examples/weir.service"), re.M)[1])
    longest = max(b - a for a, b in zip(at, at[1:]))
    assert longest < patience / 2, f"{longest:.1f} s between two signs of life"
    place.stop("gateway")
    assert manager.recv(256) == b"STOPPING=1"


CASES = [page_names_what_the_source_says, guide_names_what_the_source_says, commands_are_in_the_page,
         status_fields_are_in_the_page, the_examples_of_formats_hold, inventories_are_taken, configurations_are_good,
         links_lead_somewhere, make_targets_exist, the_service_file_is_good, the_service_manager_is_told]


def main():
    skip_without("mosquitto")
    return run_cases(CASES)


sys.exit(main())
