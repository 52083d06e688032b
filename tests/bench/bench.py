#!/usr/bin/env python3
"""make bench: what everything costs, all from one run, so that ratios mean something on a busy machine. `bench.py [--quick]`

One JSON line a case, then tables; all of it in build/bench/results.json too. The programs beside this file measure the pipeline alone. The rest is the whole
system of simulator/system.py, a real broker in front and a cloud's behind TLS:
  tap       1,000 devices publish; the gateway and `mosquitto_sub`, the floor of any client on libmosquitto, hear the
            same messages from the same broker at the same time, at QoS 1 and at QoS 0
  backlog   the same messages wait in the broker's session for each of the two, which takes them alone, as fast as it can
  memory    what the kernel says of the gateway with 100 devices and with 1,000
  disk      bytes written a reading at several rates, what the WAL's way into the file costs included
  commit    how long the commits took meanwhile, as the gateway tells it
  listener  devices publish to the gateway itself, 1,000 to 100,000 of them: listener_bench.py
CPU seconds a million readings are the figure to trust. --quick: seconds instead of minutes, to see that each case runs."""
import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
import listener_bench  # noqa: E402
from simulator.system import WEIR, System, built, say  # noqa: E402

BENCH = os.path.join(ROOT, os.environ.get("B", "build"), "bench")
FULL = {"rounds": 20, "checkpoints": ["1000", "10000", "100000"],
        "series": 60, "devices": 1000, "tap_rate": 10, "tap_s": 8, "backlog": 80000, "few": 100,
        "memory_s": 15, "disk": [(10, 1, 8), (100, 1, 8), (1000, 1, 8), (1000, 5, 8)]}
QUICK = {"rounds": 3, "checkpoints": ["1000"], "series": 4, "devices": 50, "tap_rate": 10, "tap_s": 2, "backlog": 2000, "few": 10,
         "memory_s": 3, "disk": [(10, 5, 2), (50, 10, 2)]}
results = []


def tell(bench, case, **figures):
    results.append({"bench": bench, "case": case, **figures})
    say(json.dumps(results[-1]))


def per_million(seconds, readings):
    return round(seconds * 1e6 / readings, 2)


# --- what the kernel says ----------------------------------------------------------------------------------------

def cpu_s(pid):
    """Of all threads, to the nanosecond; /proc/PID/stat counts in hundredths."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def kernel(pid, name, key):
    with open(f"/proc/{pid}/{name}") as f:
        return int(f.read().split(key + ":")[1].split()[0])


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --- the system --------------------------------------------------------------------------------------------------

class Bench(System):
    """A system with a gateway of default limits, asked for its status over one connection after the other."""

    def __enter__(self):
        super().__enter__()
        self.commits = {}
        return self

    def set(self, key, value):
        """Give the source one more key."""
        with open(self.config) as f:
            text = f.read()
        with open(self.config, "w") as f:
            f.write(text.replace("    backoff_min", f"    {key}: {value}\n    backoff_min", 1))

    def pid(self, name="gateway"):
        return self.processes[name].pid

    def status(self):
        """Cheaper than the command line, which would be most of what is measured."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.path("gateway/weir.sock"))
                s.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")
                answer = b""
                while part := s.recv(65536):
                    answer += part
            except OSError:
                return None
        store = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        self.commits[store["store"]["block"]] = store["store"]["commit_last_us"]
        return store

    def start_fleet(self, devices, rate, seconds, *more):
        return super().start_fleet("--devices", str(devices), "--rate", str(rate), "--duration", f"{seconds}s",
                                   "--fault-every", "0s", *more)

    def published(self):
        """By the fleet that has just ended."""
        assert self.stop("fleet", wait_s=60) == 0, self.log_tail("fleet")
        with open(self.path("fleet.log")) as f:
            return json.loads([line for line in f if line.startswith("{")][-1])["published"]

    def stored(self):
        return self.status()["ledger"]["stored"]

    def wait_fleet(self):
        while self.processes["fleet"].poll() is None:
            self.status()
            time.sleep(0.02)
        return self.published()

    def wait_stored(self, count, wait_s=60):
        self.wait(f"{count} readings stored", lambda: self.status() is not None and self.stored() >= count, wait_s)

    def subscribe(self, qos, *more, **kwargs):
        return ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.device_port), "-q", str(qos), "-t", "telemetry/#",
                "-F", ".", *more]


def count_lines(path):
    with open(path, "rb") as f:
        return f.read().count(b"\n")


# --- cases -------------------------------------------------------------------------------------------------------

def programs(plan):
    rounds = str(plan["rounds"])
    for command in (["pipeline_bench", rounds], ["streams_bench", rounds], ["block_bench"],
                    ["checkpoint_bench", *plan["checkpoints"]], ["detectors_bench", str(plan["series"]), "1000"]):
        done = subprocess.run([os.path.join(BENCH, command[0]), *command[1:]], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            figures = json.loads(line)
            tell(figures.pop("bench"), figures.pop("case"), **figures)


def tap(plan, qos):
    with Bench() as b:
        b.set("qos", qos)
        b.start_all()
        heard = b.path("heard")
        with open(heard, "wb") as f:
            b.start("sub", b.subscribe(qos), stdout=f)
        time.sleep(0.5)
        names = ("gateway", "sub", "broker")
        before = {name: cpu_s(b.pid(name)) for name in names}
        began = time.monotonic()
        b.start_fleet(plan["devices"], plan["tap_rate"], plan["tap_s"])
        published = b.wait_fleet()
        b.wait_stored(published if qos else int(published * 0.9))
        seconds = time.monotonic() - began
        used = {name: cpu_s(b.pid(name)) - before[name] for name in names}
        b.stop("sub")
        stored, floor = b.stored(), count_lines(heard)
        tell("tap", f"qos_{qos}", readings=stored, readings_a_second=round(stored / seconds),
             cpu_s_a_million=per_million(used["gateway"], stored),
             mosquitto_sub_readings=floor, mosquitto_sub_cpu_s_a_million=per_million(used["sub"], floor),
             broker_cpu_s_a_million=per_million(used["broker"], 2 * published),
             times_the_floor=round(used["gateway"] / stored / (used["sub"] / floor), 2))


def backlog(plan):
    with Bench() as b:
        b.start_all()
        assert b.stop("gateway") == 0
        session = ["-c", "-i", "floor"]
        subprocess.run(b.subscribe(1, *session, "-E"), check=True, stdout=subprocess.DEVNULL)
        b.start_fleet(plan["devices"], 20, plan["backlog"] // plan["devices"] // 20)
        while b.processes["fleet"].poll() is None:
            time.sleep(0.1)
        count = b.published()
        cpu, began = children_cpu_s(), time.monotonic()
        subprocess.run(b.subscribe(1, *session, "-C", str(count)), check=True, stdout=subprocess.DEVNULL, timeout=120)
        floor_s, floor_cpu = time.monotonic() - began, children_cpu_s() - cpu
        began = time.monotonic()
        b.start_gateway()
        b.wait_stored(count, 120)  # it may have all of them before it first answers, so its start is in both figures
        seconds, used = time.monotonic() - began, cpu_s(b.pid())
        tell("tap", "backlog_qos_1", readings=count, readings_a_second=round(count / seconds),
             cpu_s_a_million=per_million(used, count), mosquitto_sub_readings=count,
             mosquitto_sub_readings_a_second=round(count / floor_s),
             mosquitto_sub_cpu_s_a_million=per_million(floor_cpu, count),
             times_the_floor=round(used / floor_cpu, 2))


def memory(plan):
    with Bench() as b:
        b.start_all()
        kib = {"idle": (kernel(b.pid(), "status", "RssAnon"), kernel(b.pid(), "status", "VmRSS"))}
        stored = 0
        for devices in (plan["few"], plan["devices"]):
            b.start_fleet(devices, 2, plan["memory_s"])
            stored += b.wait_fleet()
            b.wait_stored(stored)
            kib[devices] = (kernel(b.pid(), "status", "RssAnon"), kernel(b.pid(), "status", "VmRSS"))
        subprocess.run([WEIR, "export", "--format", "csv"], check=True, stdout=subprocess.DEVNULL, env=b.environment)
        many, more = plan["devices"], plan["devices"] - plan["few"]
        tell("memory", f"daemon_{many}_devices", rss_anon_kib=kib[many][0], vm_rss_kib=kib[many][1],
             idle_rss_anon_kib=kib["idle"][0], idle_vm_rss_kib=kib["idle"][1],
             rss_anon_bytes_a_device=round((kib[many][0] - kib[plan["few"]][0]) * 1024 / more),
             rss_anon_kib_after_an_export=kernel(b.pid(), "status", "RssAnon"))


def disk(plan):
    with Bench() as b:
        b.start_all()
        first = kernel(b.pid(), "io", "write_bytes")
        stored = 0
        for devices, rate, seconds in plan["disk"]:
            before, commits = kernel(b.pid(), "io", "write_bytes"), b.status()["store"]["commits"]
            b.start_fleet(devices, rate, seconds)
            count = b.wait_fleet()
            stored += count
            b.wait_stored(stored)
            time.sleep(0.2)
            written, commits = kernel(b.pid(), "io", "write_bytes") - before, b.status()["store"]["commits"] - commits
            tell("disk", f"{devices * rate}_readings_a_second", readings=count, commits=commits,
                 written_bytes_a_reading=round(written / count, 1), written_bytes_a_commit=round(written / commits))
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
        for name in ("gateway",):
            assert b.stop(name) == 0
        whole = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - children) * 512
        tell("disk", "all_of_them_and_the_wal_moved", readings=stored,
             written_bytes_a_reading=round((whole - first) / stored, 1))
        latencies = sorted(us for us in b.commits.values() if us > 0)
        if latencies:
            tell("commit", "latency", commits_seen=len(latencies), p50_us=latencies[len(latencies) // 2],
                 p99_us=latencies[len(latencies) * 99 // 100], max_us=latencies[-1])


# --- the table ---------------------------------------------------------------------------------------------------

def find(bench, case):
    return next(r for r in results if r["bench"] == bench and r["case"].startswith(case))


def table(plan):
    rows = []
    for case in ("scan", "check_and_cjson", "decode", "admit_and_apply", "decode_to_detectors",
                 "decode_to_journal_block"):
        r = find("pipeline", case)
        rows.append((f"pipeline: {case.replace('_', ' ')}", f"{r['cpu_s_a_million']:.2f}", f"{r['readings_a_second']:,}"))
    for case in ("qos_1", "qos_0", "backlog_qos_1"):
        r = find("tap", case)
        rows.append((f"tap, {case.replace('_', ' ')}", f"{r['cpu_s_a_million']:.2f}", f"{r['readings_a_second']:,}"))
        rate = r.get("mosquitto_sub_readings_a_second")
        rows.append(("  mosquitto_sub, the same messages", f"{r['mosquitto_sub_cpu_s_a_million']:.2f}",
                     f"{rate:,}" if rate else ""))
    say(f"\n{'':44}  CPU s a million  readings a second")
    for name, cpu, rate in rows:
        say(f"{name:44}  {cpu:>15}  {rate:>17}")
    device, daemon = find("memory", "a_device"), find("memory", "daemon")
    say(f"\nmemory: {device['bytes']} bytes a device with one metric in the engine, {daemon['rss_anon_bytes_a_device']} "
        f"of RssAnon; with {plan['devices']} devices RssAnon {daemon['rss_anon_kib']} KiB, VmRSS {daemon['vm_rss_kib']} KiB")
    say("disk, bytes written a reading: " + ", ".join(
        f"{r['written_bytes_a_reading']} ({r['case'].replace('_', ' ')})" for r in results if r["bench"] == "disk"))
    commit = find("commit", "latency")
    say(f"commit: p50 {commit['p50_us'] / 1000:.1f} ms, p99 {commit['p99_us'] / 1000:.1f} ms, max "
        f"{commit['max_us'] / 1000:.1f} ms of {commit['commits_seen']}")
    ratio = find("pipeline", "check_and_cjson")["ns_median"] / find("pipeline", "scan")["ns_median"]
    say(f"the scanner takes 1/{ratio:.1f} of the time of check and cJSON")


def main():
    parser = argparse.ArgumentParser(description="What everything costs, from one run.")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    plan = QUICK if parser.parse_args().quick else FULL
    built()
    began = time.monotonic()
    programs(plan)
    tap(plan, 1)
    tap(plan, 0)
    backlog(plan)
    memory(plan)
    disk(plan)
    listener_bench.measure_all(lambda case, **figures: tell("listener", case, **figures), plan is QUICK)
    table(plan)
    listener_bench.table([r for r in results if r["bench"] == "listener"])
    with open(os.path.join(BENCH, "results.json"), "w") as f:
        json.dump(results, f, indent=1)
    say(f"\n{time.monotonic() - began:.0f} s")


main()
