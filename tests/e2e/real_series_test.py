#!/usr/bin/env python3
"""Goal: what people labelled on real machines reaches the cloud as alerts, and little else does: at most three alerts
outside the labelled spans of a series.
Method: three labelled series of NAB, weeks of 5-minute readings, are published by `weir-sim fleet` at many times their
speed, through a real broker, the real daemon and the cloud's broker over TLS, to `weir-sim cloud`. Each alert that it
received is printed with its file, its rule, when the anomaly began, when the alert was raised, and the labelled span
that this moment lies in. One configuration for all: that of tests/unit/real_series_test.c, with its durations divided
by the replay's speed, since detectors' `for` and cool-down run in pipeline time. Of the machine's four spans two are
asked for: the first is a slow decline in its usual range, and the third's alert comes half an hour after its begin, six
milliseconds at this speed.

  real_series_test.py [SPEED]   times real time; default 4 days a second"""
import datetime
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.system import ROOT, System, built, say  # noqa: E402

DATA = os.path.join(os.environ.get("WEIR_SHARED", os.path.join(ROOT, "..", "shared")), "data", "nab")
SERIES = {  # device: file, and how many of its spans must be hit
    "machine": ("realKnownCause/machine_temperature_system_failure.csv", 2),
    "servers": ("realKnownCause/cpu_utilization_asg_misconfiguration.csv", 1),
    "server": ("realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv", 1),
}
OUTSIDE_MAX = 3
HOUR_MS = 3600000


def detectors(speed):
    hours = {hours: f"{round(hours * HOUR_MS / speed)}ms" for hours in (1, 2, 24)}
    usual = f"clear_after: {hours[1]}, cooldown: {hours[24]}"
    return f"""\
  - {{type: spike, threshold: 12, {usual}}}
  - {{type: shift, threshold: 14, for: {hours[2]}, {usual}}}
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
    csv = [word for device, (name, _) in SERIES.items()
           for word in ("--csv", f"{os.path.join(DATA, 'data', name)}:{device}")]
    fleet = system.start_fleet(*csv, "--speed", str(speed), "--keep-times", "--fault-every", "0s")
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


def judge(system, device, labels):
    """The sentence that says what is wrong, or None."""
    name, wanted = SERIES[device]
    spans = [(moment_ms(first), moment_ms(last)) for first, last in labels[name]]
    hit, outside = set(), 0
    say(f"\n{name}\n  began             raised            rule")
    for event in raised(system, device):
        inside = [i for i, (first, last) in enumerate(spans) if first <= moment_ms(event["last_seen"]) <= last]
        where = f"span {inside[0] + 1}: {' to '.join(map(shown, spans[inside[0]]))}" if inside else "outside"
        say(f"  {shown(moment_ms(event['onset']))}  {shown(moment_ms(event['last_seen']))}  {event['rule']:6}  {where}"
            + (", learning" if event["learning"] else ""))
        outside += not inside
        hit.update(inside if not event["learning"] else [])
    say(f"  spans hit: {len(hit)} of {len(spans)}; alerts outside: {outside}")
    if len(hit) < wanted:
        return f"{name}: {len(hit)} spans hit, {wanted} wanted"
    return f"{name}: {outside} alerts outside" if outside > OUTSIDE_MAX else None


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
    with System(detectors=detectors(speed)) as system:
        say(f"{replay(system, speed)} readings at {speed:.0f} times their speed")
        faults = [fault for fault in (judge(system, device, labels) for device in SERIES) if fault]
    assert not faults, "; ".join(faults)
    return 0


sys.exit(main())
