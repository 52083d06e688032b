#!/usr/bin/env python3
"""Goal: whoever dribbles, floods, opens connection after connection, vanishes, or sends more than fits, hurts nobody else.
Method: the real gateway on loopback, on a core of its own; processes that do each of it as fast as one core can, for some seconds
(what they did is printed), while a few calm devices publish at QoS 1, one message after the other: their acknowledgements stay prompt (p99 within twice the commit's
age, and in proportion where others use the gateway's core), none of them is lost, the gateway stays inside its memory budget, and what was refused is counted.

  SIEGE_SECONDS=60 siege_test.py   for each attack (4)"""
# Alone: it measures.
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import V3, V5, Client, Endpoint, connect, publish  # noqa: E402
from weir_e2e import Share, pin, run_cases  # noqa: E402

MAX_AGE_S = 0.4
CALM = 6
TCP_REPAIR = 19


# --- attacks: each a process of its own, until its time is over; it says what it did ---

def dribble(port, until):
    """A byte a second: half of them in their CONNECT, half in a message."""
    peers = []
    for i in range(150):
        if i % 2:
            peers.append((Client(port, f"slow{i}", V5).socket, publish(1, V5, device=f"slow{i}")))
        else:
            peers.append((socket.create_connection(("127.0.0.1", port)), connect(f"slow{i}", V5)))
    sent = 0
    while time.monotonic() < until:
        for peer, data in peers:
            try:
                peer.send(data[sent % len(data):][:1])
            except OSError:
                pass
        sent += 1
        time.sleep(1)
    return f"{len(peers)} connections, {sent} bytes on each"


def connect_on_and_on(port, until):
    """New connections as fast as they go: some say nothing, some are let in, and all stay open for a while."""
    chance, kept, opened = random.Random(1), [], 0
    while time.monotonic() < until:
        try:
            peer = socket.create_connection(("127.0.0.1", port), 5)
            if chance.randrange(2):
                peer.sendall(connect(f"flood{chance.random()}", V3))
            kept.append(peer)
            opened += 1
        except OSError:
            pass
        if len(kept) > 500:
            for peer in kept[:250]:
                peer.close()
            del kept[:250]
    return f"{opened} connections"


def flood(port, until, qos=0, device="flood"):
    """One device, as much as goes; it never reads."""
    client = Client(port, device, V3)
    client.socket.settimeout(0.5)
    block, sent = b"".join(publish(n, V3, qos=qos, device=device) for n in range(1, 401)), 0
    while time.monotonic() < until:
        try:
            client.send(block)
            sent += 400
        except TimeoutError:
            time.sleep(0.1)
            client.close()
            client = Client(port, device, V3)
            client.socket.settimeout(0.5)
    return f"{sent} messages"


def flood_from_many(port, until):
    """Fewer connections than one look at those who are ready shows, which then always shows the same."""
    clients = [Client(port, f"many{i}", V3) for i in range(50)]
    block, sent = b"".join(publish(n, V3, qos=0, device="many") for n in range(1, 201)), 0
    for client in clients:
        client.socket.setblocking(False)
    while time.monotonic() < until:
        for client in clients:
            try:
                sent += client.socket.send(block)  # also a part of it; what follows then is nonsense, and the end
            except BlockingIOError:
                pass
            except OSError:
                client.close()
                clients.remove(client)
                clients.append(Client(port, f"many{random.random()}", V3))
                clients[-1].socket.setblocking(False)
                break
    return f"{sent * 200 // len(block)} messages"


def vanish(port, until):
    """Peers that are gone without a FIN, as by a pulled plug, with half a packet sent."""
    number = 0
    while time.monotonic() < until:
        number += 1
        client = Client(port, f"gone{number % 100}", V5)
        client.send(publish(1, V5, device="gone")[:20])
        try:
            client.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # closed now, it says nothing
        except PermissionError:
            pass
        client.close()
        time.sleep(0.005)
    return f"{number} connections"


def oversize(port, until):
    """Packets that say they are larger than any may be, and their bytes behind them."""
    number = 0
    while time.monotonic() < until:
        number += 1
        client = Client(port, f"big{number % 50}", V5 if number % 2 else V3)
        try:
            for _ in range(50):
                client.send(b"\x32\xff\xff\xff\x7f" + b"x" * 65536)
        except OSError:
            pass
        client.close()
    return f"{number} connections"


ATTACKS = {"dribble": dribble, "connect_on_and_on": connect_on_and_on, "flood": flood, "flood_from_many": flood_from_many,
           "vanish": vanish, "oversize": oversize}


# --- those who are to notice nothing ---

class Calm(threading.Thread):
    def __init__(self, port, number):
        super().__init__()
        self.client = Client(port, f"calm{number}", V5 if number % 2 else V3)
        self.name_of_it, self.sent, self.times, self.stop, self.error = f"calm{number}", 0, [], False, None

    def run(self):
        try:
            while not self.stop:
                began = time.monotonic()
                self.client.publish(self.sent + 1, device=self.name_of_it)
                assert self.client.acknowledged(1) == [self.sent + 1]
                self.sent += 1
                self.times.append(time.monotonic() - began)
        except (OSError, AssertionError) as error:
            self.error = error


def anonymous_kib(place):
    with open(f"/proc/{place.processes['gateway'].pid}/status", encoding="ascii") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1))


def under_siege(place, name, calm, seconds):
    for one in calm:
        one.times.clear()
    share = Share(place.processes["gateway"].pid)
    attack = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--attack", name, str(place.ports["devices"]),
                               str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    did, said = attack.communicate(timeout=seconds + 60)
    assert attack.returncode == 0, f"{name}: {said[-1500:]}"
    times = sorted(t for one in calm for t in one.times)
    errors = [one.error for one in calm if one.error]
    assert not errors, f"{name}: {errors}"
    p99, stretch = times[int(len(times) * 0.99)], share.stretch()
    counts = place.status()["sources"][0]["devices"]
    print(f"  {name}: {did.strip()} in {seconds} s; p50 {times[len(times) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms "
          f"({p99 / MAX_AGE_S:.2f} x commit.max_age) of {len(times)}; the gateway had {100 / stretch:.0f} % of its core when it wanted it; "
          f"RssAnon {anonymous_kib(place)} KiB; messages {counts['messages']}, refused {counts['refused']}, "
          f"faults {counts['faults']}, silent {counts['silent']}")
    return len(times) > CALM * seconds / 2 and p99 <= 2 * MAX_AGE_S * stretch


def siege(place):
    seconds = int(os.environ.get("SIEGE_SECONDS", "4"))
    end = Endpoint(place, max_age=f"{int(MAX_AGE_S * 1000)}ms", more="connections: 300")
    pin(place.processes["gateway"].pid, 0)
    calm = [Calm(end.port, i) for i in range(CALM)]
    for one in calm:
        one.start()
    try:
        for name in ATTACKS:
            # the machine may be busy with something else: once more, then it is the gateway
            assert under_siege(place, name, calm, seconds) or under_siege(place, name, calm, seconds), name
    finally:
        for one in calm:
            one.stop = True
        for one in calm:
            one.join(30)
    budget_kib = float(re.findall(r"^  total +([\d.]+) KiB", place.log("gateway"), re.M)[-1])
    assert anonymous_kib(place) < budget_kib, f"{anonymous_kib(place)} KiB of {budget_kib}"
    ledger = place.status()["ledger"]
    assert ledger["balanced"]
    stored = {}
    for reading in place.readings():
        if reading["device"].startswith("calm"):
            stored.setdefault(reading["device"], []).append(reading["sequence"])
    for one in calm:
        assert one.sent > 10 and sorted(stored[one.name_of_it])[:one.sent] == list(range(1, one.sent + 1)), one.name_of_it


def no_faster_than_allowed(place):
    """Limits on messages a second hold a device back, and only that one; nothing of it is lost."""
    end = Endpoint(place, max_age="50ms", more="rate_per_connection: 100\n    rate: 1000")
    eager, calm = Client(end.port, "eager", V5), Client(end.port, "calm", V3)
    began = time.monotonic()
    eager.send(b"".join(publish(n, V5, device="eager") for n in range(1, 401)))
    for number in range(1, 21):
        before = time.monotonic()
        calm.publish(number, device="calm")
        assert calm.acknowledged(1) == [number] and time.monotonic() - before < 0.5
    assert eager.acknowledged(400) == list(range(1, 401))
    took = time.monotonic() - began
    assert 2.7 < took < 6, f"400 messages at 100 a second, of which 100 at once, took {took:.1f} s"
    assert end.counts()["held_back"] > 0
    many = [Client(end.port, f"many{i}", V3) for i in range(30)]
    began = time.monotonic()
    for i, client in enumerate(many):
        client.send(b"".join(publish(n, V3, device=f"many{i}") for n in range(1, 101)))
    for client in many:
        assert client.acknowledged(100) == list(range(1, 101))
    took = time.monotonic() - began
    assert 1.7 < took < 5, f"3000 messages of all at 1000 a second took {took:.1f} s"


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--attack":
        pin(os.getpid(), -1)
        print(ATTACKS[sys.argv[2]](int(sys.argv[3]), time.monotonic() + float(sys.argv[4])))
        return 0
    return run_cases([siege, no_faster_than_allowed])


if __name__ == "__main__":
    sys.exit(main())
