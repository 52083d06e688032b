#!/usr/bin/env python3
"""make scenarios: six systems as people build them on streams of events, and their judges. `scenarios.py [NAME...] [--seed N]`

For each of simulator/scenarios/NAME: a gateway with its gateway.yaml, the events of `weir-sim scenario NAME` (late, out of
order, repeated, and some too late), kill -9 three times meanwhile at moments drawn from the seed. Then the gateway's results are
compared with what oracle.py, which knows nothing of panes and sketches, makes of the events in the order in which the
gateway's journal has them: every window of every key, each value. Then the journal is replayed twice, which must come to the
same bits. Exit 0 when all agree."""
import argparse
import http.client
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR = os.path.join(ROOT, os.environ.get("B", "build"), "weir")
SIM = os.path.join(ROOT, os.environ.get("B", "build"), "weir-sim")
SCENARIOS = os.path.join(ROOT, "simulator", "scenarios")
sys.path.insert(0, SCENARIOS)
import windows  # noqa: E402

NAMES = [name for name in sorted(os.listdir(SCENARIOS)) if os.path.exists(os.path.join(SCENARIOS, name, "oracle.py"))]
KILLS = 3


class Wrong(Exception):
    """The gateway's results are not what they should be, or it did not get that far."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def oracle_of(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(SCENARIOS, name, "oracle.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Gateway:
    def __init__(self, directory, name):
        self.directory, self.port = directory, free_port()
        self.socket = os.path.join(directory, "weir.sock")
        self.config = os.path.join(directory, "gateway.yaml")
        os.mkdir(os.path.join(directory, "data"))
        with open(os.path.join(SCENARIOS, name, "gateway.yaml")) as given, open(self.config, "w") as to:
            to.write(string.Template(given.read()).substitute(dir=directory, port=self.port))
        self.log, self.process = open(os.path.join(directory, "gateway.log"), "ab"), None

    def start(self):
        self.process = subprocess.Popen([WEIR, "run", "-c", self.config],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.log.close()

    def ask(self, path):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(self.socket)
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def command(self, *words):
        return subprocess.run([WEIR, *words, "-s", self.socket], stdin=subprocess.DEVNULL, check=True,
                              capture_output=True, text=True).stdout

    def events(self):
        lines = (json.loads(line) for line in self.command("export").splitlines() if '"kind":"reading"' in line)
        return [windows.Event(line) for line in lines]

    def rows(self, stream, key):
        """{(key, start_ms, end_ms): values}, and how many were taken back."""
        rows, after, gone = {}, "", 0
        while after is not None:
            page = self.ask(f"/api/results?stream={stream}&max=256" + (f"&after={after}" if after != "" else ""))
            for row in page["results"]:
                if row["forced"]:
                    raise Wrong(f"a window was closed for want of room: {row}")
                if row["kind"] == "retraction":
                    gone += 1
                    continue
                window = tuple(row["key"][part] for part in key), row["start_ms"], row["end_ms"]
                if window in rows:
                    raise Wrong(f"twice in the table: {window}")
                rows[window] = row["values"]
            after = page["next"]
        return rows, gone


def differences(rows, expected):
    for window in sorted(set(rows) | set(expected)):
        if window not in rows or window not in expected:
            yield f"{window}: " + ("missing" if window not in rows else "nobody expected it")
            continue
        for name, (value, within) in expected[window].items():
            got = rows[window].get(name)
            if got is None or abs(Fraction(got) - value) > within:
                yield f"{window}: {name} is {got}, not {float(value)!r} within {float(within):.3g}"


def publish(gateway, name, options, chance):
    """The events, all acknowledged, and the gateway killed meanwhile."""
    began = time.monotonic()
    moments = sorted(chance.uniform(0.1, 0.9) * options.duration for _ in range(KILLS))
    fleet = subprocess.Popen([SIM, "scenario", name, "--port", str(gateway.port), "--seed", str(options.seed),
                              "--scale", str(options.scale), "--duration", f"{options.duration:g}s",
                              *([] if options.live else ["--quiet"])], stdin=subprocess.DEVNULL)
    try:
        for moment in moments:
            time.sleep(max(0, began + moment - time.monotonic()))
            gateway.kill()
            gateway.start()
        if fleet.wait(options.duration + 90) != 0:
            raise Wrong("not every event was acknowledged")
    finally:
        fleet.kill()
        fleet.wait()


FRESH_S = 10


def compare(gateway, oracle):
    """What the table of results has soon after the last event, the oracle's rows, and how they differ."""
    time.sleep(1)
    began = time.monotonic()
    rows, gone = gateway.rows(oracle.STREAM, oracle.KEY)
    events = gateway.events()
    expected, late = oracle.expected(events)
    problems = list(differences(rows, expected))
    while problems and time.monotonic() - began < FRESH_S:
        rows, gone = gateway.rows(oracle.STREAM, oracle.KEY)
        problems = list(differences(rows, expected))
    streams = map(json.loads, gateway.command("streams", "--json").splitlines())
    told_late = next(stream["late"] for stream in streams if stream["name"] == oracle.STREAM)
    if told_late != late:
        problems.append(f"{told_late} were too late, not {late}")
    if len({(e.device, e.sequence) for e in events}) != len(events):
        problems.append("an event was stored twice")
    if not expected or not late:
        problems.append("nothing was tested")
    return {"events": len(events), "too_late": late, "windows": len(rows), "taken_back": gone, "problems": problems}


def replay(directory):
    """Twice, and each time to the same bits: nothing is counted again."""
    for _ in range(2):
        done = subprocess.run([WEIR, "replay", "--store", os.path.join(directory, "data", "weir.db")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            return [f"the replay differs: {done.stdout[-500:]} {done.stderr[-500:]}"]
    return []


def run(name, options, directory):
    gateway = Gateway(directory, name)
    gateway.start()
    try:
        publish(gateway, name, options, random.Random(f"{name} {options.seed}"))
        report = compare(gateway, oracle_of(name))
    finally:
        gateway.stop()
    report["problems"] += replay(directory)
    return {"scenario": name, "seed": options.seed, "kills": KILLS, **report}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1, help="so much of each scenario")
    parser.add_argument("--duration", type=float, default=10, help="seconds in which its events are published")
    parser.add_argument("--live", action="store_true", help="say every second how far it is")
    parser.add_argument("--json", action="store_true", help="a line of JSON a scenario")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = 0
    for name in options.names or NAMES:
        directory = tempfile.mkdtemp(prefix="weir-scenario-")
        try:
            report = run(name, options, directory)
        except (Wrong, subprocess.CalledProcessError, OSError) as wrong:
            report = {"scenario": name, "seed": options.seed, "problems": [f"{wrong} {getattr(wrong, 'stderr', '') or ''}"]}
        good = not report["problems"]
        failed += not good
        if options.json:
            print(json.dumps(report), flush=True)
        elif good:
            print("{scenario:20} {events:6} events, {too_late:4} too late, {windows:6} windows as the oracle has them, "
                  "{taken_back} taken back; killed {kills} times; replayed twice: the same bits".format(**report), flush=True)
        else:
            print(f"{name:20} FAILED, seed {options.seed}: {len(report['problems'])} differences; everything is kept in {directory}")
            print("\n".join("    " + problem for problem in report["problems"][:10]), flush=True)
        if good and "WEIR_KEEP" not in os.environ:
            shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
