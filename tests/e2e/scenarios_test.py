#!/usr/bin/env python3
"""Goal: six systems on streams come to what an oracle says of their events, killed -9 three times each, and a replay to the same
bits; and the judge can say no. Method: `make scenarios` in short (a quarter of each, in 3 s); and its
comparison, given what differs a little."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, run_cases, skip_without  # noqa: E402

SCENARIOS = os.path.join(ROOT, "simulator", "scenarios.py")


def judge(*arguments, **more):
    return subprocess.run([SCENARIOS, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)


def all_agree(_place):
    done = judge("--scale", "0.25", "--duration", "3")
    print(done.stdout, end="")
    assert done.returncode == 0 and done.stdout.count("the same bits") == 6, done.stdout + done.stderr


def the_judge_can_say_no(_place):
    sys.path.insert(0, os.path.join(ROOT, "simulator"))
    import scenarios
    rows = {(("a",), 0, 10): {"count": 2, "sum": 3.0}}
    good = {(("a",), 0, 10): {"count": (2, 0), "sum": (3, 1e-12)}}
    assert not list(scenarios.differences(rows, good))
    for other in ({(("a",), 0, 10): {"count": (3, 0)}}, {(("a",), 0, 10): {"sum": (3 + 1e-9, 1e-12)}},
                  {(("a",), 0, 10): {"mean": (1.5, 0)}}, {(("b",), 0, 10): {"count": (2, 0)}, **good}, {}):
        assert len(list(scenarios.differences(rows, other))) == 1, other


def a_lost_reading_is_seen(_place):
    sys.path.insert(0, os.path.join(ROOT, "simulator", "scenarios"))
    import types
    import pressure
    events = [types.SimpleNamespace(device=device, sequence=n) for device, n in (("burst-0", 0), ("burst-0", 1), ("calm-1", 0), ("d01", 7))]
    assert pressure.lost(events, 3) == []
    assert pressure.lost(events, 4) and pressure.lost(events[1:], 2) and pressure.lost(events[:1] * 2 + events[2:], 3)


def names_are_told(_place):
    listed = subprocess.run([os.path.join(ROOT, "build", "weir-sim"), "scenario", "--list"], capture_output=True, text=True,
                            check=True).stdout
    folders = {name for name in os.listdir(os.path.dirname(SCENARIOS) + "/scenarios") if re.fullmatch("[a-z-]+", name)}
    assert {line.split()[0] for line in listed.splitlines()} == folders, (listed, folders)
    wrong = judge("no-such")
    assert wrong.returncode == 2 and "iot-temperature" in wrong.stderr, wrong.stderr


CASES = [names_are_told, the_judge_can_say_no, a_lost_reading_is_seen, all_agree]


skip_without("mosquitto", "mosquitto_sub")
if __name__ == "__main__":
    sys.exit(run_cases(CASES))
