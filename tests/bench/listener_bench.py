#!/usr/bin/env python3
"""What a reading costs that a device publishes to the gateway itself: the whole job, from its socket to the commit.

`listener_bench.py [--quick] [--only CASE] [--out FILE.json]`, and a part of `make bench`. Each row is a gateway of its own
on a new store, with FULL commits and the usual detectors, under a load of 78 bytes of JSON a reading on 16 connections. At the end
its journal is read back: a row counts only if as many readings are held as were sent, and none was shed. Every device of
the load sends a reading a second by its own clock, so windows open and close as they do in the field.

The load source is `mqttload.c` and the floor `floor_e2e.c` of the directory $WEIR_LOAD_TOOLS (else ../shared/tools/bench);
without them every row says "skipped". `mosquitto_sub` and the floor are measured in the same run, on the same messages.
CPU seconds a million readings (user and system, all threads, without the start) are the figure to trust."""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
TOOLS = os.environ.get("WEIR_LOAD_TOOLS", os.path.join(ROOT, "../shared/tools/bench"))
CONNECTIONS = 16
QUICK_SHARE = 100  # of the readings of a row: one in so many
# name: devices, QoS, commit.max_age, readings, readings a second (0: as fast as they are taken), and what is wanted
ROWS = {
    "1k_qos_0": dict(devices=1000, qos=0, age="2s", count=2000000, cpu=0.6, rss_anon=6, vm_rss=20),
    "1k_qos_1": dict(devices=1000, qos=1, age="5ms", count=1000000, cpu=1.0),
    "10k_qos_0": dict(devices=10000, qos=0, age="2s", count=2000000, cpu=0.8),
    "10k_qos_1": dict(devices=10000, qos=1, age="5ms", count=1000000),
    "100k_qos_0": dict(devices=100000, qos=0, age="2s", count=2000000, cpu=1.2, rss_anon=160, random=True),
    "100k_qos_1": dict(devices=100000, qos=1, age="5ms", count=1000000, random=True),
    "1k_qos_0_400_bytes": dict(devices=1000, qos=0, age="2s", count=1000000, payload=400),
    "10k_a_second_qos_0": dict(devices=1000, qos=0, age="2s", count=100000, rate=10000, cpu=2.5),
    "10k_a_second_qos_1": dict(devices=1000, qos=1, age="100ms", count=100000, rate=10000, window=500, ack_p99=150),
    "disk_full_speed": dict(devices=1000, qos=0, age="2s", count=1000000, disk=20),
    "disk_1k_a_second": dict(devices=1000, qos=0, age="2s", count=15000, rate=1000, disk=40),
}


def say(text):
    print(text, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tool(name, *libraries):
    """A program of the load tools, compiled; None: they are not here."""
    source, to = os.path.join(TOOLS, name + ".c"), os.path.join(BUILD, "bench", name)
    if not os.path.exists(source):
        return None
    os.makedirs(os.path.dirname(to), exist_ok=True)
    subprocess.run(["cc", "-O2", "-w", "-o", to, source, *libraries], check=True)
    return to


def load_command(port, row, serves=False):
    step_us = 1000 if row.get("random") else max(1, 1000000 // row["devices"])
    begins_ms = int(time.time() * 1000) - row["count"] * step_us // 1000
    command = [os.path.join(BUILD, "bench/mqttload"), "-h", "127.0.0.1", "-p", port, "-q", row["qos"], "-d", row["devices"],
               "-n", row["count"], "-r", row.get("rate", 0), "-c", 1 if serves else CONNECTIONS, "-w", row.get("window", 100),
               "-t", "sensors/{device}/temperature", "-T", step_us, "-B", begins_ms, "-l", 0]
    if "payload" in row:  # the usual one, and a text that nobody wants
        usual = '{"device":"{device}","ts":{ts},"metric":"temperature","value":{value}'
        command += ["-m", usual + ',"note":"' + "x" * (row["payload"] - 88) + '"}']
    return [str(part) for part in command + ["-R"] * row.get("random", False) + ["-S"] * serves]


# --- a gateway ---------------------------------------------------------------------------------------------------

CONFIG = """\
gateway: {{name: bench, data_dir: {dir}/data, socket: {dir}/weir.sock, memory_max: 1GiB}}
clock: {{trust: system}}
limits: {{devices: {devices}, series: {series}}}
commit: {{max_age: {age}}}
shed: {{enrichment_lag: 4500ms}}
store: {{disk_max: 2GiB, journal_share: 70, alerts_share: 5, results_share: 5, raw_share: 5, letters_share: 5}}
sources:
  - name: devices
    listen: mqtt://127.0.0.1:{port}
    anonymous: true
    connections: {connections}
    payload: {{time: /ts}}
    topics: ["sensors/{{device}}/{{metric}}"]
"""


class Gateway:
    def __init__(self, row, directory):
        self.dir, self.port = directory, free_port()
        with open(os.path.join(directory, "weir.yaml"), "w") as f:
            f.write(CONFIG.format(dir=directory, port=self.port, connections=CONNECTIONS, devices=row["devices"],
                                  series=max(2000, row["devices"]), age=row["age"]))
        self.log = open(os.path.join(directory, "log"), "w")
        self.process = subprocess.Popen([os.path.join(BUILD, "weir"), "run", "-c", os.path.join(directory, "weir.yaml")],
                                        stdout=self.log, stderr=self.log)
        self.most = {"RssAnon": 0, "VmRSS": 0}
        self.wait(lambda status: status is not None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def ask(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.dir, "weir.sock"))
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := s.recv(65536):
                answer += part
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])

    def status(self):
        if self.process.poll() is not None:
            with open(self.log.name) as f:
                raise RuntimeError(f"the gateway ended:\n{f.read()[-2000:]}")
        try:
            return self.ask("/api/v1/status")
        except OSError:
            return None

    def wait(self, judge, wait_s=60):
        until = time.monotonic() + wait_s
        while not judge(status := self.status()):
            assert time.monotonic() < until, json.dumps(status)
            time.sleep(0.05)
        return status

    def cpu_s(self):
        """Of all threads, to the nanosecond; /proc/PID/stat counts in hundredths."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def look_at_memory(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            text = f.read()
        for key, most in self.most.items():
            if key + ":" in text:  # not of a process that is ending
                self.most[key] = max(most, int(text.split(key + ":")[1].split()[0]))

    def held(self):
        """Readings in the journal, counted by reading it."""
        export = subprocess.Popen([os.path.join(BUILD, "weir"), "export", "--format", "csv", "-s",
                                   os.path.join(self.dir, "weir.sock")], stdout=subprocess.PIPE)
        lines = int(subprocess.run(["wc", "-l"], stdin=export.stdout, capture_output=True, check=True).stdout)
        assert export.wait() == 0
        return lines - 1

    def stop(self):
        """With the checkpoint that a stop takes: all of the memory is in use once."""
        self.process.send_signal(signal.SIGTERM)
        while self.process.poll() is None:
            self.look_at_memory()
            time.sleep(0.005)
        assert self.process.returncode == 0, self.process.returncode


class Disk:
    """A directory; as a file system of its own, which counts what reaches the device, where the user may make one."""

    def __init__(self, device):
        self.dir, self.device = tempfile.mkdtemp(prefix="weir-bench-"), None
        if not device or os.geteuid() != 0:
            return
        image = self.dir + ".img"
        try:
            with open(image, "wb") as f:
                f.truncate(1 << 30)
            self.run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
            self.device = self.run("losetup", "-f", "--show", image).strip()
            self.run("mount", self.device, self.dir)
        except (OSError, subprocess.CalledProcessError):
            self.close_device()

    @staticmethod
    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def written(self):
        self.run("sync", "-f", self.dir)
        with open(f"/sys/block/{os.path.basename(self.device)}/stat") as f:
            return int(f.read().split()[6]) * 512

    def close_device(self):
        if self.device is not None:
            subprocess.run(["umount", self.dir], capture_output=True, check=False)  # it may not have been mounted
            self.run("losetup", "-d", self.device)
        self.device = None
        os.unlink(self.dir + ".img")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.device is not None:
            self.close_device()
        shutil.rmtree(self.dir)


# --- rows --------------------------------------------------------------------------------------------------------

def drive(gateway, row):
    load = subprocess.Popen(load_command(gateway.port, row), stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        gateway.look_at_memory()
        time.sleep(0.02)
    sent = json.loads(load.stdout.read())
    status = gateway.wait(lambda now: now is not None and now["ledger"]["received"] >= sent["sent"]
                          and now["ledger"]["pending"] == 0)
    return sent, status["ledger"]


def measure(row):
    """The figures of one row."""
    with Disk("disk" in row) as disk, Gateway(row, disk.dir) as gateway:
        before_s, before_bytes = gateway.cpu_s(), disk.written() if disk.device else None
        sent, ledger = drive(gateway, row)
        used_s = gateway.cpu_s() - before_s
        figures = {"devices": row["devices"], "qos": row["qos"], "commit_max_age": row["age"], "sent": sent["sent"],
                   "cpu_s_a_million": round(used_s * 1e6 / sent["sent"], 3), "readings_a_second": round(sent["msgs_per_s"]),
                   **{key: value for key, value in sent.items() if key.startswith("ack_us")}}
        figures["in_the_journal"], figures["shed"] = gateway.held(), sum(ledger["shed"].values())
        if before_bytes is not None:
            figures["device_bytes_a_reading"] = round((disk.written() - before_bytes) / sent["sent"], 1)
        gateway.look_at_memory()
        running = dict(gateway.most)
        gateway.stop()
        figures.update(rss_anon_kib=running["RssAnon"], vm_rss_kib=running["VmRSS"],
                       rss_anon_kib_with_checkpoint=gateway.most["RssAnon"])
    assert figures["in_the_journal"] == ledger["stored"] == sent["sent"] and figures["shed"] == 0, (figures, ledger)
    return figures


def floor(command, row, port):
    """CPU of a program that hears the same messages from the load source itself, start included."""
    load = subprocess.Popen(load_command(port, row, serves=True), stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    heard = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    try:
        sent = json.loads(load.communicate(timeout=60)[0])["sent"]
    finally:
        load.kill()
        os.kill(heard.pid, signal.SIGTERM)  # not by terminate(), which may reap it and its figures
    used = os.wait4(heard.pid, 0)[2]
    heard.returncode = 0
    return {"devices": row["devices"], "qos": row["qos"], "sent": sent,
            "cpu_s_a_million": round((used.ru_utime + used.ru_stime) * 1e6 / sent, 3)}


def floors(row):
    port = free_port()
    yield "floor_e2e", floor([os.path.join(BUILD, "bench/floor_e2e"), port, 2, row["qos"]], row, port)
    if shutil.which("mosquitto_sub"):
        yield "mosquitto_sub", floor(["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-q", row["qos"], "-t", "sensors/#"],
                                     row, port)


def judge(figures, row):
    """What is wanted of the row, and whether it is met."""
    wanted = {"cpu_s_a_million": row.get("cpu"), "device_bytes_a_reading": row.get("disk"),
              "ack_us_p99": row["ack_p99"] * 1000 if "ack_p99" in row else None,
              "rss_anon_kib_with_checkpoint": row["rss_anon"] * 1024 if "rss_anon" in row else None,
              "vm_rss_kib": row["vm_rss"] * 1024 if "vm_rss" in row else None}
    wanted = {key: most for key, most in wanted.items() if most is not None}
    return {"wanted": wanted, "missed": [key for key, most in wanted.items() if key in figures and figures[key] > most]}


def measure_all(tell, quick=False, only=None):
    """Tell each row, as soon as it is measured, by name and figures."""
    if tool("mqttload") is None or tool("floor_e2e", "-lcjson", "-lm") is None:
        tell("skipped", why=f"no load source in {TOOLS}; WEIR_LOAD_TOOLS says where it is")
        return
    for name, row in ROWS.items():
        if only is not None and only != name:
            continue
        row = dict(row, count=row["count"] // QUICK_SHARE) if quick else row
        figures = measure(row)
        tell(name, **figures, **judge(figures, row))
    for qos in (0, 1) if only is None else ():
        row = dict(ROWS[f"1k_qos_{qos}"], count=1000000 // (QUICK_SHARE if quick else 1))
        for name, figures in floors(row):
            tell(f"{name}_qos_{qos}", **figures)


def table(results):
    for r in [r for r in results if r["case"] == "skipped"]:
        say(f"\nthe listener: skipped: {r['why']}")
        return
    say(f"\n{'':20} {'devices':>8} {'QoS':>3} {'commit':>6} {'CPU s a million':>15} {'readings/s':>10} {'ack p99':>8} "
        f"{'RssAnon':>7} {'VmRSS':>6} {'bytes/reading':>13}  missed")
    for r in results:
        ack = f"{r['ack_us_p99'] / 1000:.1f} ms" if "ack_us_p99" in r else ""
        anon = f"{r['rss_anon_kib_with_checkpoint'] / 1024:.1f}" if "rss_anon_kib" in r else ""
        rss = f"{r['vm_rss_kib'] / 1024:.1f}" if "vm_rss_kib" in r else ""
        say(f"{r['case']:20} {r['devices']:>8,} {r['qos']:>3} {r.get('commit_max_age', ''):>6} {r['cpu_s_a_million']:>15.2f} "
            f"{r.get('readings_a_second', ''):>10} {ack:>8} {anon:>7} {rss:>6} {r.get('device_bytes_a_reading', ''):>13}  "
            f"{', '.join(r.get('missed', []))}")


def main():
    parser = argparse.ArgumentParser(description="What a reading costs that a device publishes to the gateway itself.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the readings")
    parser.add_argument("--only", choices=ROWS, help="one row")
    parser.add_argument("--out", metavar="FILE.json", help="write the results there too")
    arguments = parser.parse_args()
    results = []

    def tell(case, **figures):
        results.append({"bench": "listener", "case": case, **figures})
        say(json.dumps(results[-1]))
    measure_all(tell, arguments.quick, arguments.only)
    table(results)
    if arguments.out:
        with open(arguments.out, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    sys.exit(main())
