#!/usr/bin/env python3
"""Goal: ten times more than the gateway can take is handled in the declared order. Levels go up and come down one by one,
readings of QoS 0 are dropped and counted, those of QoS 1 and 2 are slowed: each one acknowledged is stored, their alerts are
those of a run without a load, the ledger balances, and soon after the load nothing is shed any more. Who connects meanwhile with
MQTT 5 is told a smaller receive maximum.
Method: the gateway is held to a tenth of a core (a cgroup's quota, else SIGSTOP and SIGCONT at 9 to 1), and its rate at
QoS 0 is measured. Then ten times that is offered at QoS 0, by schedule, for SECONDS (10 in the test, 60 with the default thresholds by
`make overload`; overload_test.py SECONDS signals: without a cgroup), and twelve devices send numbered readings, eight at QoS 1 and four at QoS 2, some
of them anomalous. What was due and could not be sent is not sent later. The same readings of QoS 1 and 2 go to another gateway in peace."""
# Alone: it measures.
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, Place, free_port, skip_without, wait_until  # noqa: E402
from weir_mqtt import V5, Client, packet, text  # noqa: E402

ONCE, DEVICES, FLOODS, PERIOD_S, BLOCK = 8, 12, 24, 0.1, 1000  # the first ONCE devices send at QoS 1, the others at QoS 2
PUBACK, PUBREC, PUBCOMP = 0x40, 0x50, 0x70
SEED_MS = (int(time.time()) - 3600) * 1000
WINDOW, RECEIVE_MAXIMUM = 100, 200  # of a device: sent and not acknowledged; and what may be

CONFIG = """clock: {{trust: system}}
sources:
  - name: devices
    listen: mqtt://127.0.0.1:{port}
    anonymous: true
    receive_maximum: 200
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: /v, sequence: /n, time: /t}}
usual: {{all: false}}
detectors: [{{type: limit, high: 80, cooldown: 0s, clear_after: 0s, chatter: false}}]
commit: {{max_age: 100ms}}
store: {{disk_max: 2GiB}}
shed: {shed}
uplink: {{url: "mqtt://127.0.0.1:{cloud}", raw: true}}
"""
OFF = "{enrichment_lag: 0, optional_lag: 0, sources_lag: 0, qos0_lag: 0}"
QUICK = "{enrichment_lag: 300ms, optional_lag: 600ms, sources_lag: 1s, qos0_lag: 1500ms, enter: 200ms, leave: 1s}"


# --- a tenth of a core ---

class Tenth:
    """Of a core for one process. Left after the process has ended, so that nothing of it stays behind."""

    def __init__(self, how=""):
        self.wanted, self.how, self.group, self.pid, self.thread = how, "", None, None, None
        self.ended = threading.Event()

    def __enter__(self):
        return self

    def hold(self, pid):
        self.pid = pid
        for root, quota, value in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "10000"),
                                   ("/sys/fs/cgroup", "cpu.max", "10000 100000")):
            if self.wanted != "signals" and self.enter(os.path.join(root, f"weir-overload-{os.getpid()}"), quota, value):
                self.how = f"by a cgroup's {quota}"
                return
        self.how = "by SIGSTOP and SIGCONT"
        self.thread = threading.Thread(target=self.stop_and_go)
        self.thread.start()

    def enter(self, group, quota, value):
        try:
            os.mkdir(group)
        except OSError:
            return False
        self.group = group
        try:
            for name, what in ((quota, value), ("cgroup.procs", str(self.pid))):
                with open(os.path.join(group, name), "w") as f:
                    f.write(what)
            return True
        except OSError:
            os.rmdir(group)
            self.group = None
            return False

    def stop_and_go(self):
        while not self.ended.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(0.9 * PERIOD_S)
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(0.1 * PERIOD_S)

    def release(self):
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        if self.group is not None:
            with open(os.path.join(os.path.dirname(self.group), "cgroup.procs"), "w") as f:
                f.write(str(self.pid))

    def __exit__(self, *_):
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        if self.group is not None:
            with open(os.path.join(self.group, "cgroup.procs")) as f:
                wait_until("the group is empty", lambda: f.seek(0) == 0 and not f.read())
            os.rmdir(self.group)


# --- devices ---

def connect(port, name):
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(60)
    s.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text(name)))
    assert s.recv(4) == b"\x20\x02\x00\x00", name
    return s


def reading(device, n):
    """The same each time that it is asked for: its number, its time, and now and then a value over the limit."""
    hot = (n * 7 + device * 13) % 50 == 0
    payload = b'{"v":%d,"n":%d,"t":%d}' % (95 if hot else 20 + n % 10, n, SEED_MS + n * 100 + device)
    return packet(0x32 if device < ONCE else 0x34, text(f"t/q{device}/temp") + ((n - 1) % 65535 + 1).to_bytes(2, "big") + payload)


class Device(threading.Thread):
    """Sends `count` readings at QoS 1 or 2 by schedule, at most a window ahead of its acknowledgements."""

    def __init__(self, port, number, count, per_second):
        super().__init__()
        self.number, self.count, self.per_second, self.recorded = number, count, per_second, 0
        self.socket, self.acknowledged, self.failed = connect(port, f"q{number}"), 0, None

    def run(self):
        try:
            self.talk()
        except (OSError, AssertionError) as failure:
            self.failed = failure

    def talk(self):
        began, sent, buffer = time.monotonic(), 0, b""
        while self.acknowledged < self.count:
            due = min(self.count, int((time.monotonic() - began) * self.per_second), self.acknowledged + WINDOW)
            if due > sent:
                self.socket.settimeout(60)
                self.socket.sendall(b"".join(reading(self.number, n + 1) for n in range(sent, due)))
                sent = due
            elif sent == self.acknowledged:
                time.sleep(0.01)
                continue
            if sent < self.acknowledged + WINDOW and sent < self.count:
                self.socket.settimeout(0.02)
            else:
                self.socket.settimeout(60)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            assert data, f"q{self.number}: the connection ended after {self.acknowledged} acknowledgements"
            buffer += data
            whole = len(buffer) // 4 * 4
            for at in range(0, whole, 4):
                self.hear(buffer[at:at + 4])
            buffer = buffer[whole:]

    def hear(self, answer):
        kind = answer[0]
        assert answer[1] == 2 and kind in ((PUBACK,) if self.number < ONCE else (PUBREC, PUBCOMP)), answer
        if kind == PUBREC:
            self.recorded += 1
            self.socket.settimeout(60)
            self.socket.sendall(b"\x62" + answer[1:])
        else:
            self.acknowledged += 1
        want = ((self.recorded if kind == PUBREC else self.acknowledged) - 1) % 65535 + 1
        assert int.from_bytes(answer[2:4], "big") == want, "out of order"


class Flood(threading.Thread):
    """Offers so many readings a second at QoS 0, on FLOODS connections. What is due while a line is full is not sent
    later."""

    def __init__(self, port, per_second, seconds):
        super().__init__()
        self.per_second, self.seconds, self.sent, self.due = per_second, seconds, 0, 0
        self.block = b"".join(packet(0x30, text(f"t/f{i % 40}/temp") + b'{"v":%d}' % (20 + i % 10)) for i in range(BLOCK))
        self.lines = {connect(port, f"flood-{number}"): b"" for number in range(FLOODS)}
        self.passed = dict.fromkeys(self.lines, 0)  # bytes, until the end

    def run(self):
        began = time.monotonic()
        for line in self.lines:
            line.setblocking(False)
        while (now := time.monotonic() - began) < self.seconds:
            self.due = int(now * self.per_second)
            _, ready, _ = select.select([], self.lines, [], 0.01)
            for line in ready:
                if not self.lines[line] and self.sent + BLOCK <= self.due:
                    self.lines[line] = self.block
                    self.sent += BLOCK
                passed = line.send(self.lines[line])
                self.passed[line] += passed
                self.lines[line] = self.lines[line][passed:]
            if self.sent + BLOCK > self.due:
                time.sleep(0.005)

    def finish(self):
        """What was begun is sent whole, so that it can be counted."""
        for line, rest in self.lines.items():
            line.settimeout(120)
            line.sendall(rest)
            line.shutdown(socket.SHUT_WR)
        for line in self.lines:
            while line.recv(4096):
                pass
            line.close()


# --- the cloud ---

class Cloud:
    def __init__(self, place):
        self.place, self.port = place, place.start_broker("cloud")
        self.path = place.path("alerts.jsonl")
        self.out = open(self.path, "wb")
        place.processes["receiver"] = subprocess.Popen(
            ["mosquitto_sub", "-p", str(self.port), "-q", "1", "-t", "weir/gw-test/alerts", "-i", "receiver"],
            stdout=self.out, stdin=subprocess.DEVNULL)

    def events(self):
        with open(self.path) as f:
            return [json.loads(line) for line in f.read().splitlines(keepends=True) if line.endswith("\n")]

    def alerts(self):
        """Each that was raised for a reading of QoS 1 or 2: device and event time, which its number gives."""
        found = [e for e in self.events() if e["type"].endswith("alert.v1") and e["data"]["device"].startswith("q")]
        return {(e["data"]["device"], e["data"]["rule"], e["time"]) for e in found if e["data"]["state"] == "raised"}

    def levels(self):
        return [(e["data"]["facts"], e["data"]["cause"]) for e in self.events()
                if e["type"].endswith("notice.v1") and e["data"]["kind"] == "shed_level"]


def start(place, shed):
    cloud, port = Cloud(place), free_port()
    place.write_config(CONFIG.format(port=port, cloud=cloud.port, shed=shed))
    gateway = place.start_gateway()
    place.wait_status("the cloud is there", lambda s: s["uplink"]["connected"])
    return cloud, port, gateway.pid


def all_arrived(place, cloud):
    lane = place.wait_status("all alerts have left", lambda s: s["ledger"]["pending"] == 0 and
                             s["lanes"]["alerts"]["covered"] + 1 == s["lanes"]["alerts"]["next"], 60)["lanes"]["alerts"]
    wait_until("the last of them arrives", lambda: int(cloud.events()[-1]["sequence"]) == lane["next"] - 1)


def send_readings(port, count, per_second):
    devices = [Device(port, number, count, per_second) for number in range(DEVICES)]
    for device in devices:
        device.start()
    return devices


def join(devices):
    for device in devices:
        device.join(300)
        assert device.failed is None, device.failed
        assert device.acknowledged == device.count
        device.socket.close()


class Newcomer(threading.Thread):
    """Connects with MQTT 5 once a source is read less, and notes what it is told."""

    def __init__(self, place, port):
        super().__init__()
        self.place, self.port, self.level, self.told = place, port, 0, None
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.1) and self.told is None:
            self.level = self.place.status()["shed"]["level"]
            if self.level >= 3:
                client = Client(self.port, "newcomer", V5, keep_alive=0)
                at = client.properties.index(b"\x21")
                self.told = int.from_bytes(client.properties[at + 1:at + 3], "big")
                client.close()


# --- the runs ---

def measure(how, seconds=3):
    """Readings a second at QoS 0, held to a tenth of a core, with nothing left out."""
    with Tenth(how) as tenth, Place() as place:
        _, port, pid = start(place, OFF)
        tenth.hold(pid)
        flood = Flood(port, 1e9, seconds + 2)
        flood.start()
        time.sleep(1)
        first, began = place.status()["ledger"]["received"], time.monotonic()
        time.sleep(seconds)
        last, took = place.status()["ledger"]["received"], time.monotonic() - began
        flood.join()
        return (last - first) / took


def in_peace(count):
    with Place() as place:
        cloud, port, _ = start(place, OFF)
        join(send_readings(port, count, 1e9))
        all_arrived(place, cloud)
        return cloud.alerts()


def check_levels(changes):
    level, highest = 0, 0
    for facts, _ in changes:
        assert facts["previous_level"] == level and abs(facts["level"] - level) == 1, (level, facts)
        assert (facts["duration_ms"] > 0) == (facts["level"] < level), facts
        level = facts["level"]
        highest = max(highest, level)
    assert highest == 4 and level == 0, f"the highest level was {highest}, the last {level}"


def check_stored(place, count):
    numbers = {}
    export = subprocess.Popen([os.path.join(ROOT, os.environ.get("B", "build"), "weir"), "export", "-s", place.socket],
                              stdout=subprocess.PIPE, text=True)
    for line in export.stdout:
        if '"device":"q' in line:
            record = json.loads(line)
            if record["kind"] == "reading":
                numbers.setdefault(record["device"], []).append(record["sequence"])
    assert export.wait() == 0
    for number in range(DEVICES):
        assert sorted(numbers[f"q{number}"]) == list(range(1, count + 1)), f"q{number}: not each reading once"


def overload(seconds, shed, how):
    rate = measure(how)
    per_device = min(rate * 0.3 / DEVICES, 250)  # so that Python can follow
    count = int(per_device * seconds)
    with Tenth(how) as tenth, Place() as place:
        cloud, port, pid = start(place, shed)
        tenth.hold(pid)
        flood = Flood(port, 10 * rate, seconds)
        devices = send_readings(port, count, per_device)
        newcomer = Newcomer(place, port)
        newcomer.start()
        flood.start()
        flood.join()
        flood.finish()
        newcomer.ended.set()
        ended = time.monotonic()
        place.wait_status("level 0", lambda s: s["shed"]["level"] == 0, 60)
        calm_s = time.monotonic() - ended
        join(devices)
        tenth.release()
        wait_until("the notice of level 0 arrives", lambda: cloud.levels()[-1][0]["level"] == 0)
        all_arrived(place, cloud)
        want = flood.sent + DEVICES * count
        ledger = place.wait_status("all is counted", lambda s: s["ledger"]["received"] == want)["ledger"]
        slowest, fastest = min(flood.passed.values()), max(flood.passed.values())
        shed_count, levels = ledger["shed"]["qos0_overload"], cloud.levels()
        print(f"  a tenth of a core {tenth.how} takes {rate:.0f} readings/s; at QoS 0 {flood.due / seconds:.0f}/s were "
              f"offered for {seconds} s, {flood.sent} sent, {shed_count} of them shed; {ONCE * count} at QoS 1 and "
              f"{(DEVICES - ONCE) * count} at QoS 2, all acknowledged; level 0 {calm_s:.1f} s after the load")
        print("  levels " + " ".join(["0"] + [f"{facts['level']:.0f}" for facts, _ in levels]))
        assert slowest > fastest / 4, f"connections are read unevenly: {slowest} to {fastest} bytes"
        assert calm_s < 30, "it took too long to come to rest"
        assert ledger["balanced"] and ledger["stored"] + shed_count == ledger["received"], ledger
        assert ledger["duplicate"] == ledger["rejected_total"] == 0, ledger
        assert shed_count > 0 and ledger["raw_left_out"] > 0, ledger
        check_levels(levels)
        newcomer.join()
        assert newcomer.told == RECEIVE_MAXIMUM // 8, f"{newcomer.told} at level {newcomer.level}"
        check_stored(place, count)
        loaded = cloud.alerts()
    peaceful = in_peace(count)
    assert loaded and loaded == peaceful, f"{len(loaded - peaceful)} alerts too many, {len(peaceful - loaded)} are missing"
    print(f"  {len(loaded)} alerts, the same as in peace")


def main():
    skip_without("mosquitto", "mosquitto_sub")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    overload(seconds, "{}" if seconds >= 45 else QUICK, sys.argv[2] if len(sys.argv) > 2 else "")
    print("ok overload")
    return 0


sys.exit(main())
