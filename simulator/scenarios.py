#!/usr/bin/env python3
"""make scenarios: six systems as people build them on streams of events, and their judges. `scenarios.py [NAME...] [--seed N]`

For each of simulator/scenarios/NAME: a gateway with its gateway.yaml, the events of `weir-sim scenario NAME` (late, out of
order, repeated, and some too late), kill -9 three times meanwhile at moments drawn from the seed. Then its results
(in its table, and where it has an uplink, what docs/examples/receiver.py makes of them, and files by hour of that)
compared with what oracle.py, which knows nothing of panes and sketches, makes of the events in the order in which the
gateway's journal has them: every window of every key, each value. Then the journal is replayed twice, which must come to the
same bits. Exit 0 when all agree."""
import argparse
import datetime
import glob
import http.client
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import string
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from simulator.processes import ROOT, SIM, WEIR, Processes, Trouble, free_port  # noqa: E402

SCENARIOS = os.path.join(ROOT, "simulator", "scenarios")
sys.path.insert(0, SCENARIOS)
import pressure  # noqa: E402
import windows  # noqa: E402

NAMES = [name for name in sorted(os.listdir(SCENARIOS)) if os.path.exists(os.path.join(SCENARIOS, name, "oracle.py"))]
KILLS = 3


class Wrong(Exception):
    """The gateway's results are not what they should be, or it did not get that far."""


def oracle_of(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(SCENARIOS, name, "oracle.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Gateway:
    def __init__(self, directory, name):
        self.directory, self.port, self.cloud_port = directory, free_port(), free_port()
        self.socket = os.path.join(directory, "weir.sock")
        self.config = os.path.join(directory, "gateway.yaml")
        os.mkdir(os.path.join(directory, "data"))
        with open(os.path.join(SCENARIOS, name, "gateway.yaml")) as given, open(self.config, "w") as to:
            to.write(string.Template(given.read()).substitute(dir=directory, port=self.port, cloud=self.cloud_port))
        with open(self.config) as text:
            self.has_uplink = "\nuplink:" in text.read()
        self.name, self.processes = name, Processes(directory)

    def start(self):
        self.processes.start("gateway", [WEIR, "run", "-c", self.config])

    def kill(self):
        self.processes.stop("gateway", signal.SIGKILL)

    def stop(self):
        self.processes.stop("gateway")
        self.processes.close_logs()

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


class Cloud:
    """A broker, and behind it the receiver of docs/examples: what a cloud makes of the results lane."""

    def __init__(self, directory, gateway):
        self.database, self.files = os.path.join(directory, "cloud.db"), os.path.join(directory, "files")
        self.processes = Processes(directory)
        conf = os.path.join(directory, "broker.conf")
        with open(conf, "w") as to:
            to.write(f"listener {gateway.cloud_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        start, topic, port = self.processes.start, f"weir/{gateway.name}", str(gateway.cloud_port)
        start("cloud", ["mosquitto", "-c", conf])
        self.processes.wait_port(gateway.cloud_port)
        lanes = start("lanes", ["mosquitto_sub", "-p", port, "-q", "1", "-c", "-i", "cloud", "-F", "%t %x", "-t", f"{topic}/alerts",
                                "-t", f"{topic}/results"], stdout=subprocess.PIPE)
        self.arrivals = open(os.path.join(directory, "arrivals"), "w+")
        start("arrivals", ["mosquitto_sub", "-p", port, "-q", "1", "-F", "%U %x", "-t", f"{topic}/alerts"], stdout=self.arrivals)
        receiver = start("receiver", [os.path.join(ROOT, "docs", "examples", "receiver.py"), self.database], stdin=lanes.stdout,
                         stdout=subprocess.PIPE)
        start("receipts", ["mosquitto_pub", "-p", port, "-q", "1", "-r", "-l", "-t", f"{topic}/receipt"], stdin=receiver.stdout)

    def stop(self):
        for name in ("arrivals", "lanes", "receiver", "receipts", "cloud"):
            self.processes.stop(name)
        self.processes.close_logs()
        self.arrivals.close()

    def rows(self):
        """As Gateway.rows has them, of the table that is upserted."""
        db, rows = sqlite3.connect(self.database), {}
        for key, start_ms, end_ms, name, value in db.execute("SELECT key, start_ms, end_ms, name, value FROM streams"):
            if value is not None:
                rows.setdefault((tuple(json.loads(key)), start_ms, end_ms), {})[name] = value
        db.close()
        return rows

    def rows_of_files(self, stream):
        for wanted in ("files written", "0 of"):  # the second time nothing is new
            done = subprocess.run([os.path.join(ROOT, "docs", "examples", "results_by_hour.py"), self.database, self.files],
                                  capture_output=True, text=True, check=True)
            if wanted not in done.stdout:
                raise Wrong(f"files by hour: {done.stdout}")
        rows = {}
        for path in glob.glob(os.path.join(self.files, stream, "*.jsonl")):
            with open(path) as file:
                for row in map(json.loads, file):
                    window = tuple(row["key"]), row["start_ms"], row["end_ms"]
                    hour = time.strftime("%Y-%m-%dT%H.jsonl", time.gmtime(row["start_ms"] // 1000))
                    if window in rows or hour != os.path.basename(path):
                        raise Wrong(f"{path}: twice, or not of this hour: {row}")
                    rows[window] = row["values"]
        return rows


    def alerts(self):
        """Who has had one, and the seconds from an alert's making to the cloud, at most."""
        db, took_s = sqlite3.connect(self.database), 0
        devices = {device for device, in db.execute("SELECT device FROM alerts WHERE device NOT LIKE '$%'")}  # none of the gateway itself
        db.close()
        with open(self.arrivals.name) as lines:
            for arrived, payload in (line.split(" ", 1) for line in lines):
                event = json.loads(bytes.fromhex(payload))
                made = datetime.datetime.fromisoformat(event["recordedtime"].replace("Z", "+00:00")).timestamp()
                took_s = max(took_s, float(arrived) - made) if event["type"] == "dev.weir.alert.v1" else took_s
        return devices, took_s


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
    return {"events": len(events), "too_late": late, "windows": len(rows), "taken_back": gone, "where": "in the gateway's table",
            "problems": problems}, expected


def compare_cloud(cloud, oracle, expected):
    """The same of the receiver's table, and of files by hour."""
    deadline = time.monotonic() + 30
    problems = list(differences(cloud.rows(), expected))
    while problems and time.monotonic() < deadline:
        time.sleep(0.2)
        problems = list(differences(cloud.rows(), expected))
    return ["in the cloud: " + one for one in problems + list(differences(cloud.rows_of_files(oracle.STREAM), expected))]


def compare_alerts(cloud, oracle, gateway):
    """Those of an oracle that knows any: whose they are, what the rule is worth, and when they came."""
    must, may, wanted = oracle.alarmed(gateway.events())
    got, took_s = cloud.alerts()
    problems = [f"no alert for {', '.join(sorted(must - got))}"] if must - got else []
    problems += [f"alerts that nobody expected for {', '.join(sorted(got - may))}"] if got - may else []
    return problems, (f"; alerts for {len(got)} keys as the oracle has them, in the cloud within {took_s:.1f} s of being made: "
                      f"of {len(wanted)} that are bad {len(wanted - got)} missed, {len(got - wanted)} that are not")


def replay(directory):
    """Twice, and each time to the same bits: nothing is counted again."""
    for _ in range(2):
        done = subprocess.run([WEIR, "replay", "--store", os.path.join(directory, "data", "weir.db")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            return [f"the replay differs: {done.stdout[-500:]} {done.stderr[-500:]}"]
    return []


def run(name, options, directory):
    gateway, oracle, cloud = Gateway(directory, name), oracle_of(name), None
    try:
        cloud = Cloud(directory, gateway) if gateway.has_uplink else None
        gateway.start()
        publish(gateway, name, options, random.Random(f"{name} {options.seed}"))
        flood = pressure.run(gateway, cloud, options.seed) if hasattr(oracle, "FLOODED") else ([], "", 0)
        report, expected = compare(gateway, oracle)
        report["problems"] += flood[0] + (pressure.lost(gateway.events(), flood[2]) if flood[2] else [])
        if cloud is not None:
            report["problems"] += compare_cloud(cloud, oracle, expected)
            report["where"] += ", in the cloud's table, and in files by hour"
        if hasattr(oracle, "alarmed"):
            problems, said = compare_alerts(cloud, oracle, gateway)
            report["problems"] += problems
            report["where"] += said + flood[1]
    finally:
        gateway.stop()
        if cloud is not None:
            cloud.stop()
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
        except (Wrong, Trouble, subprocess.CalledProcessError, OSError) as wrong:
            report = {"scenario": name, "seed": options.seed, "problems": [f"{wrong} {getattr(wrong, 'stderr', '') or ''}"]}
        good = not report["problems"]
        failed += not good
        if options.json:
            print(json.dumps(report), flush=True)
        elif good:
            print("{scenario:20} {events:6} events, {too_late:4} too late, {windows:6} windows as the oracle has them {where}; "
                  "{taken_back} taken back; killed {kills} times; replayed twice: the same bits".format(**report), flush=True)
        else:
            print(f"{name:20} FAILED, seed {options.seed}: {len(report['problems'])} differences; everything is kept in {directory}")
            print("\n".join("    " + problem for problem in report["problems"][:10]), flush=True)
        if good and "WEIR_KEEP" not in os.environ:
            shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
