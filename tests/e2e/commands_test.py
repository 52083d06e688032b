#!/usr/bin/env python3
"""Goal: `weir command` reaches a device that is connected and subscribed, and says what became of it; what can't be sent now is
an error, and nothing waits. Method: the real gateway and command line, and devices by hand that acknowledge, refuse, stay
silent and go."""
import json
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import SUBACK, V3, V5, Client, Endpoint, packet, text  # noqa: E402
from weir_e2e import ROOT, run_cases, wait_until  # noqa: E402

WEIR = os.path.join(ROOT, os.environ.get("B", "build"), "weir")
PUBLISH = 3


class Device(Client):
    """One that listens to its commands, at this QoS; its name is its client id."""

    def __init__(self, port, name, version=V5, qos=1, subscribes=True, **more):
        super().__init__(port, name, version, **more)
        if subscribes:
            self.send(packet(0x82, b"\0\1" + (b"\0" if version == V5 else b"") + text(f"weir/command/{name}") + bytes([qos])))
            kind, body = self.receive()
            assert kind == SUBACK and body[-1] == min(qos, 1), (kind, body)

    def command(self):
        """Topic, packet identifier (None at QoS 0) and payload of the next message."""
        while (found := self.next_packet_at()) is None:
            data = self.socket.recv(65536)
            assert data, "the connection ended"
            self.buffer += data
        first, body = found
        assert first >> 4 == PUBLISH, first
        size = struct.unpack(">H", body[:2])[0]
        topic, at, packet_id = body[2:2 + size].decode(), 2 + size, None
        if first & 6:
            packet_id, at = struct.unpack(">H", body[at:at + 2])[0], at + 2
        return topic, packet_id, body[at + (1 if self.version == V5 else 0):]

    def next_packet_at(self):
        first = self.buffer[:1]
        found = self.next_packet()
        return None if found is None else (first[0], found[1])

    def acknowledge(self, packet_id, reason=0):
        self.send(packet(0x40, struct.pack(">H", packet_id) + (bytes([reason]) if reason else b"")))


def begin(place, *arguments, **more):
    return subprocess.Popen([WEIR, "command", "-s", place.socket, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, **more)


def said(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, (out + err).decode().strip()


def run(place, *arguments):
    return said(begin(place, *arguments))


def delivered_and_acknowledged(place):
    end = Endpoint(place)
    binary = place.path("binary")
    with open(binary, "wb") as file:
        file.write(bytes(range(256)))
    for version in (V3, V5):
        name = f"d{version}"
        device = Device(end.port, name, version)
        asked = begin(place, name, '{"interval": 30}')
        topic, packet_id, payload = device.command()
        assert (topic, payload) == (f"weir/command/{name}", b'{"interval": 30}') and packet_id
        assert asked.poll() is None, "it waits for the device"
        device.acknowledge(packet_id)
        assert said(asked) == (0, "acknowledged")
        assert run(place, name, "now", "--qos", "0") == (0, "sent")
        assert device.command() == (f"weir/command/{name}", None, b"now")
        asked = begin(place, name, "--file", binary, "--json")
        _, packet_id, payload = device.command()
        assert payload == bytes(range(256))
        device.acknowledge(packet_id)
        code, words = said(asked)
        assert code == 0 and json.loads(words) == {"device": name, "qos": 1, "acknowledged": 1}
    counts = end.counts()
    assert counts["commands"] == 6 and counts["commands_acknowledged"] == 4, counts


def at_once_or_not_at_all(place):
    end = Endpoint(place)
    absent = run(place, "d1", "x")
    assert absent[0] == 1 and "d1 is not connected" in absent[1], absent
    deaf = Device(end.port, "deaf", subscribes=False)
    assert run(place, "deaf", "x") == (1, "weir: deaf is not subscribed to its commands")
    deaf.close()
    device = Device(end.port, "d1", qos=0)
    code, words = run(place, "d1", "x")
    assert code == 1 and "at QoS 0" in words, words
    assert run(place, "d1", "y", "--qos", "0") == (0, "sent")  # v5 MQTT-3.8.4-8: no higher than granted
    assert device.command()[2] == b"y", "what was not sent does not come later"
    small = Device(end.port, "small")
    assert run(place, "small", "x" * 257) == (1, "weir: a command has at most 256 bytes")
    code, words = place_post(place, f"/api/v1/commands?device=small&payload_hex={'61' * 257}")
    assert code == 413 and "256" in words, (code, words)
    for bad in ("device=small", "device=small&payload_hex=6", "device=small&payload_hex=6x", "payload_hex=61",
                "device=small&payload_hex=61&qos=2", "device=small&payload_hex=61&wait_ms=60001"):
        assert place_post(place, "/api/v1/commands?" + bad)[0] == 400, bad
    assert small.says_nothing(0.3)
    for bad in ((), ("d1",), ("d1", "x", "--qos", "2"), ("d1", "x", "--wait", "61s"), ("d1", "x", "--file", "/dev/null")):
        assert run(place, *bad)[0] == 2, bad


def place_post(place, target):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(place.socket)
        s.sendall(f"POST {target} HTTP/1.1\r\nHost: weir\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    return int(answer.split()[1]), answer


def without_an_acknowledgement(place):
    end = Endpoint(place)
    device = Device(end.port, "d1")
    began = time.monotonic()
    code, words = run(place, "d1", "first", "--wait", "700ms")
    assert code == 1 and "did not acknowledge in time" in words and time.monotonic() - began > 0.6, words
    _, first, _ = device.command()
    code, words = run(place, "d1", "second")
    assert code == 1 and "has not acknowledged the last command" in words, words
    device.acknowledge(first)  # late; it goes on
    wait_until("it is counted", lambda: end.counts()["commands_acknowledged"] == 1)
    asked = begin(place, "d1", "third")
    _, third, payload = device.command()
    assert payload == b"third", payload
    device.acknowledge(third, 0x83)
    assert said(asked) == (1, "weir: the device refused it")
    asked = begin(place, "d1", "fourth")
    assert device.command()[2] == b"fourth"
    device.close()
    code, words = said(asked)
    assert code == 1 and "connection ended" in words, words
    device = Device(end.port, "d1")
    assert device.says_nothing(0.5), "nothing is kept for it"


def a_session_keeps_its_subscription(place):
    end = Endpoint(place)
    for version in (V3, V5):
        name = f"d{version}"
        Device(end.port, name, version, clean=False, expiry=3600).close()
    place.stop("gateway")
    place.start_gateway()
    for version in (V3, V5):
        name = f"d{version}"
        device = Device(end.port, name, version, subscribes=False, clean=False, expiry=3600)
        asked = begin(place, name, "hello")
        _, packet_id, payload = device.command()
        device.acknowledge(packet_id)
        assert said(asked) == (0, "acknowledged") and payload == b"hello"
        device.send(packet(0xA2, b"\0\2" + (b"\0" if version == V5 else b"") + text(f"weir/command/{name}")))
        device.receive()
        assert run(place, name, "x")[1].endswith("is not subscribed to its commands")


CASES = [delivered_and_acknowledged, at_once_or_not_at_all, without_an_acknowledgement, a_session_keeps_its_subscription]

if __name__ == "__main__":
    sys.exit(run_cases(CASES))
