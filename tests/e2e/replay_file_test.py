#!/usr/bin/env python3
"""Goal: a recorded file gives what the readings in it are: their further fields too, in whatever form they stand there; each
arrives when the file says so, or when it was made, whenever the gateway that wrote it stood still; and --from and --to hold.
Method: the same readings as CSV and JSON Lines of several shapes; the windows are added up here, without Weir."""
import collections
import csv
import datetime
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, replay, replay_json, run_cases  # noqa: E402

BASE, ZONES, END = 1795800000000, ("north", "s\u00fcd", "01", "ea\"st, \U0001f600"), 3600000
COMMON = """clock: {trust: system}
window: {size: 10s, lateness: 0s, out_of_orderness: 0s}
usual: {all: false}
alerts: {storm: 0}
"""
TEXT = COMMON + """sources:
  - name: other
    url: mqtt://127.0.0.1:1
    topics: ['o/{device}/{metric}']
    payload: {value: /v, fields: {load: /l}}
  - name: plant
    url: mqtt://127.0.0.1:1
    topics: ['t/{device}/{metric}']
    payload: {value: /v, fields: {load: /l, zone: /z, ok: /ok}}
streams:
  - name: totals
    key: [zone]
    where: ok
    window: {type: tumbling, size: 10s}
    out_of_orderness: 0s
    lateness: 1m
    aggregates: [count, sum, sum(load) as loaded]
"""
SIMPLE = COMMON + """sources: [{name: plant, url: mqtt://127.0.0.1:1, topics: ['t/{device}/{metric}']}]
streams:
  - {name: each, key: [device], window: {type: tumbling, size: 10s}, out_of_orderness: 0s, lateness: 1m, aggregates: [count]}
"""


def write(place, name, text):
    with open(place.path(name), "w", encoding="utf-8", newline="") as f:
        f.write(text)
    return place.path(name)


def told(path, stream):
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in map(json.loads, f):
            if line["type"] == "stream" and line["stream"] == stream:
                found[(*line["key"].values(), line["start_ms"])] = tuple(line["values"].values())
    return found


def lines(found):
    return "".join(json.dumps(line) + "\n" for line in found)


def iso(event):
    return datetime.datetime.fromtimestamp((BASE + event) / 1000, datetime.timezone.utc).isoformat()


def readings(zones):
    chance = random.Random(5)
    made = [(n * 500, f"dev-{n % 5}", zones[n % len(zones)], chance.randrange(100), chance.randrange(9) / 4, chance.random() < 0.8)
            for n in range(400)]
    return made + [(END, f"dev-{i}", zone, 1, 1, True) for i, zone in enumerate(zones)]


def totals(taken):
    windows = collections.defaultdict(lambda: [0, 0, 0])
    for event, _, zone, value, load, ok in taken:
        if ok and event < END:
            window = windows[zone, BASE + event // 10000 * 10000]
            for i, more in enumerate((1, value, load)):
                window[i] += more
    return {key: tuple(window) for key, window in windows.items()}


EXPORTED = ["block", "position", "source", "device", "metric", "value", "unit", "event_time", "event_time_ms", "time_source",
            "sequence", "index", "fields.load", "fields.ok", "fields.zone", "fields.more"]


def exported_csv(place, taken):
    """As `weir export --format csv` writes it."""
    path = place.path("exported.csv")
    with open(path, "w", encoding="utf-8", newline="") as f:
        rows = csv.writer(f, lineterminator="\n")
        rows.writerow(EXPORTED)
        for event, device, zone, value, load, ok in taken:
            rows.writerow([2, 0, "plant", device, "level", value, "", iso(event), BASE + event, "device", "", 0, load,
                           str(ok).lower(), zone, "x"])
    return path


def further_fields(place):
    """Columns, `fields.*` and the object `fields`, by the names that the configuration gives them."""
    file, out = write(place, "a.yaml", TEXT), place.path("out")
    taken, plain = readings(ZONES), readings(ZONES[:3])
    def flat(source):
        return lines({"time_ms": BASE + event, "device": device, "metric": "level", "value": value, "load": load, "ok": ok, "zone": zone,
                      **source} for event, device, zone, value, load, ok in taken)
    nested = lines({"event_time_ms": BASE + event, "device": device, "metric": "level", "value": value, "zone": "not this", "ok": None,
                    "fields": {"more": 7, "zone": zone, "ok": ok, "load": load}} for event, device, zone, value, load, ok in taken)
    columns = "zone,load,time,device,value,fields.ok,ok,more\n" + "".join(
        f"{zone},{load},{iso(event)},{device},{value},{str(ok).lower()},true,8\n" for event, device, zone, value, load, ok in plain)
    for path, wanted in ((exported_csv(place, taken), taken), (write(place, "flat.jsonl", flat({})), taken),
                         (write(place, "named.jsonl", flat({"source": "plant"})), taken),
                         (write(place, "nested.jsonl", nested), taken), (write(place, "columns.csv", columns), plain)):
        report = replay_json(path, "--config", file, "--out", out)
        assert told(out, "totals") == totals(wanted) and len(totals(wanted)) > 50, (path, report, list(told(out, "totals").items())[:3])
        assert report["missing"] == [] and report["rejected"] == {} and report["readings"] == len(wanted), report
    # Members without number, and the same one twice: the first counts; what is an object is none. And from a pipe.
    odd = '{"time_ms":%d,"device":"a","value":1,' + ",".join(f'"m{i}":{i}' for i in range(400)) + ',"zone":"n","zone":"m","ok":true,"load":{}}\n'
    report = replay_json(write(place, "odd.jsonl", odd % BASE + odd % (BASE + END)), "--config", file, "--out", out)
    assert told(out, "totals") == {("n", BASE): (1, 1, 0)} and report["missing"] == [{"stream": "totals", "field": "load"}], report
    piped = subprocess.run([WEIR, "replay", "/dev/stdin", "--config", file, "--json"], input=columns, capture_output=True, text=True, timeout=60)
    assert json.loads(piped.stdout)["stream_results"] == len(totals(plain)), piped.stderr
    # What a stream looks at and nobody has: it says so.
    for name, text in (("none.csv", columns.replace("zone,", "zonk,", 1)),
                       ("other.jsonl", flat({"source": "other"})), ("none.jsonl", nested.replace('"zone"', '"zonk"'))):
        report = replay_json(write(place, name, text), "--config", file)
        missing = {(wanted["stream"], wanted["field"]) for wanted in report["missing"]}
        assert ("totals", "zone") in missing and ("totals", "load") not in missing, report
        assert report["streams"] == [{"stream": "totals", "keys": 0, "results": 0}], report
        done = replay(place.path(name), "--config", file)
        assert f"{name}: no reading in it has the field `zone`, which the stream `totals` looks at" in done.stderr, done.stderr
    for name, text, what in (
            ("long.jsonl", '{"time":1,"value":2,"zone":"' + "x" * 1025 + '"}', ":1: want further fields of at most"),
            ("big.csv", "time,value,load\n1,2,3\n2,2,1e200\n", ":3: want a number within"),
            ("huge.jsonl", '{"time":1,"value":2,"fields":{"load":1e300}}', ":1: want a number within")):
        assert what in replay(write(place, name, text), "--config", file, code=1).stderr, name


def line(t_ms, event, **more):
    return {"block": 2, "kind": "reading", "t_ms": t_ms, "source": "plant", "device": "a", "metric": "m", "value": 1,
            "event_time_ms": BASE + event, "time_source": "device", **more}


def clock(t_ms, wall, state="synced"):
    return {"block": 2, "kind": "clock", "t_ms": t_ms, "offset_ms": BASE + wall - t_ms, "state": state, "boot": 1}


def when_each_arrived(place):
    file, out = write(place, "a.yaml", SIMPLE), place.path("out")

    def run(name, found, code=0, config=file):
        return replay_json(write(place, name, lines(found)), "--config", config, "--out", out, code=code)

    report = run("least.jsonl", [line(1000, 0), line(2000, 600000), line(3000, 601000)])
    assert report["readings"] == 3 and report["rejected"] == {}, report
    # The gateway stood still for 20 minutes, twice: t did, too. With its clock, and without.
    taken, t = [clock(500, -60000)], 500
    for part in range(3):
        for n in range(100):
            t += 1000
            taken.append(line(t, part * 1300000 + n * 1000 - (60000 if n == 0 else 0)))
        taken.append(clock(t, (part + 1) * 1300000 - 1000))
    for name, found in (("clocks.jsonl", taken), ("none.jsonl", [one for one in taken if one["kind"] == "reading"])):
        report = run(name, found)
        assert report["readings"] == 300 and report["rejected"] == {}, report
        assert {count for count, in told(out, "each").values()} == {10, 9, 1}, told(out, "each")
    # By a clock that is told, what is ahead of it is rejected, as it was; one that is not synced says nothing.
    ahead = [clock(0, 0), line(1000, 0), line(2000, 700000), line(3000, 3000)]
    assert run("ahead.jsonl", ahead)["rejected"] == {"time_future": 1}
    assert run("unset.jsonl", [clock(0, 0, "unset"), *ahead[1:]])["rejected"] == {}
    # A reading that has the time of its arrival tells the clock, and a device may be ahead of it.
    exact = [line(1000, 1000, time_source="arrival"), line(2000, 200000), line(3000, 3000, time_source="arrival"), line(4000, 200001)]
    policy = write(place, "arrival.yaml", SIMPLE.replace("topics:", "time: arrival, topics:"))
    assert run("exact.jsonl", exact + [line(50000, 50000, time_source="arrival")], config=policy)["rejected"] == {}
    assert told(out, "each") == {("a", BASE): (4,)}, told(out, "each")
    # Where the file says when each arrived, it did then: what is too late, or ahead, is so.
    def heard(event, arrival, name="arrival_time_ms"):
        return {"time_ms": BASE + event, "device": "a", "value": 1, name: BASE + arrival if name.endswith("ms") else iso(arrival)}
    for name in ("arrival_time_ms", "arrival_time", "recordedtime"):
        found = [heard(0, 1000, name), heard(400000, 5000, name), heard(200000, 200000, name), heard(1000, 201000, name)]
        report = run("heard.jsonl", found)
        assert report["rejected"] == {"time_future": 1} and report["stream_results"] == 1, report
        rows = "".join(f"{one['time_ms'] / 1000},1,{one[name]}\n" for one in found)
        report = replay_json(write(place, "heard.csv", f"time,value,{name}\n" + rows), "--config", file)
        assert report["rejected"] == {"time_future": 1} and report["stream_results"] == 1, report
    for name, found, what in (("a", [line(-5, 0)], ":1: want a t_ms from 0"), ("b", [line(1, 0), line(1 << 60, 0)], ":2: want a t_ms"),
                              ("c", [{"kind": "clock", "t_ms": 0}], ":1: want a clock's"), ("d", [line(1, 0, arrival_time="noon")], ":1: want an arrival"),
                              ("e", [line(1 << 52, -BASE - (1 << 52) - 5)], ":1: want a time that is nearer")):
        assert what in replay(write(place, name + ".jsonl", lines(found)), code=1).stderr, name
    far = (1 << 53) - 100  # from one end of time to the other, and clocks at both of them
    wild = [{"time_ms": -far, "value": 1}, {"time_ms": far, "value": 1}, line(5, 0), clock(far, -BASE), clock(far, far - BASE), line(far + 9, 0),
            clock(0, -far - BASE), {"time_ms": -far, "arrival_time_ms": far, "value": 1}, line(far - 9, 0)]
    assert replay_json(write(place, "wild.jsonl", lines(wild)), "--from", "1970-01-01")["readings"] > 0


def a_range(place):
    """What arrived before --from is known and not told; what arrived at --to and behind it is not read."""
    file, out = write(place, "a.yaml", SIMPLE), place.path("out")
    found = [line(n * 1000, n * 1000) for n in range(600)]
    whole = write(place, "whole.jsonl", lines([clock(0, 0), *found]))
    bare = write(place, "bare.csv", "time,device,value\n" + "".join(f"{(BASE + n * 1000) / 1000},a,1\n" for n in range(600)))
    for path in (whole, bare):
        report = replay_json(path, "--config", file, "--from", iso(205000), "--to", iso(395000), "--out", out)
        assert sorted(told(out, "each").items()) == [(("a", BASE + start), (10,)) for start in range(200000, 390000, 10000)], told(out, "each")
        assert report["readings"] == 190 and report["before"] == 205 and report["stream_results"] == 19, report
        assert report["first_ms"] == BASE + 205000 and report["last_ms"] == BASE + 394000, report
        text = replay(path, "--config", file, "--from", iso(205000)).stdout
        assert "395 readings from" in text and "205 that arrived before --from" in text, text
        assert replay_json(path, "--config", file, "--to", iso(10000))["readings"] == 10
        for empty in (("--from", iso(END)), ("--to", iso(-1000))):
            assert "between --from and --to" in replay(path, "--config", file, *empty, code=1).stderr
    for flags in (("--store", "x"), ("--warmup", "1d"), ("--speed", "2"), ("--time", "event", "--compare"), ("--from", "2026-01-02", "--to", "2026-01-01")):
        assert flags[0] in replay(whole, *flags, code=2).stderr or "--to" in flags, flags


sys.exit(run_cases([further_fields, when_each_arrived, a_range]))
