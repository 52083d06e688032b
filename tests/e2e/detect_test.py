#!/usr/bin/env python3
"""Goal: `weir detect` tells of a recorded series what the baseline finds, as a table, JSON, scores and a picture, and
where a file is wrong says so with its line. On the labelled series it raises the alarms of the prototype, and never
looks ahead.
Method: a series made here, with a fault; files that are wrong in every way; then each labelled series against the
prototype, compiled where it is, and against itself with another future from a random reading on."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from datetime import datetime
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR  # noqa: E402
import weir_series  # noqa: E402

SIM = os.path.join(os.path.dirname(WEIR), "weir-sim")
FORKS = 10
DIFFERENT_MAX = 2  # alarms, in all sets: a last bit may round otherwise
WRONG = {  # a file, and what is said of it
    "time,value\n2026-01-01 00:00:00,1\n2026-13-01 00:00:00,2\n": r":3: want a time .*not \"2026-13-01",
    "2026-01-01 00:00:00,1\n2026-01-01 00:00:01,warm\n": r":2: want a number, not \"warm\"",
    "2026-01-01 00:00:00,nan\n": r":1: want a number, not \"nan\"",
    "2026-01-01 00:00:00,1e141\n": r":1: want a number within 1e140",
    "2026-01-01 00:00:00\n": r":1: want a number, not \"\"",
    "a,b\n": r": there is no reading in it",
    "": r": there is no reading in it",
    "1,2\n" + "1" * 5000 + "\n": r":2: want a line of at most",
}


def run(*words):
    return subprocess.run([WEIR, "detect", *words], capture_output=True, text=True, timeout=60)


def made_series(path):
    """Ten days of minutes, about 20 by night and 25 by day; on the last day a spike, and the sensor falls to 0."""
    chance = random.Random(1)
    with open(path, "w") as f:
        f.write("event_time,unit,value\n")
        for i in range(10 * 1440):
            value = (25 if 480 <= i % 1440 < 1080 else 20) + chance.uniform(-0.5, 0.5)
            value = 60 if i == 13000 else 0 if i >= 14000 else value
            f.write(f"{1767571200 + i * 60},C,{value:.2f}\n")


def tells_of_a_series(place):
    path, scores, plot = (os.path.join(place, name) for name in ("made.csv", "scores.csv", "plot.svg"))
    made_series(path)
    done = run(path, "--out", scores, "--plot", plot, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["readings"] == 14400 and told["unordered"] == 0 and told["first"] == "2026-01-05T00:00:00.000Z", told
    found = [(alarm["line"] - 2, alarm["reason"]) for alarm in told["alarms"]]
    late = [alarm for alarm in found if alarm[0] >= 1440]  # the first day is all new to it
    assert [at for at, _ in late] == [13000, 14000] and late[0][1] == "spike", found
    assert all(alarm["learning"] == (alarm["line"] - 2 < 1440) for alarm in told["alarms"]) and len(found) > len(late)
    spike = told["alarms"][-2]
    assert 19 < spike["expected"] < 21 and spike["low"] < spike["expected"] < spike["high"] < 60 == spike["value"], spike
    rows = weir_series.rows(scores)
    assert len(rows) == 14400 and weir_series.alarms(scores) == [at for at, _ in found]
    assert rows[13000]["reason"] == "spike" and rows[100]["reason"] == ""
    table = run(path).stdout
    assert re.search(r"^2026-01-14T00:40:00.000Z .* spike +60 ", table, re.M), table
    assert f"14400 readings, {len(found)} alarms" in table
    picture = xml.etree.ElementTree.parse(plot).getroot()
    titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(found) and "spike, value 60" in titles[-2], titles
    assert os.path.getsize(plot) < 200000  # as wide as the picture, not as long as the series
    more, less = (len(json.loads(run(path, "--json", "--sensitivity", s).stdout)["alarms"]) for s in ("high", "low"))
    assert more >= len(found) >= less


def made_pump(path):
    """Four days of minutes, a metric a column: current and flow that go together, and a beat every 20; flow stops, and a beat is upside down."""
    chance = random.Random(3)
    with open(path, "w") as f:
        f.write("time,current,flow,beat\n")
        for i in range(6000):
            current, phase = 5 if i // 37 % 2 else 1, i % 20 / 20
            flow = 0 if 5000 <= i < 5060 else 3 * current
            peak = max(0, 5 - abs(phase - 0.3) * 50) * (-1 if 5500 <= i < 5520 else 1)
            noisy = [v + chance.gauss(0, s) for v, s in ((current, 0.1), (flow, 0.1), (peak, 0.05))]
            f.write(f"{1790000000 + i * 60}," + ",".join("" if i == 17 else f"{v:.3f}" for v in noisy) + "\n")


def names_partner_and_period(place):
    wide, long = (os.path.join(place, name) for name in ("wide.csv", "long.csv"))
    made_pump(wide)
    done = run(wide, "--rules", "cycle,siblings", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["readings"] == 3 * 5999, told["readings"]
    at = lambda alarm: round((datetime.fromisoformat(alarm["time"]).timestamp() - 1790000000) / 60)  # noqa: E731
    pairs = [(a["metric"], a["reason"], a["partner"]) for a in told["alarms"] if a["rule"] == "siblings"]
    assert sorted(pairs) == [("current", "disagreement", "flow"), ("flow", "disagreement", "current")], pairs
    assert all(5000 <= at(a) < 5060 for a in told["alarms"] if a["rule"] == "siblings"), told["alarms"]
    beats = [a for a in told["alarms"] if a["rule"] == "cycle" and 5500 <= at(a) < 5530]
    assert len(beats) == 1 and beats[0]["metric"] == "beat" and beats[0]["period"] in (19, 20, 21), told["alarms"]
    with open(wide) as f, open(long, "w") as g:
        g.write("metric,time,value\n")
        for line in list(f)[1:]:
            time, *values = line.strip().split(",")
            g.writelines(f"{metric},{time},{value}\n" for metric, value in zip(("current", "flow", "beat"), values) if value)
    again = json.loads(run(long, "--rules", "cycle,siblings", "--json").stdout)
    assert again["alarms"] == told["alarms"], "a metric a column, or a line"
    table = run(wide, "--rules", "siblings").stdout
    assert "with current" in table and "with flow" in table and table.endswith("17997 readings of 3 metrics, 2 alarms\n"), table


def finds_what_was_injected(place):
    path, changed = os.path.join(place, "plain.csv"), os.path.join(place, "changed.csv")
    chance = random.Random(3)
    with open(path, "w") as f:
        f.write("timestamp,value\n" + "".join(f"{i * 300},{chance.uniform(20, 21):.3f}\n" for i in range(2000)))

    def inject(*words):
        return subprocess.run([SIM, "inject", "--in", path, "--out", changed, *words], capture_output=True, text=True)
    done = inject("--fault", "shift", "--size", "6", "--at", "1500")
    truth = json.loads(done.stdout)
    assert truth["fault"] == "shift" and truth["first"] == str(1500 * 300) and truth["last"] == str(1649 * 300), done
    assert 1502 in [alarm["line"] for alarm in json.loads(run(changed, "--json").stdout)["alarms"]]
    assert all(alarm["line"] < 1000 for alarm in json.loads(run(path, "--json").stdout)["alarms"])
    for words, status, said in ((("--at", "1900"), 1, "are not there"), (("--fault", "love"), 2, "no such --fault"),
                                (("--in", place + "/none"), 1, "none"), (("--out", place), 1, place)):
        done = inject(*words)
        assert done.returncode == status and said in done.stderr, done


def says_what_is_wrong(place):
    path = os.path.join(place, "wrong.csv")
    for text, said in WRONG.items():
        with open(path, "w") as f:
            f.write(text)
        done = run(path)
        assert done.returncode == 1 and re.search(re.escape(path) + said, done.stderr), (text[:80], done.stderr)
        assert done.stdout == ""
    for words, status, said in (((os.path.join(place, "none.csv"),), 1, "No such file"), ((place,), 1, "directory"), ((), 2, "usage"),
                                ((path, "--sensitivity", "mad"), 2, "high, normal or low"), ((path, "more"), 2, "usage")):
        done = run(*words)
        assert done.returncode == status and said in done.stderr, (words, done)
    with open(path, "w") as f:
        f.write("10,1\n5,2\n11,3\n")  # one comes late
    assert json.loads(run(path, "--json").stdout)["unordered"] == 1
    for option in ("--out", "--plot"):
        done = run(path, option, os.path.join(place, "no", "folder"))
        assert done.returncode == 1 and "no/folder" in done.stderr, done
        done = run(path, option, "/dev/full")
        assert done.returncode == 1 and "could not be written" in done.stderr, done


def as_the_prototype(place):
    program = weir_series.compile_prototype(place)
    different = []
    for name in weir_series.SETS:
        ours = weir_series.results(name, os.path.join(place, "plain"), None, "--without", "all")
        if program is None:
            continue
        theirs = weir_series.results(name, os.path.join(place, "theirs"), program)
        for short, _ in weir_series.series(name):
            both = [set(weir_series.alarms(os.path.join(folder, short))) for folder in (ours, theirs)]
            different += [f"{name}/{short}: reading {at}" for at in both[0] ^ both[1]]
    print(f"  alarms that differ from the prototype: {different if program else 'not compared'}")
    assert len(different) <= DIFFERENT_MAX


def made_here(place):
    """Series of every rate, with what the parts beyond the plain equations look for: days without weekends, a clock put forward,
    a beat that repeats itself, and steps."""
    chance, made = random.Random(4), []
    for name, step_ms, count in (("beat", 100, 3000), ("minutes", 60000, 6000), ("days", 300000, 8000), ("slow", 21600000, 600)):
        path = os.path.join(place, name + ".csv")
        with open(path, "w") as f:
            f.write("timestamp,value\n")
            for i in range(count):
                hour = (i * step_ms // 3600000 + (i > count * 2 // 3)) % 24
                value = (5 if 8 <= hour < 18 else 0) + (4 if i % 31 < 3 else 0) + (20 if i % 1500 == 1400 else 0) + chance.gauss(0, 1)
                f.write(f"{1767571200 + i * step_ms / 1000:.3f},{value:.4f}\n")
        made.append((path, os.path.join(place, name + ".scores")))
        weir_series.detect(*made[-1])
    return made


def never_looks_ahead(place, judged):
    """Another future must not change the past: not a score, not a band. `judged`: series, and what was said of them."""
    chance, forks = random.Random(2), 0
    path, scores = os.path.join(place, "fork.csv"), os.path.join(place, "fork.out")
    for whole, said in judged:
        with open(whole) as f:
            lines = f.read().splitlines()
        with open(said) as f:
            told = f.read().splitlines()
        for _ in range(FORKS):
            at = chance.randrange(2, len(lines))
            times = [line.split(",")[0] for line in lines[at:at + 50]]
            with open(path, "w") as f:
                f.write("\n".join(lines[:at] + [f"{time},{chance.gauss(0, 1e6)}" for time in times]) + "\n")
            weir_series.detect(path, scores)
            with open(scores) as f:
                again = f.read().splitlines()
            assert again[:at] == told[:at], f"{whole}: what comes after reading {at - 1} changed what was said before"
            forks += 1
    print(f"  {forks} other futures of {len(judged)} series")


def main():
    with tempfile.TemporaryDirectory() as place:
        tells_of_a_series(place)
        names_partner_and_period(place)
        finds_what_was_injected(place)
        says_what_is_wrong(place)
        never_looks_ahead(place, made_here(place))
        if weir_series.here():
            as_the_prototype(place)
            ours = {name: weir_series.results(name, os.path.join(place, "ours")) for name in weir_series.SETS}
            never_looks_ahead(place, [(whole, os.path.join(ours[name], short)) for name in weir_series.SETS
                                      for short, whole in weir_series.series(name)])
        else:
            print("  the labelled series are not here")
    return 0


sys.exit(main())
