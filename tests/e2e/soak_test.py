#!/usr/bin/env python3
"""Goal: for hours on end the gateway keeps up, loses nothing, and its memory does not grow. Method: 1,000 devices
publish RATE readings a second through a real broker, with late, reordered and repeated messages and some faults, to
the gateway, and alerts and results go to a cloud over TLS. Every ten seconds (every second of a short run) what the
kernel says of the process and what the gateway says of itself are printed; in the end every number that a device gave
must be in the journal once, or be older than those and counted as removed. The last line is one JSON object.

  soak_test.py [MINUTES [RATE]]   `make soak MINUTES=30 RATE=5000`; without arguments 10 s"""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.demo import Demo  # noqa: E402
from simulator.system import WEIR, System, built, say  # noqa: E402

DEVICES = 1000
DISORDER = ["--late", "0.1%", "--late-by", "3s", "--reordered", "0.1%", "--repeated", "0.1%"]
DISORDER_NUMBERS = 50       # of one device, that its late and reordered messages reach over
KIB = 1024
WARM_UP = 1 / 3             # of the run; what is touched for the first time is no growth
GROWTH_MAX_KIB = 256        # of the rest
TICKS = os.sysconf("SC_CLK_TCK")
HEADER = " time s   readings  anon KiB   rss KiB  file KiB   wal KiB  lag ms  cpu %  written B/reading"


def proc(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


def field(text, key):
    return int(text.split(key)[1].split()[0])


def sample(system, pid, began):
    memory, status = proc(pid, "status"), system.status()
    assert status is not None, f"the gateway does not answer: {system.log_tail('gateway')}"
    assert status["ledger"]["balanced"], status["ledger"]
    store, cpu = status["store"], proc(pid, "stat").rsplit(")", 1)[1].split()
    return {"s": time.monotonic() - began, "stored": status["ledger"]["stored"], "lag_ms": status["shed"]["lag_ms"],
            "anon_kib": field(memory, "RssAnon:"), "rss_kib": field(memory, "VmRSS:"),
            "file_kib": (store["disk_bytes"] - store["wal_bytes"]) // KIB, "wal_kib": store["wal_bytes"] // KIB,
            "cpu_s": (int(cpu[11]) + int(cpu[12])) / TICKS, "written": field(proc(pid, "io"), "write_bytes:")}


def tell(now, before):
    seconds, readings = now["s"] - before["s"], now["stored"] - before["stored"]
    say(f"{now['s']:7.0f}  {now['stored']:9}  {now['anon_kib']:8}  {now['rss_kib']:8}  {now['file_kib']:8}  "
        f"{now['wal_kib']:8}  {now['lag_ms']:6}  {100 * (now['cpu_s'] - before['cpu_s']) / seconds:5.1f}  "
        f"{(now['written'] - before['written']) / max(readings, 1):17.1f}")


def growth_kib(samples, key):
    """What the line of least squares through the samples rises by over their span."""
    n = len(samples)
    mean_s, mean = sum(x["s"] for x in samples) / n, sum(x[key] for x in samples) / n
    slope = (sum((x["s"] - mean_s) * (x[key] - mean) for x in samples)
             / sum((x["s"] - mean_s) ** 2 for x in samples))
    return slope * (samples[-1]["s"] - samples[0]["s"])


class Numbers:
    """What the journal holds of each device, whose numbers are 1, 2, 3, ..."""

    def __init__(self, system, published):
        self.held, self.duplicates, seen = 0, 0, {}
        export = subprocess.Popen([WEIR, "export", "--format", "csv"], stdout=subprocess.PIPE, env=system.environment)
        columns = next(export.stdout).decode().strip().split(",")
        device, sequence = columns.index("device"), columns.index("sequence")
        for line in export.stdout:
            cells = line.split(b",")
            numbers = seen.setdefault(cells[device], bytearray(2 * published // DEVICES + 10000))
            number = int(cells[sequence])
            self.held += 1 - numbers[number]
            self.duplicates += numbers[number]
            numbers[number] = 1
        assert export.wait() == 0
        self.holes = sum(self.holes_of(numbers) for numbers in seen.values())

    @staticmethod
    def holes_of(numbers):
        """Missing between those held. Behind the oldest, what arrived out of order may have gone with older blocks."""
        first, last = numbers.index(1), numbers.rfind(1)
        first += DISORDER_NUMBERS if first > 1 else 0
        return max(0, last + 1 - first - sum(numbers[first:]))


def run(system, seconds, rate):
    every_s, samples = (10 if seconds >= 300 else 1), []
    system.start_all()
    pid = system.processes["gateway"].pid
    fleet = system.start_fleet("--devices", str(DEVICES), "--rate", str(rate / DEVICES), "--duration", f"{seconds:.0f}s",
                               "--clean-for", "5s", "--fault-every", "20m", *DISORDER)
    began = time.monotonic()
    say(HEADER)
    while fleet.poll() is None:
        time.sleep(every_s)
        system.check_alive()
        samples.append(sample(system, pid, began))
        if len(samples) > 1:
            tell(samples[-1], samples[-2])
        assert samples[-1]["s"] < seconds + 120, "the fleet does not end"
    assert system.stop("fleet") == 0, system.log_tail("fleet")
    demo = Demo(system, {}, 1)
    demo.began = began
    demo.drain()
    return [s for s in samples if s["s"] <= seconds]


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    built()
    seconds = float(sys.argv[1]) * 60 if len(sys.argv) > 1 else 10
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with System() as system:
        samples = run(system, seconds, rate)
        status = system.status()
        with open(system.path("fleet.log")) as f:
            published = json.loads(f.read().splitlines()[-1])["published"]
        numbers = Numbers(system, published)
        assert system.stop("gateway") == 0
    removed = status["ledger"]["removed_total"]
    lost = published - numbers.held - removed
    judged = [s for s in samples if s["s"] >= WARM_UP * seconds]
    first, last = samples[0], samples[-1]
    readings = last["stored"] - first["stored"]
    result = {
        "seconds": round(seconds), "rate": rate, "published": published, "stored": status["ledger"]["stored"],
        "removed": removed, "lost": lost, "duplicates": numbers.duplicates, "holes": numbers.holes,
        "ledger_balanced": status["ledger"]["balanced"],
        "alerts_raised": status["engine"]["alerts_raised"], "readings_per_s": round(readings / (last["s"] - first["s"])),
        "rss_anon_max_kib": max(s["anon_kib"] for s in samples), "rss_max_kib": max(s["rss_kib"] for s in samples),
        "anon_growth_kib": round(growth_kib(judged, "anon_kib")), "rss_growth_kib": round(growth_kib(judged, "rss_kib")),
        "judged_s": round(judged[-1]["s"] - judged[0]["s"]), "lag_max_ms": max(s["lag_ms"] for s in samples),
        "wal_max_kib": max(s["wal_kib"] for s in samples), "file_kib": last["file_kib"],
        "cpu_s_per_million": round((last["cpu_s"] - first["cpu_s"]) * 1e6 / readings, 2),
        "written_bytes_per_reading": round((last["written"] - first["written"]) / readings, 1),
    }
    print(json.dumps(result))
    assert lost == 0 and numbers.duplicates == 0 and numbers.holes == 0 and result["ledger_balanced"]
    assert published == status["ledger"]["stored"]
    assert seconds < 300 or result["anon_growth_kib"] <= GROWTH_MAX_KIB, "memory grows"
    return 0


sys.exit(main())
