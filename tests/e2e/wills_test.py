#!/usr/bin/env python3
"""Goal: a device with a will that goes without a word is told as gone, once, and only then; also over restarts. Method: the
real gateway on loopback, clients by hand that leave in every way there is, and a look at the journal, `weir devices`, the
log and the lane of alerts."""
import json
import os
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import CONNACK, V3, V5, Client, Endpoint, packet, publish, text  # noqa: E402
from weir_e2e import free_port, run_cases, skip_without, wait_until  # noqa: E402


class Mortal(Client):
    """A client with a will."""

    def __init__(self, port, name, version=V5, clean=True, expiry=0, delay=0, keep_alive=60, will=b"so long"):
        super().__init__(port, None, version)
        own = (b"\x05\x11" + struct.pack(">I", expiry) if expiry else b"\0") if version == V5 else b""
        wills = (b"\x05\x18" + struct.pack(">I", delay) if delay else b"\0") if version == V5 else b""
        self.send(packet(0x10, text("MQTT") + bytes([version, 4 | (2 if clean else 0)]) + struct.pack(">H", keep_alive)
                         + own + text(name) + wills + text(f"state/{name}") + text(will)))
        kind, body = self.receive()
        assert kind == CONNACK and body[1] == 0, (kind, body)
        self.present = body[0] == 1

    def goodbye(self, code=None):
        self.send(packet(0xE0, b"" if code is None else bytes([code])))
        assert self.receive()[0] is None


class Watch:
    """Who was told as gone."""

    def __init__(self, place, **more):
        self.place = place
        self.end = Endpoint(place, **more)
        self.port = self.end.port

    def gone(self):
        records = self.place.export()
        return [(r["device"], r["will"]) for r in records if r["kind"] == "gone"]

    def expect(self, *devices, seconds=5):
        def count():
            return self.end.counts()["gone"] >= len(devices)
        wait_until(f"{devices} are gone", count, seconds)
        time.sleep(0.6)  # no more than these, and they are committed
        assert sorted(d for d, _ in self.gone()) == sorted(devices), self.gone()


def in_every_way(place):
    watch = Watch(place, limits="uplink: {url: mqtt://127.0.0.1:%d}" % free_port())
    before = place.status()["lanes"]["alerts"]["next"]
    told = []
    for version in (V3, V5):
        def mortal(name, **more):
            client = Mortal(watch.port, f"{name}-{version}", version, **more)
            if name != "mute":
                client.send(publish(1, version, device=f"{name}-{version}"))
                client.acknowledged(1)
            return client
        mortal("goodbye").goodbye()  # v5 MQTT-3.1.2-10, v3.1.1 MQTT-3.1.2-10
        Client(watch.port, f"willess-{version}", version).close()  # v3.1.1 MQTT-3.1.2-12
        mortal("cut").close()  # v5 MQTT-3.1.2-8, v3.1.1 MQTT-3.1.2-8
        mortal("rude").send(b"\0\0")
        kept = mortal("brief", keep_alive=1)
        mortal("twice")
        again = mortal("twice")  # the older one's is told, since it had no delay
        mortal("mute").close()   # it never sent a reading: told all the same
        told += [f"{name}-{version}" for name in ("cut", "rude", "brief", "twice", "mute")]
        kept.ended_with()
        again.goodbye()
    Mortal(watch.port, "asked", V5).goodbye(4)
    told.append("asked")
    watch.expect(*told, seconds=8)
    assert all(will == "so long" for _, will in watch.gone())
    listed = {d["device"]: d["gone"] for d in map(json.loads, place.weir("devices", "--json").splitlines())}
    assert listed["cut-4"] and listed["brief-5"] and not listed["goodbye-4"], listed
    assert "mute-4" not in listed
    assert place.status()["lanes"]["alerts"]["next"] == before + len(told), "a notice for each"
    assert 'device_gone device=cut-5 will="so long"' in place.log("gateway"), place.log("gateway")
    back = Client(watch.port, "cut-4", V3)
    back.publish(2, device="cut-4")
    back.acknowledged(1)
    listed = {d["device"]: d["gone"] for d in map(json.loads, place.weir("devices", "--json").splitlines())}
    assert not listed["cut-4"], "a reading says that it is there again"
    odd = Mortal(watch.port, "odd", V5, will=b'\xff\xfe"')
    odd.close()
    long = Mortal(watch.port, "long", V5, will=b"x" * 300)
    long.close()
    watch.expect(*told, "odd", "long")
    wills = dict(watch.gone())
    assert wills["odd"] == "" and wills["long"] == "x" * 128


def after_a_delay(place):
    watch = Watch(place)
    Mortal(watch.port, "back", V5, clean=False, expiry=60, delay=2).close()
    Mortal(watch.port, "late", V5, clean=False, expiry=60, delay=2).close()
    Mortal(watch.port, "over", V5, clean=False, expiry=2, delay=60).close()  # its session ends first
    Mortal(watch.port, "fresh", V5, clean=False, expiry=60, delay=60).close()
    before = Mortal(watch.port, "taken", V5, clean=False, expiry=60, delay=60)
    taken = Mortal(watch.port, "taken", V5, clean=False, expiry=60, delay=60)
    back = Mortal(watch.port, "back", V5, clean=False, expiry=60, delay=2)
    assert back.present and taken.present and before.ended_with() == 0x8E  # v5 MQTT-3.1.3-9
    assert Client(watch.port, "fresh", V5, clean=True).flags == 0  # its old session ended
    watch.expect("fresh")
    time.sleep(2.5)
    watch.expect("fresh", "late", "over")
    assert not Client(watch.port, "over", V5, clean=False, expiry=60).flags
    assert Client(watch.port, "late", V5, clean=False, expiry=60).flags


def over_restarts(place):
    """Whoever was connected has half a minute to come back."""
    watch = Watch(place)
    kept = dict(clean=False, expiry=3600)
    clients = [Mortal(watch.port, f"{name}-{version}", version, **kept) for name in ("gone", "back") for version in (V3, V5)]
    clients += [Mortal(watch.port, f"{name}-{version}", version) for name in ("brief", "fresh") for version in (V3, V5)]
    Mortal(watch.port, "goodbye", V3).goodbye()
    Mortal(watch.port, "told", V3).close()
    watch.expect("told")
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    began = time.monotonic()
    clients = [Mortal(watch.port, f"back-{version}", version, **kept) for version in (V3, V5)]
    assert all(client.present for client in clients)
    clients += [Mortal(watch.port, f"fresh-{version}", version) for version in (V3, V5)]
    assert not any(client.present for client in clients[2:])
    # v5 MQTT-3.1.2-7: a will is kept with its session
    wait_until("they are missed", lambda: watch.end.counts()["gone"] >= 4, 40)
    assert time.monotonic() - began > 25, "too soon"
    time.sleep(0.6)
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    names = sorted(d for d, _ in watch.gone())
    assert names == ["brief-4", "brief-5", "gone-4", "gone-5", "told"], names


def no_more_than_there_is_room_for(place):
    watch = Watch(place, limits="limits: {sessions: 1}")
    first = Mortal(watch.port, "first", V5)
    second = Mortal(watch.port, "second", V5)
    assert watch.end.counts()["sessions_refused"] == 1
    second.close()
    first.close()
    watch.expect("first")
    Mortal(watch.port, "third", V3).close()
    watch.expect("first", "third")


def stock_client(place):
    watch = Watch(place)
    client = subprocess.Popen(["mosquitto_pub", "-V", "mqttv5", "-i", "stock", "-p", str(watch.port), "-t", "t/stock/temp", "-l",
                               "--will-topic", "state/stock", "--will-payload", "lost"], stdin=subprocess.PIPE)
    wait_until("it is connected", lambda: watch.end.counts()["connected"] == 1)
    client.kill()
    client.wait()
    client.stdin.close()
    watch.expect("stock")
    assert watch.gone() == [("stock", "lost")]


CASES = [in_every_way, after_a_delay, over_restarts, no_more_than_there_is_room_for, stock_client]


def main():
    skip_without("mosquitto_pub")
    return run_cases(CASES)


if __name__ == "__main__":
    sys.exit(main())
