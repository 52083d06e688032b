#!/usr/bin/env python3
"""Goal: what a replay says of results of streams is what plain arithmetic says: which would appear, vanish or be others under
another configuration, how far event time and arrival are apart, what a recorded file comes to, and that all of it stands in
`--out`. Method: a journal made by hand, imported; the windows are added up here, without Weir, and compared one by one."""
import collections
import datetime
import hashlib
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, replay, replay_json, run_cases  # noqa: E402

BASE, ZONES, END = 1795800000000, ("north", "s\u00fcd", "ea\"st"), 3600000
TEXT = """clock: {trust: system}
sources: [{name: plant, url: mqtt://127.0.0.1:1, topics: ['t/{device}/{metric}'], payload: {value: /v, fields: {zone: /z}}}]
window: {size: 10s, lateness: 0s, out_of_orderness: 0s}
usual: {all: false}
alerts: {storm: 0}
streams:
  - name: totals
    key: [zone]
    window: {type: tumbling, size: 10s}
    out_of_orderness: 0s
    lateness: 1m
    aggregates: [count, sum]
"""
VISITS = """  - name: visits
    key: [device]
    window: {type: session, gap: 20s}
    out_of_orderness: 0s
    lateness: 10m
    aggregates: [count]
"""


def readings(seed):
    """(arrival, event, device, zone, value), as they arrive: up to 40 s late; at the end one of each zone that closes all."""
    chance = random.Random(seed)
    made = []
    for n in range(600):
        event = n * 500
        made.append((event + chance.randrange(40000 if n % 5 == 0 else 1000), event, f"dev-{n % 4}", ZONES[n % 3], chance.randrange(100)))
    return sorted(made) + [(END, END, f"dev-{i}", ZONES[i % 3], 1) for i in range(4)]


def line_of(reading, block):
    arrival, event, device, zone, value = reading
    return {"block": block, "kind": "reading", "t_ms": arrival, "source": "plant", "device": device, "metric": "level",
            "value": value, "event_time_ms": BASE + event, "time_source": "device", "device_time_ms": BASE + event, "index": 0,
            "fields": {"zone": zone}}


def write_journal(place, text, taken, name="day", made=()):
    """As lines of an export, and imported as a store."""
    first = {"block": 1, "kind": "config", "t_ms": 0, "digest": hashlib.sha256(text.encode()).hexdigest(), "store_id": "5" * 32,
             "content": text}
    with open(place.path(f"{name}.jsonl"), "w", encoding="utf-8") as f:
        for line in [first, {"block": 1, "kind": "clock", "t_ms": 0, "offset_ms": BASE, "state": "synced", "boot": 1},
                     *(line_of(reading, 2 + i // 200) for i, reading in enumerate(taken)), *made]:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")
    done = subprocess.run([WEIR, "import", place.path(f"{name}.jsonl"), "--store", place.path(f"{name}.db")], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return place.path(f"{name}.db")


def totals(taken, size=10000, where=lambda value: True, by=1, key=3):
    """{(zone, or device, start, end): (count, sum)} of windows that have ended."""
    windows = collections.defaultdict(lambda: [0, 0])
    for reading in taken:
        start = reading[by] - reading[by] % size
        if where(reading[4]) and start + size <= END:
            window = windows[reading[key], BASE + start, BASE + start + size]
            window[0] += 1
            window[1] += reading[4]
    return {key: tuple(window) for key, window in windows.items()}


def config(place, name, text):
    with open(place.path(name), "w") as f:
        f.write(text)
    return place.path(name)


def ms(time):
    return round(datetime.datetime.fromisoformat(time).timestamp() * 1000)


def differences(old, new):
    """{(change, key)} with what each had."""
    found = {}
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            found["vanishes" if key not in new else "appears" if key not in old else "moves", key] = (old.get(key), new.get(key))
    return found


def listed(report, stream="totals"):
    def values(side):
        return side and (side["values"]["count"], side["values"]["sum"])
    return {(c["change"], (c["key"]["zone"], ms(c["start"]), ms(c["end"]))): (values(c["then"]), values(c["now"]))
            for c in report["stream_results"] if c["stream"] == stream}


def out_of(path, stream, warm=False):
    """What the file says of a stream, by window at its last revision; what was taken back is none."""
    found = {}
    with open(path) as f:
        for line in map(json.loads, f):
            if line["type"] == "stream" and line["stream"] == stream:
                key = (*line["key"].values(), line["start_ms"], line["end_ms"])
                assert line["revision"] == (found[key]["revision"] + 1 if key in found else 0), (line, found.get(key))
                found[key] = line
    return {key: line for key, line in found.items() if line["kind"] != "retraction"}


def another_configuration(place):
    """Another condition, another size, another name, and no change at all: exactly the windows that differ are told."""
    taken = readings(1)
    store, old = write_journal(place, TEXT, taken), totals(taken)
    report = replay_json("--store", store, "--config", config(place, "same.yaml", TEXT + "\n"))
    assert report["stream_results"] == [] and report["stream_result_counts"]["same"] == len(old) > 80, report
    assert sum(report["stream_result_counts"].values()) == len(old), report
    for name, text, new in (
            ("where", TEXT.replace("key: [zone]", "key: [zone]\n    where: value >= 20"), totals(taken, where=lambda v: v >= 20)),
            ("wider", TEXT.replace("size: 10s}\n    out", "size: 20s}\n    out"), totals(taken, size=20000)),
            ("gone", TEXT[:TEXT.index("streams:")], {})):
        file, expected = config(place, name + ".yaml", text), differences(old, new)
        report = replay_json("--store", store, "--config", file, "--out", place.path("out"), code=3)
        assert report["alerts"] == report["results"] == [], report["result_counts"]
        got = listed(report)
        wrong = [key for key in got.keys() | expected.keys() if got.get(key) != expected.get(key)]
        assert wrong == [] and len(expected) > 20, (name, [(key, got.get(key), expected.get(key)) for key in wrong[:5]])
        counts = collections.Counter(change for change, _ in expected)
        assert all(report["stream_result_counts"][change] == counts[change] for change in ("appears", "vanishes", "moves")), name
        assert report["stream_result_counts"]["same"] == len(old) - counts["vanishes"] - counts["moves"], report
        groups = collections.Counter()
        for group in report["by_stream_and_key"]:
            for change in ("appears", "vanishes", "moves"):
                groups[change, group["key"]["zone"]] += group[change]
        assert +groups == collections.Counter((change, key[0]) for change, key in expected), groups
        said = {key: (line["values"]["count"], line["values"]["sum"]) for key, line in out_of(place.path("out"), "totals").items()}
        assert said == new, name
        text = replay("--store", store, "--config", file, code=3).stdout
        told = (f"results of streams: {report['stream_result_counts']['same']} the same, {counts['appears']} would appear, "
                f"{counts['vanishes']} vanish, {counts['moves']} be others\n")
        assert told in text and "zone=s\u00fcd" in text, text
    report = replay_json("--store", store, "--config", config(place, "renamed.yaml", TEXT.replace("name: totals", "name: sums")), code=3)
    assert len(listed(report, "totals")) == len(listed(report, "sums")) == len(old), report["stream_result_counts"]
    assert {change for change, _ in listed(report, "totals")} == {"vanishes"}, report["stream_result_counts"]
    for before, after in (("last: 3", "last: 2"), ("span: 5s, every: 1s", "span: 6s, every: 1s")):
        sliding = TEXT.replace("type: tumbling, size: 10s", "type: sliding, " + before)
        store = write_journal(place, sliding, taken, after.replace(" ", ""))
        other = config(place, "other.yaml", sliding.replace(before, after))
        assert sum(replay_json("--store", store, "--config", other, code=3)["stream_result_counts"].values()) > 100, after


def sessions_are_taken_back(place):
    """A session that was told, and then joined to another, is none any more: it neither appears nor vanishes."""
    taken = [(event + late, event, "dev-0", "north", 1) for event, late in
             ((0, 0), (15000, 110000), (30000, 0), (100000, 0), (200000, 0), (END, 0))]
    store = write_journal(place, TEXT + VISITS, sorted(taken))
    same = replay_json("--store", store, "--config", config(place, "same.yaml", TEXT + VISITS + "\n"), "--out", place.path("out"))
    visits = out_of(place.path("out"), "visits")
    assert {key[1:]: line["values"]["count"] for key, line in visits.items()} == {
        (BASE, BASE + 50000): 3, (BASE + 100000, BASE + 120000): 1, (BASE + 200000, BASE + 220000): 1}, visits
    on_time = [reading for reading in taken if reading[0] == reading[1]]
    assert same["stream_result_counts"]["same"] == len(visits) + len(totals(on_time)), same
    # Without lateness the joining reading is too late: both parts stand, and the joined one vanishes.
    strict = config(place, "strict.yaml", TEXT + VISITS.replace("10m", "0s"))
    report = replay_json("--store", store, "--config", strict, code=3)
    changes = sorted((c["change"], ms(c["start"]) - BASE, ms(c["end"]) - BASE) for c in report["stream_results"])
    assert changes == [("appears", 0, 20000), ("appears", 30000, 50000), ("vanishes", 0, 50000)], changes


def as_it_was_and_from_a_file(place):
    """`--out` holds them too where nothing is compared, and a recorded file says how many there are."""
    taken = readings(2)
    store, wanted = write_journal(place, TEXT, taken), totals(taken)
    replay("--store", store, "--out", place.path("out"), code=1)  # this journal does not say what was made
    said = {key: (line["values"]["count"], line["values"]["sum"]) for key, line in out_of(place.path("out"), "totals").items()}
    assert said == wanted
    made = {"block": 99, "kind": "made", "t_ms": END + 20000, "form": 2, "alerts": 0, "results": 7, "digest": "1" * 32, "corrections": 0,
            "correction_digest": "0" * 16}  # it makes nothing of the kind: the first result of each zone is shown
    late = [line_of((END + n * 1000, END + n * 1000, "dev-0", zone, 1), 99) for n in (0, 20) for zone in ZONES]
    first = replay_json("--store", write_journal(place, TEXT, taken, "made", [*late, made]), code=3)["first_difference"]
    shown = [item for item in first["made_now"] if item.startswith("result of totals from ")]
    assert first["block"] == 99 and len(shown) == 3 and any('"zone":"s\u00fcd"' in item for item in shown), first
    file, wanted = config(place, "a.yaml", TEXT.replace("[zone]", "[device]")), totals(taken, key=2)
    for name in ("day.jsonl",):
        report = replay_json(place.path(name), "--config", file, "--out", place.path("out"))
        said = {key: (line["values"]["count"], line["values"]["sum"]) for key, line in out_of(place.path("out"), "totals").items()}
        assert said == wanted and report["rejected"] == {}, (len(said), len(wanted), report)
        assert report["stream_results"] == len(wanted) and report["streams"] == [
            {"stream": "totals", "keys": 4, "results": len(wanted)}], report
        text = replay(place.path(name), "--config", file).stdout
        assert f", {len(wanted)} results of streams" in text and "totals" in text, text


def event_time_and_arrival(place):
    taken = readings(3)
    store = write_journal(place, TEXT, taken)
    by_event, by_arrival = totals(taken), totals(taken, by=0)
    both = by_event.keys() & by_arrival.keys()
    same = sum(by_event[key] == by_arrival[key] for key in both)
    report = replay_json("--store", store, "--time", "arrival", "--compare", code=3)
    assert report["stream_results"] == {
        "same": same, "moved": len(both) - same, "only_so": len(by_arrival.keys() - both),
        "only_otherwise": len(by_event.keys() - both)}, (report, len(both), same)
    text = replay("--store", store, "--time", "arrival", "--compare", code=3).stdout
    assert f"results of streams: {same} the same, {len(both) - same} others" in text, text


CASES = [another_configuration, sessions_are_taken_back, as_it_was_and_from_a_file, event_time_and_arrival]

sys.exit(run_cases(CASES))
