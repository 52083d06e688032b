#!/usr/bin/env python3
"""Goal: devices that publish to the gateway itself get what MQTT promises, and a PUBACK means committed. Method: the real
gateway on loopback; mosquitto_pub at each version and QoS (clients_test.py has the other stock clients), and a plain socket that
says whatever a case wants: fragments, nonsense, half packets, floods, more connections than there are."""
# Alone: it measures.
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import run_cases, skip_without  # noqa: E402
from weir_mqtt import CONNACK, PINGRESP, PUBACK, SUBACK, UNSUBACK, V3, V5, Client, Endpoint, connect, packet, publish, text  # noqa: E402

# --- stock clients ---

def pub(port, version, qos, topic, lines):
    done = subprocess.run(["mosquitto_pub", "-V", version, "-q", str(qos), "-p", str(port), "-t", topic, "-l"],
                          input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def mosquitto_pub(place):
    end = Endpoint(place)
    count = 0
    for version in ("mqttv311", "mqttv5"):
        for qos in (0, 1, 2):
            lines = [f'{{"value":{i},"sequence":{i}}}' for i in range(1, 301)]
            code, said = pub(end.port, version, qos, f"t/{version}-{qos}/temp", lines)
            assert code == 0, said
            count += 300
            ledger = end.stored(count)["ledger"]
            assert ledger["stored"] == count and ledger["duplicate"] == 0, ledger
    for version, topic, line, words in (("mqttv5", "t/d/temp", "nonsense", "Payload format invalid"),
                                        ("mqttv5", "elsewhere", "{}", "Topic name invalid")):
        _, said = pub(end.port, version, 1, topic, [line])
        assert words.lower() in said.lower(), said
    assert pub(end.port, "mqttv311", 1, "t/d/temp", ["nonsense"])[0] == 0, "3.1.1 has no word for it"
    _, said = pub(end.port, "mqttv5", 2, "t/d/temp", ["nonsense"])
    assert "payload format invalid" in said.lower(), said
    assert end.counts()["faults"] == 0, end.counts()
    done = subprocess.run(["mosquitto_sub", "-V", "mqttv5", "-p", str(end.port), "-t", "t/#", "-W", "3"],
                          capture_output=True, text=True, timeout=20)
    assert "denied" in done.stderr, done.stderr
    assert place.status()["ledger"]["rejected_total"] == 4
    print(f"  mosquitto_pub: {count} readings, v3.1.1 and v5, QoS 0, 1 and 2")


# --- what an acknowledgement means ---

def acknowledged_after_the_commit(place):
    end = Endpoint(place, max_age="4s")
    client = Client(end.port, version=V5)
    assert client.flags == 0, "session present"  # v5 MQTT-3.2.2-3: there is none
    for number in range(1, 4):
        client.publish(number)
    place.wait_status("three wait", lambda s: s["ledger"]["pending"] == 3)
    assert client.says_nothing(1.5), "acknowledged before the commit"
    place.stop("gateway", signal.SIGKILL)
    assert client.receive()[0] is None
    place.start_gateway()
    assert place.status()["ledger"]["stored"] == 0
    client = Client(end.port, version=V5)
    for number in range(1, 4):
        client.publish(number)
    assert client.acknowledged(3) == [1, 2, 3]
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    assert sorted(r["sequence"] for r in place.readings()) == [1, 2, 3]


def order_over_many_commits(place):
    """A client that goes on while commits are under way; the acknowledgements come in its order."""
    end = Endpoint(place, max_age="20ms")
    clients = [Client(end.port, f"c{i}", version) for i, version in enumerate((V3, V5, V3, V5))]
    count = 3000

    def talk(i, client):
        sender = threading.Thread(target=lambda: [client.publish(n, device=f"d{i}") for n in range(1, 901)])
        sender.start()
        ids = client.acknowledged(900)
        sender.join()
        for n in range(901, count + 1, 300):
            client.send(b"".join(publish(k, client.version, device=f"d{i}") for k in range(n, n + 300)))
            ids += client.acknowledged(300)
        results[i] = ids == list(range(1, count + 1))
    results = [False] * len(clients)
    threads = [threading.Thread(target=talk, args=(i, c)) for i, c in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(results), results
    status = end.stored(count * len(clients))
    assert status["ledger"]["duplicate"] == 0 and status["ledger"]["balanced"]
    print(f"  {count * len(clients)} acknowledgements in order over {status['store']['commits']} commits")


def killed_at_random(place, rounds=6):
    """Clients at QoS 1 that send again what was not acknowledged; in the end each is stored once."""
    end = Endpoint(place, max_age="30ms")
    chance, stop = random.Random(7), threading.Event()
    acked = [0] * 4

    def device(i):
        version = V3 if i % 2 else V5
        while not stop.is_set():
            try:
                client = Client(end.port, f"device-{i}", version)
                while not stop.is_set():
                    first = acked[i] + 1
                    client.send(b"".join(publish(n, version, device=f"d{i}") for n in range(first, first + 50)))
                    for n in range(first, first + 50):
                        assert client.acknowledged(1) == [(n - 1) % 65535 + 1]
                        acked[i] = n
            except (OSError, AssertionError):
                time.sleep(0.02)
    threads = [threading.Thread(target=device, args=(i,)) for i in range(len(acked))]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        time.sleep(chance.uniform(0.3, 1.2))
        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    seen = {}
    for reading in place.readings():
        key = reading["device"], reading["sequence"]
        seen[key] = seen.get(key, 0) + 1
    lost = [(i, n) for i, last in enumerate(acked) for n in range(1, last + 1) if (f"d{i}", n) not in seen]
    twice = [key for key, times in seen.items() if times > 1]
    print(f"  {rounds + 1} kills, {sum(acked)} acknowledged, stored {len(seen)}, lost {len(lost)}, twice {len(twice)}")
    assert sum(acked) > 500 and not lost and not twice


# --- bytes ---

def fragments(place):
    end = Endpoint(place)
    client = Client(end.port, None, V5)
    for byte in connect("drip", V5) + publish(1, V5, device="drip"):
        client.send(bytes([byte]))
        time.sleep(0.002)
    assert client.receive()[0] == CONNACK and client.acknowledged(1) == [1]
    chance = random.Random(3)
    client = Client(end.port, "torn", V3)
    stream = b"".join(publish(n, V3, device="torn") for n in range(1, 501)) + packet(0xC0, b"")
    while stream:
        cut = chance.randrange(1, 200)
        client.send(stream[:cut])
        stream = stream[cut:]
    kinds = [client.receive()[0] for _ in range(501)]
    assert kinds.count(PUBACK) == 500 and kinds.count(PINGRESP) == 1
    big = Client(end.port, "big", V5)
    big.publish(1, device="big", payload=b'{"value":1,"sequence":1,"pad":"' + b"x" * 16000 + b'"}')
    assert big.acknowledged(1) == [1]
    assert place.status()["ledger"]["stored"] == 502


def malformed(place):
    end = Endpoint(place)
    table = [  # what is sent after CONNECT, and the reason code of v5
        ("reserved type", b"\x00\x00", 0x81),
        ("flags of PINGREQ", b"\xc1\x00", 0x81),
        ("length of five bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
        ("QoS 3", packet(0x36, text("t/d/temp") + b"\0\1\0{}"), 0x81),
        ("packet id 0", packet(0x32, text("t/d/temp") + b"\0\0\0{}"), 0x82),
        ("a wildcard in a topic", packet(0x30, text("t/+/temp") + b"\0{}"), 0x81),
        ("topic is no UTF-8", packet(0x30, text(b"t/\xff") + b"\0{}"), 0x81),
        ("second CONNECT", connect("c2", V5), 0x82),
        ("alias out of range", packet(0x30, text("t/d/temp") + b"\x03\x23\xff\xff{}"), 0x94),
        ("too large", b"\x30\xff\xff\x7f", 0x95),
        ("AUTH", packet(0xF0, b"\x18\0"), 0x82),
    ]
    codes = {}
    for i, (what, data, code) in enumerate(table):
        client = Client(end.port, f"bad{i}", V5)
        client.send(data + b"\0" * 200000)
        codes[what] = client.ended_with(), code
        assert not client.was_reset, "unread bytes made a reset of it, which can overtake the answer"
        old = Client(end.port, f"old{i}", V3)
        if what not in ("alias out of range", "second CONNECT", "packet id 0", "AUTH"):
            old.send(data)
            assert old.ended_with() is None, what
    wrong = {what: (hex(got or 0), hex(code)) for what, (got, code) in codes.items() if got != code}
    assert not wrong, wrong
    faults = len(table) + len(table) - 4
    end.wait_counts(f"{faults} faults", lambda c: c["faults"] == faults)
    for data, answer in ((connect("x", 6), b"\x20"), (b"GET / HTTP/1.1\r\n\r\n", b""),
                         (publish(1, V3), b"")):
        client = Client(end.port, None)
        client.send(data)
        kind, body = client.receive()
        assert (kind == CONNACK) == bool(answer), (data, kind, body)
        faults += 1
    end.wait_counts(f"{faults} faults", lambda c: c["faults"] == faults)
    assert place.status()["ledger"]["received"] == 0
    print(f"  {faults} faults, {len(table)} reason codes")


def other_packets(place):
    end = Endpoint(place)
    client = Client(end.port, "", V5)  # it gets an id
    assert b"\x12\x00\x15weir-" in client.properties, client.properties
    client.send(packet(0x82, b"\0\1\0" + text("cmd/#") + b"\1" + text("cmd/x") + b"\0"))
    kind, body = client.receive()
    assert kind == SUBACK and body == b"\0\1\0\x8f\x8f", (kind, body)
    client.send(packet(0xA2, b"\0\2\0" + text("cmd/#")))
    kind, body = client.receive()
    assert kind == UNSUBACK and body == b"\0\2\0\x11", (kind, body)
    client.send(packet(0xC0, b""))
    assert client.receive()[0] == PINGRESP
    client.send(packet(0x30, text("t/alias/temp") + b"\x03\x23\0\1" + b'{"value":1,"sequence":1}')
                + packet(0x30, text("") + b"\x03\x23\0\1" + b'{"value":2,"sequence":2}'))
    assert end.stored(2)["ledger"]["stored"] == 2
    client.send(packet(0xE0, b""))
    assert client.receive()[0] is None  # v5 MQTT-3.14.4-2
    assert Client(end.port, "", V3, clean=False).code == 2
    assert Client(end.port, "i" * 65, V3).code == 2 and Client(end.port, "i" * 65, V5).code == 0x85
    oldest, first = Client(end.port, "same", V3), Client(end.port, "same", V5)
    assert oldest.ended_with() is None  # v3.1.1 MQTT-3.1.4-2
    second = Client(end.port, "same", V3)
    assert first.ended_with() == 0x8E
    second.publish(1, device="same")
    assert second.acknowledged(1) == [1]
    assert end.counts()["taken_over"] == 2
    leaving = Client(end.port, "leaving", V5)
    assert place.stop("gateway") == 0
    assert leaving.ended_with() == 0x8B


# --- those who take more than their part ---

def too_many(place):
    end = Endpoint(place, more="connections: 3")
    kept = [Client(end.port, f"k{i}", V5) for i in range(3)]
    assert [k.code for k in kept] == [0, 0, 0]
    assert Client(end.port, "one more", V5).code == 0x89 and Client(end.port, "one more", V3).code == 3
    again = Client(end.port, "k0", V5)  # one of the three comes again: no more than before
    assert again.code == 0 and kept[0].ended_with() == 0x8E
    assert end.counts()["refused"] == 2 and end.counts()["connected"] == 3
    silent = [socket.create_connection(("127.0.0.1", end.port)) for _ in range(200)]
    kept[1].publish(1)
    assert kept[1].acknowledged(1) == [1], "those at the door are in the way of those inside"
    back = Client(end.port, "k2", V5)
    assert back.code == 0, "or of those who come back"
    for s in silent:
        s.close()
    kept[1].close()
    end.wait_counts("one less", lambda c: c["connected"] == 2)
    assert Client(end.port, "now there is room", V3).code == 0


def slow_loris(place):
    end = Endpoint(place)
    began = time.monotonic()
    mute, half = Client(end.port, None), Client(end.port, "half", V5)
    half.send(publish(1, V5)[:12])
    briefly = Client(end.port, "briefly", V5, keep_alive=1)
    assert briefly.ended_with() == 0x8D and 1.4 < time.monotonic() - began < 4
    assert mute.receive()[0] is None and 9 < time.monotonic() - began < 13
    ended = []
    watcher = threading.Thread(target=lambda: ended.append(half.ended_with()))
    half.socket.settimeout(60)
    watcher.start()
    while watcher.is_alive() and time.monotonic() - began < 45:
        time.sleep(1)  # nothing more: the packet is never whole
    assert ended == [0x8D] and 29 < time.monotonic() - began < 34, (ended, time.monotonic() - began)
    assert end.counts()["silent"] == 3 and end.counts()["connected"] == 0


def flood(place, seconds=6):
    """One client sends as much as goes, one never reads its acknowledgements; the others' stay prompt."""
    end = Endpoint(place, max_age="50ms")
    stop = threading.Event()
    block = {qos: b"".join(publish(n, V3, qos=qos, device="flood") for n in range(1, 401)) for qos in (0, 1)}

    def pour(number, qos):
        client = Client(end.port, f"flood-{number}", V3)
        client.socket.settimeout(0.5)
        while not stop.is_set():
            try:
                client.send(block[qos])
            except TimeoutError:
                return  # it is held back for good: as it should be, it does not read

    threads = [threading.Thread(target=pour, args=flooder) for flooder in enumerate((0, 0, 1))]

    def latencies(count_s):
        client, times, number = Client(end.port, "calm", V5), [], 0
        until = time.monotonic() + count_s
        while time.monotonic() < until:
            number += 1
            began = time.monotonic()
            client.publish(number, device="calm")
            assert client.acknowledged(1) == [number]
            times.append(time.monotonic() - began)
            time.sleep(0.01)
        client.close()
        return sorted(times)
    alone = latencies(2)
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    beside = latencies(seconds)
    status = place.status()
    stop.set()
    for thread in threads:
        thread.join(20)
    messages = status["sources"][0]["devices"]["messages"]
    p50, p99 = ([times[int(len(times) * part)] * 1000 for times in (alone, beside)] for part in (0.5, 0.99))
    print(f"  acknowledged after {p50[0]:.0f} ms (p99 {p99[0]:.0f}); beside a flood of {messages} messages after "
          f"{p50[1]:.0f} ms (p99 {p99[1]:.0f})")
    assert len(beside) > 10 and p99[1] < max(2000, 4 * p99[0]), "the flood is in the way"
    assert status["ledger"]["balanced"]


def read_in_handfuls(place, messages=1000):
    """Messages that keep coming are read a handful at a turn of the loop; one that comes alone at once."""
    port = Endpoint(place).port
    client = Client(port)

    def waits():
        with open(f"/proc/{place.processes['gateway'].pid}/status") as f:
            return int(f.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    before, began = waits(), time.monotonic()
    for number in range(1, messages + 1):
        client.publish(number)
        time.sleep(max(0, began + number / 1000 - time.monotonic()))
    used = waits() - before
    assert len(client.acknowledged(messages)) == messages
    print(f"  {messages} messages, one after the other: the loop waited {used} times")
    assert used < messages / 2, used


CASES = [mosquitto_pub, acknowledged_after_the_commit, order_over_many_commits, killed_at_random, fragments,
         malformed, other_packets, too_many, slow_loris, flood,
         read_in_handfuls]


def main():
    skip_without("mosquitto_pub")
    return run_cases(CASES)


if __name__ == "__main__":
    sys.exit(main())
