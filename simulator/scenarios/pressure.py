"""More than a gateway can take, for a while: it is held to about a tenth of a core (SIGSTOP and SIGCONT), devices flood it
at QoS 0 until it has fallen behind for so long that it says so, and what it left out, told and kept is looked at. And in peace,
before: how long a spike takes.

Everything is bounded: MESSAGES_MAX, and WAIT_S for each thing that is waited for."""
import datetime
import json
import multiprocessing
import os
import random
import signal
import socket
import threading
import time

LINES, CALM, CHUNK, MESSAGES_MAX, PER_SECOND, WAIT_S, FOUND_WITHIN_S = 8, 4, 100, 400_000, 40_000, 60, 10
RUNS_S, STANDS_S, RUNS_LEAST_S = 0.01, 0.09, 0.001
LESS = 0.93  # each time, for a machine that is quick enough with a tenth of a core: a hundredth after three seconds


class Held:
    """A process that runs a tenth of the time, and then less and less."""

    def __init__(self, pid):
        self.pid = pid
        self.process = multiprocessing.Process(target=self.turn, daemon=True)  # the flood's threads would hold one of ours up

    def turn(self):
        runs_s = RUNS_S
        while True:
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(STANDS_S)
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(runs_s)
            runs_s = max(LESS * runs_s, RUNS_LEAST_S)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        os.kill(self.pid, signal.SIGCONT)


def packet(first, body):
    length, rest = b"", len(body)
    while True:
        length += bytes([rest % 128 | (128 if rest > 127 else 0)])
        rest //= 128
        if rest == 0:
            return bytes([first]) + length + body


def text(word):
    return len(word).to_bytes(2, "big") + word.encode()


class Line:
    """A device on a connection of its own: a temperature now and then, numbered, at QoS 0."""

    def __init__(self, port, device, seed):
        self.device, self.chance, self.sent, self.last_ms, self.failed = device, random.Random(f"{device} {seed}"), 0, 0, None
        self.base = self.chance.uniform(15, 30)
        self.values = [round(self.base + self.chance.uniform(-0.1, 0.1), 2) for _ in range(997)]
        self.topic = text(f"telemetry/{device}/temperature")
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)  # what waits, waits here and not in the kernel
        self.socket.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text(device)))
        if self.socket.recv(4) != b"\x20\x02\x00\x00":
            raise OSError(f"{device} may not connect")

    def reading(self, spike=False, ms=None):
        """Its packet. Its time is never before the one before it, and a spike's is after it: each reading comes in its turn."""
        self.last_ms = max(self.last_ms + spike, int(time.time() * 1000)) if ms is None else ms
        value = round(self.values[self.sent % len(self.values)] + (12 if spike else 0), 2)
        body = b'%b{"ts":%d,"seq":%d,"value":%.2f,"spike":%b}' % (self.topic, self.last_ms, self.sent, value,
                                                                  b"true" if spike else b"false")
        self.sent += 1
        return b"\x30" + bytes((len(body),)) + body if len(body) < 128 else packet(0x30, body)

    def send(self, packets):
        self.socket.sendall(packets)

    def close(self):
        self.socket.sendall(b"\xe0\x00")
        self.socket.close()


class Flood:
    def __init__(self, port, seed):
        self.lines = [Line(port, f"burst-{n}", seed) for n in range(LINES)]
        self.over, self.spike = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(line,)) for line in self.lines]
        for thread in self.threads:
            thread.start()

    def run(self, line):
        spiked, began = False, time.monotonic()
        try:
            while not self.over.is_set() and line.sent < MESSAGES_MAX // LINES:
                line.send(b"".join(line.reading() for _ in range(CHUNK)))
                if self.spike.is_set() and not spiked:
                    line.send(line.reading(spike=True))
                    spiked = True
                time.sleep(max(0, began + line.sent * LINES / PER_SECOND - time.monotonic()))
        except OSError as failure:
            line.failed = failure

    def sent(self):
        return sum(line.sent for line in self.lines)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        failed = [f"{line.device}: {line.failed}" for line in self.lines if line.failed is not None]
        for line in self.lines:
            if line.failed is None:
                line.close()
        return failed


def wait_for(what, condition, problems):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            problems.append(f"under pressure: waited {WAIT_S} s for {what}")
            return False
        time.sleep(0.05)
    return True


def seconds_of(time_):
    return datetime.datetime.fromisoformat(time_.replace("Z", "+00:00")).timestamp()


class Told:
    """What has come to the cloud in the lane of alerts: (seconds, event)."""

    def __init__(self, cloud):
        self.path = cloud.arrivals.name

    def events(self):
        with open(self.path) as lines:
            whole = [line.split(" ", 1) for line in lines.read().splitlines(keepends=True) if line.endswith("\n")]
        return [(float(arrived), json.loads(bytes.fromhex(payload))) for arrived, payload in whole]

    def alerts(self, device, rule, transition="raised"):
        return [(arrived, event) for arrived, event in self.events() if event["type"] == "dev.weir.alert.v1"
                and event["data"]["device"] == device and event["data"]["rule"] == rule
                and event["data"]["transition"] == transition]

    def levels(self):
        return [int(event["data"]["facts"]["level"]) for _, event in self.events()
                if event["type"] == "dev.weir.notice.v1" and event["data"]["kind"] == "shed_level"]


def in_peace(gateway, told, seed, problems):
    """Seconds from a spike's happening to its alert in the cloud, at most: each of some devices has one now."""
    lines = [Line(gateway.port, f"calm-{n}", seed) for n in range(CALM)]
    now = int(time.time() * 1000)
    for line in lines:
        line.send(b"".join(line.reading(ms=now - (200 - n) * 1000) for n in range(200)) + line.reading(spike=True))
    wait_for("the alerts of spikes", lambda: all(told.alerts(line.device, "spike") for line in lines), problems)
    took_s = 0
    for line in lines:
        for arrived, event in told.alerts(line.device, "spike")[:1]:
            took_s = max(took_s, arrived - seconds_of(event["time"]))
        line.close()
    if took_s > FOUND_WITHIN_S:
        problems.append(f"a spike was found after {took_s:.1f} s, not within {FOUND_WITHIN_S} s of happening")
    return sum(line.sent for line in lines), took_s


def overload(gateway, told, seed, problems):
    """The flood, until the gateway says that its lag grows; how many readings that were."""
    def level():
        return gateway.ask("/api/v1/status")["shed"]["level"]
    with Held(gateway.processes.processes["gateway"].pid):
        flood = Flood(gateway.port, seed)
        if wait_for("a shed level", lambda: level() >= 1, problems):
            flood.spike.set()
            wait_for("the alert that the lag grows", lambda: told.alerts("$gateway", "lag_grows"), problems)
        problems += flood.end()
    return flood.sent()


def judge(gateway, told, sent, before, problems):
    devices = [f"burst-{n}" for n in range(LINES)]
    wait_for("all that was sent", lambda: gateway.ask("/api/v1/status")["ledger"]["received"] >= before + sent, problems)
    wait_for("level 0", lambda: told.levels() and told.levels()[-1] == 0, problems)
    wait_for("the end of the lag's alert", lambda: told.alerts("$gateway", "lag_grows", "cleared"), problems)
    wait_for("the alerts of spikes", lambda: all(told.alerts(device, "spike") for device in devices), problems)
    bare = sum(event["data"].get("enrichment_left_out", False) for device in devices
               for _, event in told.alerts(device, "spike")[:1])
    ledger, levels = gateway.ask("/api/v1/status")["ledger"], told.levels()
    if levels[:1] != [1] or ledger["enrichment_left_out"] < bare or not bare:
        problems.append(f"enrichment did not go first: levels {levels}, {bare} alerts without, {ledger}")
    if ledger["shed"]["qos0_overload"] or ledger["results_left_out"] or not ledger["balanced"]:
        problems.append(f"more was left out than enrichment: {ledger}")
    return levels, bare


def run(gateway, cloud, seed):
    """What went wrong; a sentence about the rest; and how many readings the oracle has to find of which devices."""
    problems, told = [], Told(cloud)
    before = gateway.ask("/api/v1/status")["ledger"]["received"]
    calm, took_s = in_peace(gateway, told, seed, problems)
    sent = overload(gateway, told, seed, problems)
    levels, bare = judge(gateway, told, calm + sent, before, problems)
    said = (f"; a spike's alert in the cloud within {took_s:.1f} s of happening; of {sent} readings in a flood none lost, levels "
            f"0 {' '.join(map(str, levels))}, {bare} of {LINES} alerts without enrichment, the lag's alert raised and cleared")
    return problems, said, calm + sent


def lost(events, sent):
    """Each reading of the flood is in the journal, once."""
    numbers = {}
    for e in events:
        if e.device.startswith(("burst-", "calm-")):
            numbers.setdefault(e.device, []).append(e.sequence)
    found = sum(map(len, numbers.values()))
    whole = all(sorted(of) == list(range(len(of))) for of in numbers.values())
    return [] if found == sent and whole else [f"of {sent} readings in a flood {found} are in the journal, or not each once"]
