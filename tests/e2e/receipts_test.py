#!/usr/bin/env python3
"""Goal: a receipt says up to which number all of a device's messages are stored, never more, also after kill -9; and a
device hears of nobody else. Method: the real gateway on loopback, and clients by hand that leave holes, fill them, send what
can't be used, count from the start again, and come back."""
import json
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from weir_mqtt import BASE_MS, SUBACK, UNSUBACK, V3, V5, Client, Endpoint, packet, publish, text  # noqa: E402
from tls_test import Endpoint as SecureEndpoint, Secure  # noqa: E402
from weir_e2e import run_cases  # noqa: E402

PUBLISH, PUBACK = 3, 4
RECEIPTS, COMMANDS = "weir/receipt/", "weir/command/"


class Device(Client):
    """Its client id is its name; it publishes at QoS 0 unless told otherwise."""

    def __init__(self, port, name="d1", version=V5, **more):
        super().__init__(port, name, version, **more)
        self.name, self.heard = name, []

    def ask(self, *filters, first=0x82, properties=b"\0", number=9):
        body = b"".join(text(f) + (b"\1" if first == 0x82 else b"") for f in filters)
        self.send(packet(first, struct.pack(">H", number) + (properties if self.version == V5 else b"") + body))

    def subscribe(self, *filters, **more):
        """The codes that answer it."""
        self.ask(*filters, **more)
        return self.codes(SUBACK)

    def codes(self, kind):
        body = self.until(kind)
        return list(body[3:] if self.version == V5 else body[2:])

    def until(self, wanted):
        while True:
            kind, body = self.receive()
            assert kind is not None, "the connection ended"
            if kind == PUBLISH:
                self.note(body)
            if kind == wanted:
                return body

    def note(self, body):
        size = struct.unpack(">H", body[:2])[0]
        assert body[2:2 + size].decode() == RECEIPTS + self.name, body
        self.heard.append(json.loads(body[2 + size + (self.version == V5):])["sequence"])

    def receipt(self, sequence):
        """Wait until it comes; none is passed over that says more."""
        while not self.heard or self.heard[-1] != sequence:
            assert not self.heard or self.heard[-1] < sequence, self.heard
            self.until(PUBLISH)

    def tell(self, *numbers, qos=0, payload=None):
        self.send(b"".join(publish(n, self.version, qos=qos, device=self.name,
                                   payload=payload and payload % n) for n in numbers))


def only_its_own(place):
    end = Endpoint(place)
    for version in (V3, V5):
        device = Device(end.port, f"d{version}", version)
        failed = [0x80] * 5 if version == V3 else [0x8F, 0x87, 0x87, 0x8F, 0x8F]
        own, other = RECEIPTS + device.name, "d9"
        assert device.subscribe("#", RECEIPTS + other, COMMANDS + other, RECEIPTS, "t/d9/temp") == failed
        # v5 MQTT-3.8.4-5, v3.1.1 MQTT-3.8.4-4, v3.1.1 MQTT-3.8.4-6, v5 MQTT-3.8.4-8: commands may come at QoS 1
        assert device.subscribe(own, COMMANDS + device.name) == [0, 1]
        assert device.subscribe(own) == [0]  # v5 MQTT-3.8.4-3, v3.1.1 MQTT-3.8.4-3
        device.tell(1, 2)
        device.receipt(2)  # once, not for each SUBSCRIBE; v5 MQTT-3.3.2-3, v3.1.1 MQTT-3.3.2-3
        assert device.says_nothing(0.5) and device.heard == [2], device.heard
        # v5 MQTT-3.10.4-1, v3.1.1 MQTT-3.10.4-1: byte by byte; v5 MQTT-3.10.4-6, v3.1.1 MQTT-3.10.4-6: one answer
        device.ask(own.upper(), own, own, first=0xA2)
        codes = device.codes(UNSUBACK)
        assert codes == ([0x11, 0, 0x11] if version == V5 else []), codes
        device.tell(3)  # v5 MQTT-3.10.4-2, v3.1.1 MQTT-3.10.4-2
        assert device.says_nothing(0.5)
        wild = Device(end.port, "+", version)  # there is no topic with its name in it
        assert wild.subscribe(RECEIPTS + "+", COMMANDS + "+") == ([0x80] * 2 if version == V3 else [0x8F] * 2)
        assert place.weir("command", "+", "x", check=False) == ""
        assert wild.says_nothing(0.2)
    five = Device(end.port, "five", V5)
    assert five.subscribe(RECEIPTS + "five", properties=b"\2\x0b\5") == [0xA1]
    assert five.subscribe("$share/all/" + RECEIPTS + "five") == [0x9E]
    place.wait_status("stored", lambda s: s["ledger"]["stored"] == 6)


def after_the_commit_and_once(place):
    end = Endpoint(place, max_age="2s")
    device = Device(end.port)
    assert device.subscribe(RECEIPTS + "d1") == [0]
    began = time.monotonic()
    device.tell(*range(1, 1001))
    device.receipt(1000)
    assert time.monotonic() - began > 1.5, "told before the commit"
    assert len(device.heard) <= 3, f"not coalesced: {len(device.heard)} for 1000 messages"
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    assert sorted(r["sequence"] for r in place.readings()) == list(range(1, 1001))


def holes(place):
    end = Endpoint(place)
    for version in (V3, V5):
        device = Device(end.port, f"d{version}", version)
        assert device.subscribe(RECEIPTS + device.name) == [0]
        device.tell(10, 11, 13, 14)  # what came before the first is not known to be missing
        device.receipt(11)
        device.tell(16, 12)
        device.receipt(14)
        device.tell(15, 15)
        device.receipt(16)
        device.tell(18, 10, 12, qos=1)  # repeats are stored already
        for _ in range(3):
            device.until(PUBACK)
        assert device.heard[-1] == 16
        device.tell(17)
        device.receipt(18)
        device.tell(20, *range(22, 122))  # more than is noted beside a hole
        device.tell(19, 21)
        device.receipt(82)
        device.tell(*range(83, 122))  # when they come again they count, although they are repeats
        device.receipt(121)
        later = '{"value":1,"sequence":%%d,"time":%d}' % (BASE_MS + 10 ** 5)
        device.tell(1, payload=later.encode())  # it counts from the start again
        while device.heard[-1] != 1:
            device.until(PUBLISH)
        assert device.heard[-2:] == [121, 1]


def dead_letters_count(place):
    end = Endpoint(place)
    device = Device(end.port)
    assert device.subscribe(RECEIPTS + "d1") == [0]
    device.tell(1)
    device.tell(2, payload=b'{"sequence":%d}')
    device.tell(3, payload=b'{"value":1,"sequence":%d,"time":99999999999999}')
    device.tell(4, payload=b'{"value":[1],"sequence":%d}')
    device.tell(5)
    device.receipt(5)
    device.tell(6, payload=b'{"value":1,"sequence":%d')  # no number can be read in it
    device.tell(7)
    assert device.says_nothing(0.5)
    ledger = place.status()["ledger"]
    assert ledger["rejected_total"] == 4, ledger


def lasts(place):
    end = Endpoint(place)
    for version in (V3, V5):
        name = f"d{version}"
        device = Device(end.port, name, version, clean=False, expiry=3600)
        assert device.subscribe(RECEIPTS + name, COMMANDS + name) == [0, 1]
        place.stop("gateway", signal.SIGKILL)  # SUBACK means that the subscription is on disk
        place.start_gateway()
        device = Device(end.port, name, version, clean=False, expiry=3600)
        assert device.flags == 1
        device.tell(1, 2)
        device.tell(3, payload=b'{"sequence":%d}')
        device.tell(5, 6)
        device.receipt(3)
        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        device = Device(end.port, name, version, clean=False, expiry=3600)
        device.receipt(3)  # at once: it knows where to go on
        device.tell(4)
        device.receipt(6)
        device.ask(RECEIPTS + name, first=0xA2)
        device.codes(UNSUBACK)
        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        device = Device(end.port, name, version, clean=False, expiry=3600)
        device.tell(7)
        assert device.says_nothing(0.5), "it had unsubscribed"
        device.close()
    patient = Endpoint(place, max_age="2s") if place.stop("gateway") == 0 else None
    device = Device(patient.port, "late", V5, clean=False, expiry=3600)
    device.ask(RECEIPTS + "late")
    device.tell(1, qos=1)
    assert device.says_nothing(1), "SUBACK before the commit that holds the subscription"
    assert device.codes(SUBACK) == [0]
    device.until(PUBACK)
    device.receipt(1)


def no_more_than_there_is_room_for(place):
    end = Endpoint(place, limits="limits: {sessions: 2}")
    kept = [Device(end.port, f"d{i}") for i in range(3)]
    assert [k.subscribe(RECEIPTS + k.name) for k in kept] == [[0], [0], [0x97]]
    kept[0].tell(1)
    kept[0].receipt(1)
    kept[0].close()
    end.wait_counts("gone", lambda c: c["connected"] == 2)
    assert kept[2].subscribe(RECEIPTS + "d2") == [0], "what nobody asks for any more gives way"
    kept[2].tell(5)
    kept[2].receipt(5)


class Shown(Device):
    """Its name is that of its credentials, whatever its client id."""

    def __init__(self, end, name, password, client):
        Secure.__init__(self, end, name, password, client=client)
        self.name, self.heard = name, []


def as_whom_it_shows_to_be(place):
    end = SecureEndpoint(place)
    password = end.add("d1")
    device = Shown(end, "d1", password, "d2")
    assert device.subscribe(RECEIPTS + "d2", COMMANDS + "d1/d2", RECEIPTS + "d1") == [0x87, 0x87, 0]
    device.tell(1, 2)
    device.receipt(2)
    more = [Shown(end, "d1", password, f"c{i}") for i in range(4)]
    assert [m.code for m in more] == [0, 0, 0, 0x97], "connections_per_device is 4"
    assert more[0].subscribe(RECEIPTS + "d1") == [0]
    more[0].receipt(2)
    device.close()
    more[1].tell(3)
    more[0].receipt(3)
    assert end.counts()["refused"] == 1


CASES = [only_its_own, after_the_commit_and_once, holes, dead_letters_count, lasts, no_more_than_there_is_room_for,
         as_whom_it_shows_to_be]

if __name__ == "__main__":
    sys.exit(run_cases(CASES))
