#!/usr/bin/env python3
"""Goal: `weir replay` says of a store's journal that it comes to the same, or where it does not; beside a gateway that
runs, without a trace in its directory. Method: the real gateway behind a broker; its store, or a spoilt copy of it, is
replayed while it runs and after it has stopped."""
import collections
import contextlib
import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, replay, replay_json, run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
sources:
  - name: plant
    url: mqtt://127.0.0.1:{port}
    topics: [all]
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
clock: {{trust: system}}
window: {{size: 1s, lateness: 0s, out_of_orderness: 0s}}
commit: {{max_age: 100ms}}
detectors: [{{type: limit, name: high, metric: "*", high: {high}, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s, chatter: false}}]
streams:
  - {{name: last, key: [device], window: {{type: sliding, last: 3}}, aggregates: [count, sum, "top(value, 2)"]}}
  - {{name: span, key: [metric], window: {{type: sliding, span: 5s, every: 1s}}, out_of_orderness: 0s}}
"""
DEVICES = 10


class Site:
    def __init__(self, place, high=50):
        self.place, self.sent = place, 0
        self.port = place.start_broker("plant")
        self.base = int(time.time() * 1000) - 3600000
        self.configure(high)
        self.store = place.path("data", "weir.db")

    def configure(self, high):
        self.place.write_config(CONFIG.format(port=self.port, high=high))

    def start(self):
        self.place.start_gateway()
        self.place.wait_status("connected", lambda s: s["sources"][0]["connected"])

    def publish(self, rounds):
        """A second of event time each; the value goes up to 90 in steps of ten and begins again."""
        lines = []
        for _ in range(rounds):
            self.sent += 1
            lines.append(json.dumps([{"d": f"dev-{i}", "m": "level", "v": (self.sent * (i + 1)) % 10 * 10,
                                      "t": self.base + self.sent * 1000, "n": self.sent} for i in range(DEVICES)]))
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", "all", "-l"],
                       input="\n".join(lines).encode() + b"\n", check=True, timeout=60)
        self.place.wait_status("stored", lambda s: s["ledger"]["stored"] == self.sent * DEVICES)


def beside_a_gateway_that_runs(place):
    site = Site(place)
    site.start()
    site.publish(40)
    before = sorted(os.listdir(place.path("data")))
    os.environ["TMPDIR"], os.environ["WEIR_CONFIG"] = place.path("tmp"), place.config
    os.mkdir(place.path("tmp"))
    report = replay_json("--store", site.store)
    assert report["verdict"] == "identical" and report["readings"] == 40 * DEVICES, report
    assert report["alerts"] > 20 and report["results"] > 100 and report["blocks"]["untold"] == 0, report
    assert sorted(os.listdir(place.path("data"))) == before and os.listdir(place.path("tmp")) == []
    text = replay().stdout  # the store by the gateway's configuration
    assert text.startswith(f"identical: {report['alerts']} alerts and {report['results']} results"), text
    site.publish(5)  # the gateway did not notice
    assert place.status()["health"] == "good", place.status()["health"]
    assert place.stop("gateway") == 0
    site.start()  # from its checkpoint, with nothing in the way
    site.publish(5)
    place.stop("gateway", 9)
    report = replay_json("--store", site.store)
    assert report["verdict"] == "identical" and report["readings"] == 50 * DEVICES, report


def a_range_of_time(place):
    """From a moment on: from the checkpoint before it, or the first block; up to a moment."""
    site = Site(place)
    site.start()
    site.publish(20)
    middle = time.time()
    time.sleep(0.3)
    site.publish(20)
    whole = replay_json("--store", site.store)
    late = replay_json("--store", site.store, "--from", str(middle))
    early = replay_json("--store", site.store, "--to", str(middle))
    assert whole["verdict"] == late["verdict"] == early["verdict"] == "identical"
    assert late["blocks"]["first"] == early["blocks"]["last"] + 1 and late["checkpoint_block"] == 0
    assert late["alerts"] + early["alerts"] == whole["alerts"] and 0 < early["alerts"] < whole["alerts"]
    assert late["readings"] == whole["readings"], "those before are what is known"
    assert early["readings"] == 20 * DEVICES
    assert late["before"]["blocks"] > 0 and late["before"]["alerts"] == early["alerts"], late
    assert early["before"]["blocks"] == whole["before"]["blocks"] == 0, (early, whole)
    assert place.stop("gateway") == 0  # with a checkpoint
    site.configure(30)
    site.start()
    again = time.time()
    time.sleep(0.3)
    site.publish(20)
    report = replay_json("--store", site.store, "--from", str(again))
    assert report["verdict"] == "identical" and report["checkpoint_block"] > 0, report
    assert report["readings"] == 20 * DEVICES and report["alerts"] > 10, report
    # Where the first blocks are gone, and no checkpoint is old enough, it warms up with what is left.
    place.stop("gateway")
    cut = place.path("cut.db")
    shutil.copy(site.store, cut)
    with contextlib.closing(sqlite3.connect(cut)) as db:
        db.execute("DELETE FROM journal WHERE id <= ?", (report["checkpoint_block"],))
        db.commit()
    held = replay_json("--store", cut, "--from", str(again))  # the checkpoint says what was in force
    assert held["verdict"] == "identical" and held["checkpoint_block"] == report["checkpoint_block"], held
    os.environ["WEIR_CONFIG"] = place.config
    marked = replay_json("--store", cut, "--from", str(middle), "--out", place.path("marked"), code=1)
    assert marked["verdict"] == "nothing to compare" and marked["warmup"]["blocks"] > 0, marked
    assert marked["warmup"]["first_block"] == report["checkpoint_block"] + 1 and marked["checkpoint_block"] == 0, marked
    assert marked["warmup"]["alerts"] > 10 and abs(marked["warmup"]["until_ms"] / 1000 - 7 * 86400 - again) < 30, (marked, again)
    with open(place.path("marked"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert len(lines) > 10 and all(line["warmup"] is True for line in lines), lines[:3]
    text = replay("--store", cut, "--from", str(middle), code=1).stdout
    assert "no checkpoint at or before --from is held" in text and "a shorter --warmup" in text, text
    short = json.loads(subprocess.run([WEIR, "replay", "--store", cut, "--from", str(middle), "--warmup", "1ms", "--json"],
                                      capture_output=True, text=True, timeout=60, check=False).stdout)
    assert short["blocks"]["same"] + short["blocks"]["different"] > 1, short
    assert replay_json("--store", cut)["verdict"] == "identical"
    slow = replay_json("--store", site.store, "--speed", "2")
    assert slow["verdict"] == "identical" and slow["seconds"] > 0.2, slow


def event_time_and_arrival(place):
    """Where the devices send no time both are one; where they send half a minute's readings at once they are far apart."""
    site = Site(place)
    site.start()
    lines = [json.dumps([{"d": f"dev-{i}", "m": "level", "v": n, "n": n} for i in range(DEVICES)]) for n in range(1, 21)]
    for some in (lines[:10], lines[10:]):  # the second ends the window of the first
        subprocess.run(["mosquitto_pub", "-p", str(site.port), "-q", "1", "-t", "all", "-l"],
                       input="\n".join(some).encode() + b"\n", check=True, timeout=60)
        time.sleep(1.1)
    place.wait_status("stored", lambda s: s["ledger"]["stored"] == 20 * DEVICES)
    same = replay_json("--store", site.store, "--time", "arrival", "--compare")
    assert same["readings"] > 0 and same["readings_in_another_window"] == 0, same
    assert same["results"]["moved"] == same["results"]["only_so"] == same["results"]["only_otherwise"] == 0, same
    middle = time.time()
    site.sent, site.base = 20, int(middle * 1000)  # after all that came, and not too far ahead
    site.publish(30)
    place.stop("gateway")
    apart = replay_json("--store", site.store, "--from", str(middle), "--time", "arrival", "--compare", code=3)
    assert apart["time"] == "arrival" and apart["results"]["only_otherwise"] > 20 * DEVICES, apart
    back = replay_json("--store", site.store, "--from", str(middle), "--time", "event", "--compare", code=3)
    assert back["results"]["only_so"] == apart["results"]["only_otherwise"], (back, apart)
    assert apart["readings_in_another_window"] == back["readings_in_another_window"] > 20 * DEVICES, (back, apart)
    assert back["readings_in_another_window"] <= back["readings"] == apart["readings"], (back, apart)
    assert back["results"]["only_otherwise"] == apart["results"]["only_so"] < back["results"]["only_so"], (back, apart)
    text = replay("--store", site.store, "--time", "arrival", "--compare", code=3).stdout
    assert "readings in another window:" in text, text
    print(text, end="")
    assert "go together" in replay("--store", site.store, "--time", "arrival", code=2).stderr


DAY_MS, WINDOW_MS = 86400000, 600000


def a_days_readings(chance, base):
    """(arrival, event, device, value), as they arrive: some seconds after they were measured, some of them many minutes; half of
    the devices can't send for two hours and send it all at once afterwards, one of them the newest first."""
    readings = []
    for device in range(20):
        for n in range(DAY_MS // 60000):
            event = base + n * 60000 + chance.randrange(60000)
            arrival = event + int(chance.expovariate(1 / 15000)) + (chance.randrange(30 * 60000) if chance.random() < 0.02 else 0)
            cut_off = base + 3 * 3600000, base + 5 * 3600000
            if device < 10 and cut_off[0] <= arrival < cut_off[1]:
                arrival = cut_off[1] + (n if device > 0 else 1000 - n)
            readings.append((arrival, event, f"dev-{device:02}", n + device / 100))
    return sorted(readings)


def windows_of(readings, by):
    """The readings in each window, by arrival (0) or event time (1)."""
    windows = collections.defaultdict(list)
    for reading in readings:
        windows[reading[2], reading[by] - reading[by] % WINDOW_MS].append(reading)
    return windows


def told_windows(path, device):
    """How many readings each window had in its last revision."""
    counts = {}
    with open(path) as f:
        for line in map(json.loads, f):
            if line["type"] == "window" and line["device"].startswith(device):
                counts[line["device"], line["start_ms"]] = line["count"]
    return counts


def event_time_and_arrival_over_a_day(place):
    """Windows by event time hold what was measured in them, whenever it came; windows by arrival do not, and `--compare` says by
    how many readings. The oracle adds up what was generated."""
    base, chance = 1790000400000, random.Random(int(os.environ.get("SEED", "1")))
    place.write_config("clock: {trust: system}\nsources: [{name: plant, url: mqtt://127.0.0.1:1, topics: ['t/{device}/{metric}']}]\n"
                       "window: {size: 10m, lateness: 5h, out_of_orderness: 30s, idle: 10m, slots: 48}\nusual: {all: false}\n"
                       "alerts: {storm: 0}\n")
    readings = a_days_readings(chance, base)
    with open(place.config, "rb") as f:
        text = f.read()
    first = {"block": 1, "kind": "config", "t_ms": 0, "digest": hashlib.sha256(text).hexdigest(), "store_id": "5" * 32,
             "content": text.decode()}
    with open(place.path("day.jsonl"), "w") as f:
        f.write(json.dumps(first) + "\n")
        f.write(json.dumps({"block": 1, "kind": "clock", "t_ms": 0, "offset_ms": base, "state": "synced", "boot": 1}) + "\n")
        end = readings[-1][0] + 3600000  # all windows have been told by then
        for i, (arrival, event, device, value) in enumerate(readings + [(end, end, "end", 0)]):
            f.write(json.dumps({"block": 2 + i // 2000, "kind": "reading", "t_ms": arrival - base, "source": "plant",
                                "device": device, "metric": "level", "value": value, "event_time_ms": event,
                                "time_source": "device", "device_time_ms": event, "index": 0}) + "\n")
    done = subprocess.run([WEIR, "import", place.path("day.jsonl"), "--store", place.path("day.db")], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    by_arrival, by_event = windows_of(readings, 0), windows_of(readings, 1)
    keys = by_arrival.keys() | by_event.keys()
    report = replay_json("--store", place.path("day.db"), "--time", "event", "--compare", code=3)
    print(report)
    apart = sum(max(0, len(by_event[key]) - len(by_arrival[key])) for key in keys)
    assert report["readings"] == len(readings) and report["readings_in_another_window"] == apart, (report, apart)
    assert report["results"]["only_so"] == sum(not by_arrival[key] for key in keys), report
    assert report["results"]["only_otherwise"] == sum(not by_event[key] for key in keys), report
    same = [key for key in keys if by_event[key] == by_arrival[key] and all(
        end(by_event[key], key=lambda r: r[1]) == end(by_event[key]) for end in (min, max))]  # first and last, too
    assert report["results"]["same"] == len(same), (report, len(same))
    assert apart > len(readings) / 20, "a day on which nothing was late shows nothing"
    replay("--store", place.path("day.db"), "--config", place.config, "--out", place.path("said.jsonl"))
    assert told_windows(place.path("said.jsonl"), "dev-") == {key: len(by_event[key]) for key in keys if by_event[key]}


def what_is_different_is_shown(place):
    """A block that says that it made something else; and one that can't be read."""
    site = Site(place)
    site.start()
    site.publish(2)
    site.publish(18)  # in another block
    place.stop("gateway")
    spoilt = place.path("spoilt.db")
    shutil.copy(site.store, spoilt)
    with contextlib.closing(sqlite3.connect(spoilt)) as db:  # a whole block is gone: its readings are missing
        block, = db.execute("SELECT id FROM journal WHERE readings > 0 AND id < 1000000 ORDER BY id LIMIT 1").fetchone()
        db.execute("DELETE FROM journal WHERE id = ?", (block,))
        db.commit()
    report = replay_json("--store", spoilt, code=3)
    assert report["verdict"] == "different" and report["first_difference"]["block"] > block, report
    text = replay("--store", spoilt, code=3).stdout
    assert text.startswith("different:") and f"in block {report['first_difference']['block']} " in text, text
    with contextlib.closing(sqlite3.connect(spoilt)) as db:
        block, content = db.execute("SELECT id, bytes FROM journal WHERE readings > 0 ORDER BY id LIMIT 1").fetchone()
        content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        db.execute("UPDATE journal SET bytes = ? WHERE id = ?", (content, block))
        db.commit()
    assert f"journal block {block}" in replay("--store", spoilt, code=1).stderr
    with open(place.path("junk.db"), "wb") as f:
        f.write(b"\xa5" * 20000)
    for wrong in (("--store", place.path("none.db")), ("--store", place.path("junk.db"))):
        assert "weir: " in replay(*wrong, code=1).stderr
    for wrong in (("--from", "noon"), ("--speed", "0"), ("--from", "2026-01-02", "--to", "2026-01-01"), ("--what",)):
        replay("--store", site.store, *wrong, code=2)
    os.environ["WEIR_CONFIG"] = place.path("none.yaml")
    assert "--store" in replay(code=78).stderr


def alerts_of(out):
    """What `--out` of a replay as it was says: the live run's own alerts, from onset to end, but for their ids."""
    found = {}
    with open(out) as f:
        for event in map(json.loads, f):
            if event["type"] != "dev.weir.alert.v1":
                continue
            data = event["data"]
            alert = found.setdefault(data["alert_id"], {"cleared": None})
            if data["transition"] == "cleared":
                alert["cleared"] = event["time"]
            else:
                alert.setdefault("raised", event["time"])
                alert.update(rule=data["rule"], device=data["device"], metric=data["metric"], onset=data["onset"])
    return list(found.values())


def expected_changes(old, new):
    """Of two live runs: alerts of one series that overlap in event time are one; else they come or go."""
    changes, left = [], list(new)
    for a in old:
        same = [b for b in left if (a["rule"], a["device"], a["metric"]) == (b["rule"], b["device"], b["metric"])
                and (a["cleared"] is None or a["cleared"] >= b["onset"])
                and (b["cleared"] is None or b["cleared"] >= a["onset"])]
        if not same:
            changes.append(("vanishes", a["device"], a["onset"]))
            continue
        left.remove(same[0])
        if any(a[name] != same[0][name] for name in ("onset", "raised", "cleared")):
            changes.append(("moves", a["device"], same[0]["onset"]))
    return sorted(changes + [("appears", b["device"], b["onset"]) for b in left])


def live_run(place, high, rounds):
    """A gateway of its own with that limit; its store, and what it said."""
    site = Site(place, high)
    site.base = 1790000000000
    site.start()
    for _ in range(4):
        site.publish(rounds // 4)
    place.stop("gateway")
    out = place.path("said.jsonl")
    assert replay_json("--store", site.store, "--out", out)["verdict"] == "identical"
    return site, alerts_of(out)


def another_configuration(place):
    """A changed limit: the diff names exactly the alerts that differ between two gateways that lived with either."""
    site, old = live_run(place, 50, 80)
    with Place() as other:
        other_site, new = live_run(other, 70, 80)
        assert len(old) > 100 and len(new) > 50, (len(old), len(new))
        shutil.copy(other.config, place.path("new.yaml"))
    report = replay_json("--store", site.store, "--config", place.path("new.yaml"), code=3)
    changes = sorted((c["change"], c["device"], (c["now"] or c["then"])["onset"]) for c in report["alerts"])
    expected = expected_changes(old, new)
    assert changes == expected, [c for c in changes + expected if (c in changes) != (c in expected)][:5]
    counts = report["alert_counts"]
    assert counts["same"] + counts["vanishes"] + counts["moves"] == len(old), counts
    assert counts["same"] + counts["appears"] + counts["moves"] == len(new), counts
    assert report["results"] == [] and report["result_counts"]["same"] > 100, report["result_counts"]
    by_device = {(g["rule"], g["device"]): g for g in report["by_rule_and_device"]}
    assert sum(g["vanishes"] for g in by_device.values()) == counts["vanishes"] > 0, by_device
    text = replay("--store", site.store, "--config", place.path("new.yaml"), code=3).stdout
    assert f"{counts['same']} the same, {counts['appears']} would appear" in text and "vanishes" in text, text
    same = replay_json("--store", site.store, "--config", place.config)
    assert same["alerts"] == same["results"] == [] and same["alert_counts"]["same"] == len(old), same
    site.configure(50)  # another window: every result is another, no alert
    with open(place.config) as f:
        wider = f.read().replace("size: 1s", "size: 2s")
    with open(place.path("new.yaml"), "w") as f:
        f.write(wider)
    report = replay_json("--store", site.store, "--config", place.path("new.yaml"), code=3)
    assert report["alerts"] == [] and report["result_counts"]["same"] == 0, report["alert_counts"]
    assert report["result_counts"]["vanishes"] > report["result_counts"]["appears"] > 50, report["result_counts"]
    # Fewer series than there are: the rest is rejected, and it says so.
    with open(place.path("new.yaml"), "w") as f:
        f.write(wider.replace("size: 2s", "size: 1s") + "limits: {devices: 4, series: 4}\n")
    report = replay_json("--store", site.store, "--config", place.path("new.yaml"), code=3)
    assert report["rejected"] == 80 * 6 and report["alert_counts"]["vanishes"] > 50, report["rejected"]
    with open(place.path("new.yaml"), "a") as f:
        f.write("detectors: [{type: nonsense}]\n")
    assert "nonsense" in replay("--store", site.store, "--config", place.path("new.yaml"), code=78).stderr


def streams_of(out):
    """What each window of a stream was told last, but for the blocks, which a file has not."""
    found = {}
    with open(out) as f:
        for line in map(json.loads, f):
            if line["type"] == "stream":
                found[line["stream"], json.dumps(line["key"]), line["start_ms"], line["end_ms"]] = line["values"]
    return found


def recorded_files(place):
    """The same readings from a file, without a gateway and its store, come to the same alerts."""
    site = Site(place)
    site.start()
    site.publish(60)
    said = place.path("said.jsonl")
    assert replay_json("--store", site.store, "--out", said)["verdict"] == "identical"
    live = sorted((a["device"], a["onset"], a["raised"], a["cleared"]) for a in alerts_of(said))
    for name, arguments in (("day.jsonl", ()), ("day.csv", ("--format", "csv"))):
        with open(place.path(name), "w") as f:
            f.write(place.weir("export", *arguments))
        report = replay_json(place.path(name), "--config", place.config, "--out", place.path("file.jsonl"))
        assert streams_of(place.path("file.jsonl")) == streams_of(said) != {}, name
        assert report["readings"] == 60 * DEVICES and report["rejected"] == {}, report
        found = sorted((c["device"], c["now"]["onset"], c["now"]["raised"], c["now"]["cleared"])
                       for c in report["alerts"])
        assert found == live and len(live) > 100, (name, len(found), len(live))
    place.stop("gateway")
    with open(place.path("engine.csv"), "w") as f:
        f.write("time,value\n" + "".join(f"2026-01-01 {i // 60:02}:{i % 60:02}:00,{20 + i % 3}\n" for i in range(600)))
        f.write("2026-01-01T10:00:00Z,900\n2026-01-01T10:01:00Z,20\n2026-01-01T10:01:00Z,20\n")
    done = replay(place.path("engine.csv"), "--progress")  # by the usual detectors, as a device of the file's name
    assert "engine" in done.stdout and "baseline" in done.stdout and "603 readings" in done.stdout, done.stdout
    out = place.path("made.jsonl")
    replay(place.path("engine.csv"), "--out", out)
    with open(out) as f:
        kinds = {json.loads(line)["type"] for line in f}
    assert kinds == {"window", "dev.weir.alert.v1"}, kinds
    for name, text, what in (("a.csv", "time,value\n2026-01-01T00:00:00Z,1\nnoon,2\n", ":3: want a time"),
                             ("b.jsonl", '{"time": 1, "value": 2}\n{"time": 1}\n', ":2: want a value"),
                             ("c.jsonl", '{"time": 1, "value": 2}\n{"time": ', ":2: want a JSON object"),
                             ("d.jsonl", '{"time": 1, "value": 1e300}\n', ":1: want a number within"),
                             ("e.csv", "time,value\n", "no reading")):
        with open(place.path(name), "w") as f:
            f.write(text)
        assert what in replay(place.path(name), code=1).stderr, name
    replay(place.path("none.csv"), code=1)


def journal_of(store):
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT id, t, readings, bytes FROM journal WHERE id < 4611686018427387904 ORDER BY id").fetchall()


def there_and_back(place):
    """An export, imported, is the same journal to the bit, and comes to the same alerts; whatever is in it."""
    site = Site(place)
    with open(place.config) as f:
        text = f.read().replace("sequence: /n}", "sequence: /n, fields: {lot: /lot, ok: /ok, size: /size}}")
    with open(place.config, "w") as f:
        f.write(text + "# \u00e4 \"comment\"\t\\n\n")
    site.start()
    site.publish(31)
    odd = [{"d": "d\u00e9j\u00e0 \"vu\"", "m": "te,xt", "v": "a \\ \"b\" \u20ac", "t": site.base, "n": 9, "lot": "A\t1", "ok": True,
            "size": 1e-7}, {"d": "plain", "m": "flag", "v": False}, {"d": "plain", "m": "tiny", "v": -0.1, "n": 1 << 53}]
    bad = [{"d": "plain", "m": "x", "v": 1e200, "t": site.base}]
    for message in (odd, bad):
        subprocess.run(["mosquitto_pub", "-p", str(site.port), "-q", "1", "-t", "all", "-m", json.dumps(message)], check=True)
    place.wait_status("all are in", lambda s: s["ledger"]["received"] == 31 * DEVICES + 4)
    place.stop("gateway", 9)
    site.start()
    alert = json.loads(place.weir("alerts", "--json").splitlines()[0])["id"]
    place.weir("alerts", "ack", alert)
    time.sleep(0.4)
    stored = place.status()["ledger"]["stored"]
    assert stored > 31 * DEVICES, stored
    with open(place.path("day.jsonl"), "w") as f:
        f.write(place.weir("export"))
    place.stop("gateway", 9)
    done = subprocess.run([WEIR, "import", place.path("day.jsonl"), "--store", place.path("copy.db")], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and f"{stored} readings" in done.stdout, done.stdout + done.stderr
    dry = subprocess.run([WEIR, "import", place.path("day.jsonl"), "--dry-run"], capture_output=True, text=True, timeout=60)
    assert dry.returncode == 0 and f"{stored} readings; nothing was written" in dry.stdout, dry.stdout + dry.stderr
    original, copy = journal_of(site.store), journal_of(place.path("copy.db"))
    assert [row[0] for row in original] == [row[0] for row in copy]
    assert [row[3] for row in original] == [row[3] for row in copy], "the same bits"
    report = replay_json("--store", place.path("copy.db"))
    assert report["verdict"] == "identical" and report["blocks"]["untold"] == 0, report
    assert report == {**replay_json("--store", site.store), **{key: report[key] for key in (
        "seconds", "core_seconds", "readings_per_second")}}
    with open(place.path("day.jsonl")) as f:
        lines = f.readlines()
    for name, content, what in (("late", lines[1:], ":1: its source is not"), ("junk", lines[:2] + ["{"], ":3: want a JSON"),
                                ("old", [lines[0].replace('"content"', '"contents"')], ":1: a configuration lacks"),
                                ("back", lines[:1] + ['{"block":1,"kind":"shed","t_ms":-5,"count":0}'], ":2: it is out of order"),
                                ("wild", lines[:1] + ['{"block":1,"kind":"shed","t_ms":5,"count":77}'], ":2: it is out of order"),
                                ("far", lines[:1] + ['{"block":1,"kind":"clock","t_ms":5,"offset_ms":9e18,"state":"synced","boot":1}'
                                                     .replace("9e18", "9" * 18)], ":2: it is out of order"),
                                ("none", [], "nothing in it")):
        with open(place.path(name), "w") as f:
            f.writelines(content)
        done = subprocess.run([WEIR, "import", place.path(name), "--store", place.path(name + ".db")], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 1 and what in done.stderr, (name, done.stderr)
    again = subprocess.run([WEIR, "import", place.path("day.jsonl"), "--store", place.path("copy.db")], capture_output=True)
    assert again.returncode == 1 and b"there already" in again.stderr


def csv_there_and_back(place):
    """An export as CSV, imported and exported again, has the same rows, but for their places among records that CSV has not."""
    site = Site(place)
    with open(place.config) as f:
        text = f.read().replace("sequence: /n}", "sequence: /n, unit: /u, fields: {lot: /lot, ok: /ok, size: /size}}")
    with open(place.config, "w") as f:
        f.write(text)
    site.start()
    site.publish(31)
    odd = [{"d": "d\u00e9j\u00e0 \"vu\"", "m": "te,xt", "v": "a\n\\ \"b\",\r\n\u20ac", "t": site.base, "n": 9, "lot": "A,\t1", "ok": True,
            "size": 1e-7}, {"d": "plain", "m": "flag", "v": False, "u": "m/s"}, {"d": "plain", "m": "tiny", "v": -0.1, "n": (1 << 53) - 1},
           {"d": "plain", "m": "word", "v": "0x10"}, {"d": "plain", "m": "sum", "v": 0.1 + 0.2, "t": site.base + 7}]
    subprocess.run(["mosquitto_pub", "-p", str(site.port), "-q", "1", "-t", "all", "-m", json.dumps(odd)], check=True)
    place.wait_status("all are in", lambda s: s["ledger"]["stored"] == 31 * DEVICES + 5)
    day, copy = place.path("day.csv"), place.path("copy.db")
    with open(day, "w", newline="") as f:
        f.write(csv_of(place))
    place.stop("gateway")
    said = place.path("said.jsonl")
    assert replay_json("--store", site.store, "--out", said)["verdict"] == "identical"

    def imported(*arguments, code=0, file=day):
        done = subprocess.run([WEIR, "import", file, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (arguments, done.stdout + done.stderr)
        return done.stdout + done.stderr

    assert f"{31 * DEVICES + 5} readings; nothing was written" in imported("--config", place.config, "--dry-run")
    assert f"{31 * DEVICES + 5} readings\n" in imported("--config", place.config, "--store", copy)
    assert "there already" in imported("--config", place.config, "--store", copy, code=1)
    live = len(alerts_of(said))
    assert replay_json("--store", copy, "--config", place.config)["alert_counts"]["same"] == live > 50, live
    with open(place.config) as f:
        text = f.read()
    with open(place.path("new.yaml"), "w") as f:
        f.write(text.replace("high: 50", "high: 70"))
    assert replay_json("--store", copy, "--config", place.path("new.yaml"), code=3)["alert_counts"]["vanishes"] > 10
    with Place() as other:
        os.makedirs(other.path("data"))
        shutil.copy(copy, other.path("data", "weir.db"))
        port = other.start_broker("plant")
        other.write_config(re.sub(r"127.0.0.1:[0-9]+", f"127.0.0.1:{port}", text[text.index("sources:"):]))
        other.start_gateway()
        rows, back = (list(csv.DictReader(io.StringIO(text, newline=""))) for text in (csv_of(place, day), csv_of(other)))
    assert len(rows) == 31 * DEVICES + 5 and rows[0].keys() == back[0].keys()
    for row in rows + back:
        del row["position"]
    assert rows == back, [pair for pair in zip(rows, back) if pair[0] != pair[1]][:2]
    imported("--store", place.path("no.db"), code=2)
    imported("--dry-run", "--config", place.path("none.yaml"), code=78)
    with open(day, newline="") as f:
        head, first, *_ = f.read().split("\n")
    wrong = place.path("wrong.csv")
    for content, what in (("time,value\n1,2\n", ":1: want the columns of `weir export"), (head + "\n", "nothing in it"),
                          (head + "\n" + first + "\n1,2\n", ":3: want as many cells"),
                          (head + "\n" + first.replace(",plant,", ",mill,"), ":2: its source is not"),
                          (head + "\n" + first.replace(",plant,", ',"pl'), ":2: want a closing quote"),
                          (head + "\n\n" + re.sub(r",device,[0-9]+,", ",device,-4,", first), ":3: want a sequence"),
                          (head + "\n" + first + "\n" + "1" + first[first.index(","):], ":3: blocks only grow"),
                          (head + "\n" + first.replace(",dev-", "," + "x" * 65), ":2: want names of device"),
                          (head + "\n" + first.replace(",level,", ',"le\nvel",'), ":2: want names of device"),
                          (head + "\n" + re.sub(r"level,[^,]*,", 'level,"a\n,b",', first) + "\n7", ":4: want as many"),
                          (head + "\n" + first.replace(",device,", ",guessed,"), ":2: a reading lacks its"),
                          (head + "\n" + re.sub(r"level,[^,]*,", "level,1e300,", first), ":2: it is out of order, or holds")):
        with open(wrong, "w", newline="") as f:
            f.write(content)
        assert what in imported("--config", place.config, "--dry-run", code=1, file=wrong), (what, content)


def csv_of(place, path=None):
    """As bytes have it: line ends inside of cells are not translated."""
    if path is not None:
        with open(path, newline="") as f:
            return f.read()
    return subprocess.run([WEIR, "export", "--format", "csv", "-s", place.socket], capture_output=True, check=True,
                          timeout=60).stdout.decode()


CASES = [beside_a_gateway_that_runs, a_range_of_time, event_time_and_arrival, event_time_and_arrival_over_a_day, what_is_different_is_shown, another_configuration,
         recorded_files, there_and_back, csv_there_and_back]


def main():
    skip_without("mosquitto", "mosquitto_pub")
    return run_cases(CASES)


sys.exit(main())
