#!/usr/bin/env python3
"""Goal: what docs/receiver.md tells those who write a receiver is true of what Weir sends.
Method: the example receiver (docs/examples, another program in another language) fed with the published vectors in any
order; with a real run over a real broker, killed in the middle of it, against the gateway's own journal and alerts;
and with that run's messages shuffled and repeated. The guide's SQL is run as it stands there."""
import collections
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, run_cases, skip_without, wait_until  # noqa: E402

EXAMPLE = os.path.join(ROOT, "docs/examples/receiver.py")
GUIDE = os.path.join(ROOT, "docs/receiver.md")
STORE = "0123456789abcdeffedcba9876543210"
# Each published vector with its lane; batches are published as they are before compression.
VECTORS = [("alert-raised.json", "alerts"), ("alert-updated.json", "alerts"), ("alert-cleared.json", "alerts"),
           ("alert-unenriched.json", "alerts"), ("notice.json", "alerts"), ("alert-device.json", "alerts"),
           ("windows.wr", "results"), ("gap.json", "results"), ("streams.wr", "results"), ("readings.wr", "raw"),
           ("correction.json", "raw")]
TABLES = ["alerts", "results", "readings", "others", "streams", "corrections"]


def vector(name):
    with open(os.path.join(ROOT, "tests/vectors", name), "rb") as f:
        plain = f.read()
    return plain if plain[:1] == b"{" else zlib.compress(plain)


def line(lane, payload):
    return f"weir/site-a/{lane} {payload.hex()}\n"


def receive(db, lines):
    """The receipts that the example says after these lines."""
    done = subprocess.run([sys.executable, EXAMPLE, db], input="".join(lines), capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [json.loads(receipt) for receipt in done.stdout.splitlines()]


def held(db):
    with sqlite3.connect(db) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}


def before(lane, to):
    """A gap event for what came before the vectors."""
    gap = json.loads(vector("gap.json"))
    gap.update(source=f"urn:weir:{STORE}:{lane}", id=f"gap.1.{to}", sequence=f"{to:020}")
    gap["data"].update({"lane": lane, "from": 1, "to": to})
    return line(lane, json.dumps(gap).encode())


def vectors_in_any_order(place):
    lines = [line(lane, vector(name)) for name, lane in VECTORS]
    lines += [before("alerts", 16), before("results", 6), before("raw", 6)]
    with open(os.path.join(ROOT, "tests/vectors/receipt.json")) as f:
        published = json.load(f)
    chance, first = random.Random(1), None
    for round_ in range(20):
        order = lines + chance.choices(lines, k=8)
        chance.shuffle(order)
        receipts = receive(place.path(f"{round_}.db"), order)
        assert receipts[-1] == published, receipts[-1]
        now = held(place.path(f"{round_}.db"))
        first = first or now
        assert now == first, f"round {round_} ends in another state"
    alerts = {alert_id: (revision, state) for alert_id, revision, state, *_ in first["alerts"]}
    assert alerts == {"01J8Q4W3ZK5T8N2V6R0B7D1F9H": (3, "cleared"), "01J8Q4W3ZK5T8N2V6R0B7D1F9J": (1, "raised"),
                      "01J8Q4W3ZK5T8N2V6R0B7D1F9K": (1, "raised")}, alerts
    assert [len(first[table]) for table in TABLES] == [3, 2, 3, 1, 5, 1]
    north = {row[5]: row[7] for row in first["streams"] if row[2] == '["north", 3.0]'}
    assert north == {"count": 4, "mean": 1.1, "top": None}, first["streams"]
    assert ("0123456789abcdeffedcba9876543210", "pump7", "temp", 1790000000000, 1790000010000, 0, 3, 21.5, 21.0,
            22.0) in first["results"]
    assert [row[-1] for row in first["readings"]] == [21.5, 1, "idle"], first["readings"]
    assert first["corrections"] == [(STORE, "correction.43.1", "spend", '{"country": "DE", "first": true}', "shop3", "order",
                                     1789999200000, 1790000100000, 30, "2026-09-21T14:12:10.000Z", 30.5)], first["corrections"]


# --- a real run ---

CONFIG = """
clock: {{trust: system}}
sources:
  - name: plant
    url: mqtt://localhost:{plant}
    topics: ["t/{{device}}"]
    payload: {{readings: "", metric: /m, value: /v, time: /t, sequence: /n, unit: /u, fields: {{quality: /q}}}}
streams:
  - {{name: all, key: [device, metric], where: "metric != 'mode'", window: {{size: 1s}}, lateness: 5s,
     out_of_orderness: 500ms, idle: 1s, aggregates: [count, mean, min, max], early: 300ms,
     derive: [{{name: spread, of: max - min}}, {{name: growth, of: mean / previous(mean)}}],
     rules: [{{name: wide, when: spread > 90, observe: spread, clear_after: 0s, chatter: false}},
             {{name: full, when: count > 20, on: reading, severity: minor}}]}}
  - {{name: good, key: [quality, metric], where: "value > 3", window: {{type: hopping, size: 2s, slide: 500ms}},
     lateness: 5s, out_of_orderness: 5s, idle: 1s, keys: 20,
     aggregates: [count, sum(value) as sum, "top(device, 3) as busy", last(quality)]}}
  - {{name: modes, key: [device, value], where: "metric == 'mode'", window: {{size: 1s}}, lateness: 5s, out_of_orderness: 500ms,
     idle: 1s, aggregates: [count], late: side_output}}
commit: {{max_age: 100ms}}
window: {{size: 1s, lateness: 5s, out_of_orderness: 500ms, idle: 1s, slots: 9}}
usual: {{all: false}}
detectors: [{{type: limit, name: high, metric: level, high: 50, clear_after: 0s, chatter: false}}]
uplink:
  url: mqtt://localhost:{cloud}
  receipts: true
  receipt_timeout: 2s
  backoff_max: 1s
  raw: true
"""
MORE = "store: {disk_max: 8MiB, wal_max: 2MiB, ballast: 64KiB, results_share: 1, raw_share: 1}\n"


class Receiver:
    """The pipe of docs/examples/receiver.py, with a tee in it."""

    def __init__(self, place, port):
        self.place, self.port, self.parts = place, port, []
        self.lines = place.path("lines")

    def start(self):
        port, topics = str(self.port), [word for lane in ("alerts", "results", "raw")
                                        for word in ("-t", f"weir/gw-test/{lane}")]
        last = None
        for command in (["mosquitto_sub", "-p", port, "-q", "1", "-c", "-i", "cloud", "-F", "%t %x", *topics],
                        ["tee", "-a", self.lines], [sys.executable, EXAMPLE, self.place.path("cloud.db")],
                        ["mosquitto_pub", "-p", port, "-q", "1", "-r", "-l", "-t", "weir/gw-test/receipt"]):
            part = subprocess.Popen(command, stdin=last or subprocess.DEVNULL, stdout=subprocess.PIPE)
            if last:
                last.close()
            self.place.processes[f"{command[0]} of the receiver"] = part  # so that it ends with the place
            self.parts, last = self.parts + [part], part.stdout

    def kill(self):
        for part in self.parts:
            part.kill()
        for part in self.parts:
            part.wait()
            part.stdout.close()
        self.parts = []


def publish(place, port, rounds, first):
    """Each round is one message a device: a level that goes over its limit and back, and a state."""
    now = int(time.time() * 1000)
    for device in range(5):
        lines = ""
        for n in range(first, first + rounds):
            base = {"t": now + (n - first) * 20, "n": n, "q": "good"}
            lines += json.dumps([{**base, "m": "level", "v": 100.5 if n // 10 % 2 else n % 7 + 0.25, "u": "cm"},
                                 {**base, "m": "door", "v": n % 3 == 0},
                                 {**base, "m": "mode", "v": f"mode {n % 4}"}]) + "\n"
        subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", f"t/dev-{device}", "-l"],
                       input=lines.encode(), check=True, timeout=60)


def publish_late(port):
    """Of a device's modes, which only one stream takes: three that it counts, then five of two minutes before."""
    now = int(time.time() * 1000)
    times = [now - 2000, now - 1000, now] + [now - 120000 + 100 * n for n in range(5)]
    lines = "".join(json.dumps([{"t": t, "n": n, "m": "mode", "v": "late", "q": n}]) + "\n" for n, t in enumerate(times, 1))
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "t/dev-0b", "-l"], input=lines.encode(), check=True,
                   timeout=60)


def everything_covered(status):
    return all(lane["covered"] + 1 == lane["next"] for lane in status["lanes"].values()) and \
        status["lanes"]["results"]["next"] > 1 and status["ledger"]["pending"] == 0


def start(place, more=""):
    plant, cloud = place.start_broker("plant"), place.start_broker("cloud")
    place.write_config(CONFIG.format(plant=plant, cloud=cloud) + more)
    return plant, Receiver(place, cloud)


def check_readings(place, db):
    want = collections.Counter((r["device"], r["metric"], r["event_time_ms"], r["value"]) for r in place.readings())
    got = collections.Counter((r[3], r[4], r[5], bool(r[6]) if r[4] == "door" else r[6]) for r in db["readings"])
    assert got == want, f"{sum(got.values())} readings arrived, {sum(want.values())} are in the journal"
    return want


def check_results(want, db):
    windows = collections.defaultdict(list)
    for (device, metric, time_ms, value), count in want.items():
        if metric != "mode":
            windows[device, metric, time_ms // 1000 * 1000] += [float(value)] * count
    got = {(device, metric, start_ms): row for _, device, metric, start_ms, _, *row in db["results"]}
    assert got.keys() == windows.keys(), (len(got), len(windows))
    for key, values in windows.items():
        _, count, mean, least, most = got[key]
        assert (count, least, most) == (len(values), min(values), max(values)), (key, got[key], values)
        assert abs(mean - sum(values) / len(values)) < 1e-9, key
    return len(windows)


def streams_of(db, name):
    """{(key, start): {aggregate: value}}, of all windows that were told."""
    told = collections.defaultdict(dict)
    for _, stream, key, start_ms, _, aggregate, _, value in db["streams"]:
        if stream == name:
            told[(*json.loads(key), start_ms)][aggregate] = value
    return told


def check_streams(want, db):
    """One stream tells what the windows of series tell; the other is worked out from the readings."""
    got = {key: (v["count"], v["mean"], v["min"], v["max"]) for key, v in streams_of(db, "all").items()}
    windows = {(device, metric, start_ms): tuple(row) for _, device, metric, start_ms, _, _, *row in db["results"]}
    assert got.keys() == windows.keys(), (len(got), len(windows))
    for key, (count, mean, *extremes) in windows.items():
        assert got[key][0] == count and list(got[key][2:]) == extremes and abs(got[key][1] - mean) < 1e-9, key
    hops = collections.defaultdict(list)
    for (device, metric, time_ms, value), count in want.items():
        if not isinstance(value, str) and value > 3:
            for start_ms in range(time_ms // 500 * 500 - 1500, time_ms + 1, 500):
                hops["good", metric, start_ms] += [(device, value)] * count
    got = streams_of(db, "good")
    assert got.keys() == hops.keys(), (len(got), len(hops))
    for key, v in hops.items():
        often = sorted(collections.Counter(device for device, _ in v).items(), key=lambda told: (-told[1], told[0]))
        assert got[key] == {"count": len(v), "sum": sum(value for _, value in v), "last": "good",
                            "busy": " ".join(f"{device}:{count}" for device, count in often[:3])}, (key, got[key])
    return len(hops)


def check_streams_command(place, want):
    """What `weir streams` says, of readings and of how late they were."""
    streams = {s["name"]: s for s in map(json.loads, place.weir("streams", "--json").splitlines())}
    numbers = sum(count for (_, metric, _, _), count in want.items() if metric != "mode")
    assert streams["all"]["readings"] == numbers and streams["all"]["late"] == 0, streams["all"]
    assert streams["all"]["keys"] == 10 and streams["good"]["keys"] == 1, streams
    assert streams["all"]["lateness"][-1]["complete"] == 1, streams["all"]["lateness"]
    table = place.weir("streams", "lateness", "all")
    assert table.startswith("all: lateness 5 s") and "100.0000 %" in table, table
    assert "weir_stream_late_total{stream=\"good\"} 0" in place.get("/metrics")[1], "no metrics of streams"


def check_kept(place, db):
    """What may be asked for is what the receiver has been told: of every window the highest revision."""
    kept = [json.loads(line) for line in place.weir("streams", "results", "all", "--json").splitlines()]
    got = {(r["key"]["device"], r["key"]["metric"], r["start_ms"]): r["values"] for r in kept}
    assert len(got) == len(kept) > 30 and got == streams_of(db, "all"), (len(got), len(kept))
    assert [r["start_ms"] for r in kept] == sorted(r["start_ms"] for r in kept)
    newest = {}
    for r in kept:
        newest[tuple(r["key"].values())] = r
    latest = [json.loads(line) for line in place.weir("streams", "latest", "all", "--json").splitlines()]
    assert {tuple(r["key"].values()): r for r in latest} == newest and len(latest) == len(newest) == 10
    middle = kept[len(kept) // 2]["start"]
    some = place.weir("streams", "results", "all", "dev-3", "--from", middle, "--json").splitlines()
    assert some and [json.loads(line) for line in some] == \
        [r for r in kept if r["key"]["device"] == "dev-3" and r["start"] >= middle]
    assert len(place.weir("streams", "latest", "all").splitlines()) == 11
    assert place.weir("streams", "results", "all", "/" * 240, "/" * 240).strip() == "no results"  # 1,440 bytes escaped, and more
    pages, after = [], 0
    while after is not None:
        page = json.loads(place.get(f"/api/results?stream=all&max=7&after={after}&to={middle}")[1])
        assert len(page["results"]) <= 7
        pages, after = pages + page["results"], page["next"]
    assert pages == [r for r in kept if r["start"] < middle]
    assert [place.get(path)[0] for path in ("/api/results", "/api/results?stream=none", "/api/latest?stream=all&from=1",
                                            "/api/results?stream=all&from=noon", "/api/results?stream=all&after=7",
                                            "/api/latest?stream=all&after=12g4")] == [400, 404, 400, 400, 400, 400]


def check_corrections(place, status, db):
    """What was too late for a stream is in no window of it, and has come as corrections instead, each once."""
    late = [r for r in place.readings() if r["device"] == "dev-0b"]
    windows = [row for row in db["streams"] if row[1] == "modes" and json.loads(row[2])[0] == "dev-0b"]
    assert len(late) == 8 and sum(row[7] for row in windows) == 3, (len(late), windows)
    got = sorted((json.loads(key), device, start_ms, end_ms, count, time_, value)
                 for _, _, stream, key, device, _, start_ms, end_ms, count, time_, value in db["corrections"] if stream == "modes")
    want = [({"device": "dev-0b", "value": "late"}, "dev-0b", r["event_time_ms"] // 1000 * 1000,
             r["event_time_ms"] // 1000 * 1000 + 1000, 1, r["event_time"], "late") for r in late[3:]]
    assert [row[1:] for row in got] == [row[1:] for row in want] and all(row[0] == want[0][0] for row in got), (got, want)
    assert status["ledger"]["corrections"] == len(db["corrections"]) == 5, status["ledger"]
    assert "weir_corrections_total 5" in place.get("/metrics")[1]


def check_rules(place, db):
    """Each window that a rule is true of had an alert, and others had none; what was derived is what it is derived of."""
    kept = [json.loads(line) for line in place.weir("streams", "results", "all", "--json").splitlines()]
    assert all(r["values"]["spread"] == r["values"]["max"] - r["values"]["min"] for r in kept)
    assert any(r["values"]["growth"] is not None for r in kept) and all(r["kind"] != "early" for r in kept)
    wide = {r["key"]["device"] + "/" + r["key"]["metric"] for r in kept if r["values"]["spread"] > 90}
    told = collections.defaultdict(set)
    with sqlite3.connect(place.path("cloud.db")) as cloud:
        for device, rule in cloud.execute("SELECT device, rule FROM alerts WHERE metric = 'stream/all'"):
            told[rule].add(device)
    assert wide and told["wide"] == wide, (wide, dict(told))
    assert told["full"] == {"/".join(r["key"].values()) for r in kept if r["values"]["count"] > 20}, dict(told)
    early = json.loads(place.weir("streams", "--json").splitlines()[0])["early"]
    assert early > 0, "nothing was told early"


def check_schemas(lines):
    try:
        import jsonschema
    except ImportError:
        print("  python3-jsonschema is not installed: what was sent is not held against the schemas")
        return
    for text in sorted(set(lines)):
        payload = bytes.fromhex(text.split()[1])
        if payload[:1] == b"{":
            event = json.loads(payload)
            with open(os.path.join(ROOT, f"docs/schemas/{event['type'].split('.')[2]}.v1.json")) as f:
                jsonschema.Draft202012Validator(json.load(f)).validate(event)


def a_real_run(place):
    plant, receiver = start(place)
    receiver.start()
    place.start_gateway()
    place.wait_status("connected", lambda s: s["sources"][0]["connected"] and s["uplink"]["connected"])
    for round_ in range(4):
        publish(place, plant, 50, 1 + 50 * round_)
        if round_ == 1:  # what mosquitto_sub had taken and nobody applied comes again, by itself
            receiver.kill()
            publish(place, plant, 20, 1001)
            receiver.start()
        if round_ == 2:
            place.stop("gateway", 9)
            place.start_gateway()
            place.stop("cloud", 9)
            place.start_broker("cloud")
    publish_late(plant)
    time.sleep(8)  # idle, and over by the clock, less 5 s: the last windows close
    status = place.wait_status("everything covered", everything_covered, 60)
    receiver.kill()
    assert status["engine"]["late"] == 0, "a round came so late that its readings are in no window"
    db = held(place.path("cloud.db"))
    want = check_readings(place, db)
    windows, hops = check_results(want, db), check_streams(want, db)
    check_streams_command(place, want)
    check_kept(place, db)
    check_rules(place, db)
    check_corrections(place, status, db)
    alerts = {row[0]: row[1] for row in db["alerts"] if row[2] == "raised"}
    ours = {a["id"]: a["revision"] for a in map(json.loads, place.weir("alerts", "--json").splitlines())}
    assert alerts == ours, (alerts, ours)
    raised = status["engine"]["alerts_raised"]
    assert raised >= 50 and len(db["alerts"]) == raised, (raised, len(db["alerts"]))
    with open(receiver.lines) as f:
        lines = f.read().splitlines(keepends=True)
    check_schemas(lines)
    print(f"  {len(db['readings'])} readings, {windows} windows, {hops} of a stream, {raised} alerts in {len(lines)} messages")
    again = subprocess.run([WEIR, "replay", "--store", place.path("data/weir.db")], capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and again.stdout.startswith("identical"), again.stdout + again.stderr
    chance = random.Random(2)
    for round_ in range(3):
        order = lines + chance.choices(lines, k=len(lines) // 2)
        chance.shuffle(order)
        receipts = receive(place.path(f"again-{round_}.db"), order)
        assert receipts[-1]["lanes"] == {name: lane["covered"] for name, lane in status["lanes"].items()}
        assert held(place.path(f"again-{round_}.db")) == db, "another order ends in another state"


def what_was_evicted_leaves_a_gap(place):
    """The cloud is away until the lanes of results and raw readings are over their share."""
    plant, receiver = start(place, MORE)
    place.stop("cloud")
    place.start_gateway()
    place.wait_status("source connected", lambda s: s["sources"][0]["connected"])
    for round_ in range(60):
        publish(place, plant, 100, 1 + 100 * round_)
        lanes = place.status()["lanes"]
        if all(lanes[lane]["next"] - lanes[lane]["rows"] > 20 for lane in ("results", "raw")):
            break
    time.sleep(2)
    place.start_broker("cloud")
    receiver.start()
    status = place.wait_status("everything covered", everything_covered, 60)
    receiver.kill()
    with open(receiver.lines) as f:
        events = [json.loads(bytes.fromhex(text.split()[1])) for text in f if text.split()[1].startswith("7b")]
    gaps = collections.Counter(e["data"]["lane"] for e in events if e["type"] == "dev.weir.gap.v1")
    print(f"  gap events: {dict(gaps)}, covered: { {n: l['covered'] for n, l in status['lanes'].items()} }")
    assert gaps["results"] > 0 and gaps["raw"] > 0
    check_schemas(open(receiver.lines))


# --- the guide ---

def the_guide_s_sql_runs(place):
    with open(GUIDE) as f:
        blocks = re.findall(r"```sql\n(.*?)```", f.read(), re.S)
    assert len(blocks) >= 3, "docs/receiver.md has its tables, upserts and queries in ```sql blocks"
    db = sqlite3.connect(place.path("guide.db"))
    db.executescript(blocks[0])
    uncommented = re.sub(r"--.*", "", "".join(blocks[1:]))
    statements = [s.strip() for s in uncommented.split(";") if s.strip()]
    alert, result, raw = (next(s for s in statements if s.startswith(f"INSERT INTO {table}"))
                          for table in ("alerts", "results", "readings"))
    chance = random.Random(3)
    rows = [("A", r, "g", STORE, "cleared" if r == 9 else "raised", f"{{\"r\": {r}}}") for r in range(1, 10)]
    for _ in range(50):
        for row in chance.sample(rows, len(rows)):
            db.execute(alert, named(alert, row))
        assert db.execute("SELECT revision, state FROM alerts").fetchall() == [(9, "cleared")]
        db.execute("DELETE FROM alerts") if chance.random() < 0.5 else None
    for revision in (0, 2, 1, 2):
        db.execute(result, named(result, (STORE, "d", "m", 0, 10, revision, 5 + revision, 1.5, 1.0, 2.0)))
        db.execute(raw, named(raw, (STORE, 7, 1, "d", "m", 5, 1.5)))
    assert db.execute("SELECT revision, count FROM results").fetchall() == [(2, 7)]
    assert db.execute("SELECT count(*) FROM readings").fetchone() == (1,)
    arrivals(db, statements, chance)
    db.execute(next(s for s in statements if "'lost'" in s), {"1": "another store", "2": "g"})
    assert set(db.execute("SELECT state FROM alerts").fetchall()) <= {("cleared",), ("lost",)}
    db.close()


def arrivals(db, statements, chance):
    """The statements on `arrived`, in the order of the guide, against plain sets."""
    begin, note, covered, keep, forget, hole = (s for s in statements if "arrived" in s)
    for _ in range(30):
        lane, seen, rest = f"lane {chance.random()}", set(), list(range(1, 41))
        chance.shuffle(rest)
        db.execute(begin, named(begin, (STORE, lane)))
        while rest:
            first = rest.pop()
            last = min(40, first + chance.choice([0, 0, 0, 1, 5]))
            seen.update(range(first, last + 1))
            for _ in range(chance.choice([1, 2])):
                db.execute(note, named(note, (STORE, lane, first, last)))
            want = next(n for n in range(42) if n + 1 not in seen)
            got, = db.execute(covered, named(covered, (STORE, lane))).fetchone()
            assert got == want, (got, want, seen)
            db.execute(keep, named(keep, (STORE, lane, want)))
            db.execute(forget, named(forget, (STORE, lane, want)))
            ahead = min((n for n in seen if n > want), default=None)
            assert db.execute(hole, named(hole, (STORE, lane, want))).fetchone() == (ahead and ahead - 1,)
        assert db.execute("SELECT first, last FROM arrived WHERE lane = ?", (lane,)).fetchall() == [(0, 40)]


def named(statement, values):
    count = max(map(int, re.findall(r"\$(\d+)", statement)), default=0)
    assert count <= len(values), f"{statement} wants {count} values"
    return {str(i + 1): value for i, value in enumerate(values[:count])}


CASES = [vectors_in_any_order, the_guide_s_sql_runs, a_real_run, what_was_evicted_leaves_a_gap]


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub", "tee")
    return run_cases(CASES)


sys.exit(main())
