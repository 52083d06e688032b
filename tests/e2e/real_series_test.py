#!/usr/bin/env python3
"""Goal: what people labelled on real machines reaches the cloud as alerts of the usual rules, with nothing configured,
and little else does: at most 0.40 alerts in 1,000 readings outside the labels.
Method: three labelled series of NAB, weeks of 5-minute readings, are published by `weir-sim fleet` at many times their
speed, through a real broker, the real daemon and the cloud's broker over TLS, to `weir-sim cloud`. Each alert that it
received is printed with its file, its rule, when the anomaly began, when the alert was raised, and the labelled span
that this moment lies in. The rules are the usual ones, but for `clear_after`, which runs in pipeline time and would be
weeks of these readings. Alerts outside are counted from the 1,000th reading of a series on, in all three together, as
`make nab` counts them: before that there are more, the first of them marked as learning, and in one series of ten
alarms or less chance decides.

  real_series_test.py [SPEED]   times real time; default 4 days a second"""
import csv
import datetime
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.system import ROOT, System, built, say  # noqa: E402

DATA = os.path.join(os.environ.get("WEIR_SHARED", os.path.join(ROOT, "..", "shared")), "data", "nab")
SERIES = {  # device: file, and how many of its spans must be hit
    "machine": ("realKnownCause/machine_temperature_system_failure.csv", 3),
    "servers": ("realKnownCause/cpu_utilization_asg_misconfiguration.csv", 1),
    "server": ("realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv", 1),
}
OLD = 1000  # readings
OUTSIDE_MAX = 0.40  # in 1,000 readings there
RULES = """\
detectors:
  - {type: baseline, clear_after: 0s, chatter: false}
  - {type: stuck, clear_after: 0s, chatter: false}
  - {type: missing, clear_after: 0s, chatter: false}
"""


def moment_ms(text):
    """A label's "2013-12-10 06:25:00.000000", or a "2013-12-10T06:25:00.000Z" of ours, both UTC."""
    moment = datetime.datetime.fromisoformat(text.rstrip("Z"))
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000


def shown(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def replay(system, speed):
    """Every reading, to the end; then until nothing is on its way any more."""
    with open(system.path("alerts.jsonl"), "wb") as alerts:
        system.start_all("--print", "--json", cloud_stdout=alerts)
    files = [word for device, (name, _) in SERIES.items()
           for word in ("--csv", f"{os.path.join(DATA, 'data', name)}:{device}")]
    fleet = system.start_fleet(*files, "--speed", str(speed), "--keep-times", "--fault-every", "0s")
    system.wait("the series are replayed", lambda: fleet.poll() is not None, 600)
    assert system.stop("fleet") == 0, system.log_tail("fleet")
    with open(system.path("acked.jsonl")) as f:
        published = sum(1 for _ in f)

    def settled():
        status = system.status()
        return (status is not None and status["ledger"]["stored"] == published
                and all(lane["rows"] == 0 for lane in status["lanes"].values()))
    system.wait(f"{published} readings stored and everything sent", settled, 60)
    system.stop("cloud")
    return published


def raised(system, device):
    with open(system.path("alerts.jsonl")) as f:
        events = [json.loads(line)["data"] for line in f if line.startswith('{"specversion"')]
    return [event for event in events if event["device"] == device and event["transition"] == "raised"]


def readings(device):
    """When each was taken."""
    with open(os.path.join(DATA, "data", SERIES[device][0]), newline="") as f:
        return [moment_ms(row["timestamp"]) for row in csv.DictReader(f)]


def judge(system, device, labels):
    """Prints the alerts. Of spans, how many were hit; and of old readings outside: alerts, readings."""
    name, wanted = SERIES[device]
    spans = [(moment_ms(first), moment_ms(last)) for first, last in labels[name]]
    taken = readings(device)
    hit, outside, young = set(), 0, 0

    def spans_at(moment):
        return [i for i, (first, last) in enumerate(spans) if first <= moment <= last]
    say(f"\n{name}\n  began             raised            rule")
    for event in raised(system, device):
        raised_ms = moment_ms(event["last_seen"])
        inside = spans_at(raised_ms)
        where = f"span {inside[0] + 1}: {' to '.join(map(shown, spans[inside[0]]))}" if inside else "outside"
        say(f"  {shown(moment_ms(event['onset']))}  {shown(raised_ms)}  {event['rule']:8}  {event.get('reason', ''):8}  {where}"
            + (", learning" if event["learning"] else ""))
        outside += not inside and raised_ms >= taken[OLD]
        young += not inside and raised_ms < taken[OLD]
        hit.update(inside if not event["learning"] else [])
    say(f"  spans hit: {len(hit)} of {len(spans)}; alerts outside: {young} before reading {OLD}, {outside} later")
    assert len(hit) >= wanted, f"{name}: {len(hit)} spans hit, {wanted} wanted"
    return outside, sum(not spans_at(moment) for moment in taken[OLD:])


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    if not os.path.isdir(DATA):
        print("the labelled series are not here")
        return 77
    built()
    speed = float(sys.argv[1]) if len(sys.argv) > 1 else 4 * 86400
    with open(os.path.join(DATA, "labels.json")) as f:
        labels = json.load(f)
    with System(rules=RULES) as system:
        say(f"{replay(system, speed)} readings at {speed:.0f} times their speed")
        counts = [judge(system, device, labels) for device in SERIES]
    alerts, outside = (sum(column) for column in zip(*counts))
    say(f"\n{1000 * alerts / outside:.2f} alerts in 1,000 readings outside")
    assert 1000 * alerts / outside <= OUTSIDE_MAX
    return 0


sys.exit(main())
