#!/usr/bin/env python3
"""Goal: a message at QoS 2 is stored once, whatever breaks between its four packets, and sessions live as long as they are
to. Method: the real gateway on loopback and clients by hand, whose readings have neither sequence nor time, so that only
the exchange can tell a repeat; connections cut and the gateway killed with -9 at each step. (At random moments: qos_kill9_test.py.)"""
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from tls_test import Endpoint as Guarded  # noqa: E402
from weir_mqtt import V3, V5, Client, Endpoint, packet, text  # noqa: E402
from weir_e2e import run_cases  # noqa: E402

PUBREC, PUBCOMP = 5, 7
QUOTA, NOT_FOUND, INVALID = 0x97, 0x92, 0x99


class Session(Client):
    """A client whose session outlives the connection, at QoS 2."""

    def __init__(self, port, client="c1", version=V3, clean=False, expiry=3600):
        super().__init__(port, client, version, clean=clean, expiry=expiry)
        self.present = self.flags == 1

    def offer(self, packet_id, value, dup=False, payload=None):
        self.send(packet(0x34 | 8 * dup, text("t/d1/temp") + struct.pack(">H", packet_id)
                         + (b"\0" if self.version == V5 else b"") + (payload or b'{"value":%d}' % value)))

    def release(self, packet_id):
        self.send(packet(0x62, struct.pack(">H", packet_id)))

    def answer(self, kind, packet_id):
        """The reason code with which that packet came."""
        got, body = self.receive()
        assert got == kind and struct.unpack(">H", body[:2])[0] == packet_id, (got, body)
        return body[2] if len(body) > 2 else 0

    def deliver(self, packet_id, value):
        self.offer(packet_id, value)
        assert self.answer(PUBREC, packet_id) == 0
        self.release(packet_id)
        assert self.answer(PUBCOMP, packet_id) == 0


def values(place):
    return sorted(int(r["value"]) for r in place.readings())


def restart(place):
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()


def acknowledged_after_its_commit(place):
    end = Endpoint(place, max_age="3s")
    for version in (V3, V5):
        client = Session(end.port, f"c{version}", version)
        began = time.monotonic()
        client.offer(1, version)
        assert client.says_nothing(1.5), "PUBREC before the commit"
        assert client.answer(PUBREC, 1) == 0
        client.release(1)
        assert client.says_nothing(1.5), "PUBCOMP before the commit that deletes the row"
        assert client.answer(PUBCOMP, 1) == 0
        assert time.monotonic() - began > 4
        brief = Session(end.port, f"brief{version}", version, clean=True, expiry=0)
        brief.offer(1, 10 + version)
        assert brief.answer(PUBREC, 1) == 0
        brief.release(1)
        began = time.monotonic()
        assert brief.answer(PUBCOMP, 1) == 0 and time.monotonic() - began < 1, "it has no row to wait for"
    assert values(place) == [4, 5, 14, 15]


def cut_at_each_step(place):
    """The connection is cut, or the gateway killed, behind each packet of an exchange."""
    end = Endpoint(place)
    expected = []
    for n, (version, killed) in enumerate((v, k) for v in (V3, V5) for k in (False, True)):
        def again():
            client.close()
            if killed:
                restart(place)
            return Session(end.port, name, version)
        name = f"cut{n}"
        client = Session(end.port, name, version)
        assert not client.present  # v5 MQTT-3.1.2-6, v5 MQTT-3.2.2-3, v3.1.1 MQTT-3.1.2-4, v3.1.1 MQTT-3.2.2-3
        first = 100 * n
        client.offer(1, first)
        client = again()  # stored or not: the client does not know
        client.offer(1, first, dup=True)
        assert client.answer(PUBREC, 1) == 0
        client = again()
        assert client.present  # v5 MQTT-3.1.2-5, v5 MQTT-3.1.3-2, v3.1.1 MQTT-3.1.3-2, v3.1.1 MQTT-3.2.2-2
        client.offer(1, first, dup=True)
        assert client.answer(PUBREC, 1) == 0
        client.offer(1, first)  # MQTT.js sends again without DUP
        assert client.answer(PUBREC, 1) == 0
        client.release(1)
        client = again()
        client.release(1)
        assert client.answer(PUBCOMP, 1) in (0, NOT_FOUND)
        client = again()
        client.release(1)
        assert client.answer(PUBCOMP, 1) == (NOT_FOUND if version == V5 else 0)
        client.deliver(1, first + 1)  # the identifier is free for another
        client.offer(2, first + 2)
        assert client.answer(PUBREC, 2) == 0
        client = again()
        client.offer(2, first + 3)  # it has lost its memory, but not its session: another message
        assert client.answer(PUBREC, 2) == 0
        client.release(2)
        assert client.answer(PUBCOMP, 2) == 0
        expected += [first, first + 1, first + 2, first + 3]
        client.close()
    assert values(place) == expected, values(place)
    assert end.counts()["exchanges"] == 0 and end.counts()["sessions"] == 4


def taken_over_in_the_middle(place):
    end = Endpoint(place, max_age="2s")
    for version in (V3, V5):
        old = Session(end.port, "same", version)
        old.offer(7, version)
        place.wait_status("it waits", lambda s: s["ledger"]["pending"] > 0)
        new = Session(end.port, "same", version)
        assert new.present and old.ended_with() == (0x8E if version == V5 else None)
        new.offer(7, version, dup=True)
        assert new.answer(PUBREC, 7) == 0
        new.release(7)
        assert new.answer(PUBCOMP, 7) == 0
        new.close()
    assert values(place) == [4, 5]


def refused_whole(place):
    """What is kept as a dead letter: 5.0 is told, and the exchange is over; 3.1.1 goes on as if all were well."""
    end = Endpoint(place)
    five, three = Session(end.port, "five", V5), Session(end.port, "three", V3)
    five.offer(1, 0, payload=b"nonsense")
    assert five.answer(PUBREC, 1) == INVALID
    three.offer(1, 0, payload=b"nonsense")
    assert three.answer(PUBREC, 1) == 0
    assert end.counts()["exchanges"] == 1
    five.deliver(1, 1)
    restart(place)
    three = Session(end.port, "three", V3)
    three.offer(1, 0, dup=True, payload=b"nonsense")
    assert three.answer(PUBREC, 1) == 0
    three.release(1)
    assert three.answer(PUBCOMP, 1) == 0
    five = Session(end.port, "five", V5)
    five.offer(2, 5)
    assert five.answer(PUBREC, 2) == 0
    five.close()
    five = Session(end.port, "five", V5)
    five.offer(2, 0, payload=b"nonsense")  # another message with that identifier: no row may stay
    assert five.answer(PUBREC, 2) == INVALID
    restart(place)
    five = Session(end.port, "five", V5)
    five.deliver(2, 5)
    assert values(place) == [1, 5, 5] and place.status()["ledger"]["rejected_total"] == 3


def as_long_as_they_are_to(place):
    end = Endpoint(place, more="session_expiry: 1h")
    assert not Session(end.port, "forever", V3).present
    five = Session(end.port, "five", V5, expiry=2)
    five.offer(1, 1)
    assert five.answer(PUBREC, 1) == 0
    five.close()
    restart(place)
    assert Session(end.port, "forever", V3).present  # v3.1.1 MQTT-4.1.0-1, v3.1.1 MQTT-4.1.0-2, v5 MQTT-4.1.0-1
    five = Session(end.port, "five", V5, expiry=2)
    assert five.present
    five.close()
    time.sleep(3)
    assert not Session(end.port, "five", V5, expiry=2).present  # v5 MQTT-3.1.2-23, v5 MQTT-4.1.0-2
    assert end.counts()["sessions_expired"] == 1
    greedy = Session(end.port, "greedy", V5, expiry=7200)
    assert b"\x11" + struct.pack(">I", 3600) in greedy.properties, "the expiry granted is told"
    greedy.offer(1, 2)
    assert greedy.answer(PUBREC, 1) == 0
    fresh = Session(end.port, "greedy", V5, clean=True)
    assert not fresh.present  # v5 MQTT-3.1.2-4, v5 MQTT-3.1.4-4
    fresh.offer(1, 2)
    assert fresh.answer(PUBREC, 1) == 0
    fresh.send(packet(0xE0, b"\x00\x05\x11" + struct.pack(">I", 0)))  # it ends its session with the connection
    assert fresh.receive()[0] is None
    assert not Session(end.port, "greedy", V5).present
    Session(end.port, "forever", V3, clean=True).close()  # v3.1.1 MQTT-3.1.2-6, v3.1.1 MQTT-3.1.4-3
    restart(place)
    assert not Session(end.port, "forever", V3).present
    assert values(place) == [1, 2, 2]


def no_more_than_there_is_room_for(place):
    end = Endpoint(place, limits="limits: {sessions: 3, exchanges: 4}", more="receive_maximum: 4")
    five, three = Session(end.port, "five", V5), Session(end.port, "three", V3)
    for client, packet_id in ((five, 1), (five, 2), (three, 1), (three, 2)):
        client.offer(packet_id, packet_id)
        assert client.answer(PUBREC, packet_id) == 0
    five.offer(3, 3)
    assert five.answer(PUBREC, 3) == QUOTA
    three.offer(3, 3)
    assert three.receive()[0] is None
    assert end.counts()["exchanges_refused"] == 2 and end.counts()["exchanges"] == 4
    five.release(1)
    assert five.answer(PUBCOMP, 1) == 0
    five.deliver(3, 3)
    for i in range(5):
        Session(end.port, f"idle{i}", V5).close()  # the one idle longest gives way; those with an exchange stay
    counts = end.counts()
    assert counts["sessions"] == 3 and counts["sessions_evicted"] == 4, counts
    assert Session(end.port, "three", V3).present
    kept = [Session(end.port, f"held{i}", V5) for i in range(2)]
    assert b"\x11" + struct.pack(">I", 0) in kept[1].properties, "there is no room for its session, and it is told"
    kept[1].deliver(1, 4)
    restart(place)
    assert Session(end.port, "three", V3).present and not Session(end.port, "held1", V5).present
    place.stop("gateway")
    end = Endpoint(place, limits="limits: {sessions: 1, exchanges: 4}")
    assert end.counts()["sessions"] <= 1
    assert sorted(values(place)) == [1, 1, 2, 2, 3, 4]


def welcomed_when_it_is_so(place):
    """The CONNACK of a clean start comes with the commit that ends the session before it: killed right behind it, nothing of
    that comes back, for whose repeat the same words in another exchange would be taken."""
    end = Endpoint(place, max_age="700ms")
    for version in (V3, V5):
        old = Session(end.port, f"c{version}", version)
        old.offer(1, 7)
        assert old.answer(PUBREC, 1) == 0
        old.close()
    began = time.monotonic()
    for version in (V3, V5):
        fresh = Session(end.port, f"c{version}", version, clean=True, expiry=0)
        assert not fresh.present
    assert time.monotonic() - began > 0.5
    began = time.monotonic()
    for n in range(20):
        Session(end.port, f"none{n}", V5, clean=True, expiry=0).close()
    assert time.monotonic() - began < 5, "one that changes nothing waits for nothing"
    restart(place)
    for version in (V3, V5):
        again = Session(end.port, f"c{version}", version)
        assert not again.present, "a session that was ended has come back"
        again.deliver(1, 7)
    kept = Session(end.port, "kept", V5)
    restart(place)
    assert Session(end.port, "kept", V5).present and not kept.present
    assert values(place) == [7, 7, 7, 7]


def a_device_drives_out_no_other(place):
    """Whoever comes with a new client id each time has as many sessions as connections, and takes nobody else's."""
    end = Guarded(place, listen="mqtt", limits="limits: {sessions: 4}", more="connections_per_device: 2")
    passwords = {name: end.add(name) for name in ("calm", "restless")}

    def come(device, client):
        """Whether its session is there; it goes at once."""
        with socket.create_connection(("127.0.0.1", end.port), 10) as peer:
            peer.sendall(packet(0x10, text("MQTT") + b"\4\xc0\0\x3c" + text(client) + text(device) + text(passwords[device])))
            answer = peer.recv(4)
            assert answer[0] == 0x20 and answer[3] == 0, answer
            return answer[2] == 1
    assert not come("calm", "c1")
    for i in range(20):
        assert not come("restless", f"r{i}")
    assert come("calm", "c1") and come("restless", "r19") and come("restless", "r18")
    time.sleep(0.5)  # committed
    restart(place)
    assert come("calm", "c1") and come("restless", "r18") and come("restless", "r19")
    assert not come("restless", "r17") and come("restless", "r19") and not come("restless", "r18")
    counts = end.counts()
    assert counts["sessions"] == 3 and counts["sessions_refused"] == 0, counts


CASES = [acknowledged_after_its_commit, cut_at_each_step, taken_over_in_the_middle, refused_whole, as_long_as_they_are_to,
         no_more_than_there_is_room_for, welcomed_when_it_is_so,
         a_device_drives_out_no_other]

if __name__ == "__main__":
    sys.exit(run_cases(CASES))
