#!/usr/bin/env python3
"""Goal: every alert reaches the cloud's broker although the connection is cut again and again under load, the
certificate is replaced meanwhile, or the cloud is away; an entry that it will never take does not stop the others;
and nothing is sent to a broker that cannot prove its name.
Method: real mosquitto with mutual TLS, a proxy that cuts, a stock mosquitto_sub behind it; the sequences that it saw
are compared with those that the gateway gave. The broker may see one twice (that is the receiver's rule to sort
out), never a malformed packet."""
import json
import os
import random
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import Place, Proxy, skip_without, wait_until  # noqa: E402

DEVICES = 40

CONFIG = """
sources:
  - name: plant
    url: mqtt://localhost:{port}
    topics: [all]
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
clock: {{trust: system}}
window: {{size: 1s, lateness: 0s, out_of_orderness: 0s, recent: {recent}}}
commit: {{max_age: 100ms}}
detectors: [{{type: limit, name: high, metric: "*", high: 50, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s}}]
uplink:
  url: mqtts://localhost:{cloud}
  ca: {pki}/ca.crt
  cert: {pki}/gateway.crt
  key: {pki}/gateway.key
  backoff_min: 100ms
  backoff_max: 400ms
  in_flight: 50
  refusals_max: {refusals}
  raw: {raw}
"""
PLAIN = {"recent": 16, "refusals": 5, "raw": "true"}


class Message:
    """One that the broker passed on: its lane, its sequence in it, and whether a gap event stands there."""

    def __init__(self, line):
        topic, payload = line.split(" ")
        self.lane, self.bytes = topic.rsplit("/", 1)[1], len(payload) // 2
        content = bytes.fromhex(payload)
        if self.lane != "alerts":
            content = zlib.decompress(content)
        event = json.loads(content) if content.startswith(b"{") else None
        self.sequence = int(event["sequence"]) if event else int.from_bytes(content[20:28], "little")
        self.gap = bool(event) and event["type"].endswith("gap.v1")
        self.event = event


class Site:
    def __init__(self, place, **config):
        self.place, self.round, self.config = place, 0, {**PLAIN, **config}
        place.pki("gateway", "watcher")
        self.plant = place.start_broker("plant")
        self.cloud = place.start_broker("cloud", tls=True)
        self.proxy = Proxy(self.cloud)

    def write_config(self):
        self.place.write_config(CONFIG.format(port=self.plant, cloud=self.proxy.port, pki=self.place.path("pki"),
                                              **self.config))

    def start(self):
        self.write_config()
        self.watch()
        self.place.start_gateway()
        self.place.wait_status("source connected", lambda s: s["sources"][0]["connected"])

    def watch(self):
        pki = self.place.path("pki")
        self.place.start("watcher", ["mosquitto_sub", "-h", "localhost", "-p", str(self.cloud), "--cafile",
                                     f"{pki}/ca.crt", "--cert", f"{pki}/watcher.crt", "--key", f"{pki}/watcher.key",
                                     "-i", "watcher", "-c", "-t", "weir/gw-test/+", "-q", "1", "-F", "%t %x"])
        wait_until("the watcher is connected", lambda: "as watcher " in self.place.log("cloud"))
        time.sleep(0.2)  # it subscribes at once

    def seen(self):
        return [Message(line) for line in self.place.log("watcher").splitlines(keepends=True)
                if line.startswith("weir/") and line.endswith("\n")]

    def publish(self, rounds, devices=None):
        """In each round every device goes over or back under its limit: an alert's revision each, and a window."""
        lines = []
        base = int(time.time() * 1000) - 3600000
        for _ in range(rounds):
            self.round += 1
            value = 100 if self.round % 2 else 0
            lines.append(json.dumps([{"d": device, "m": "level", "v": value, "t": base + self.round * 1000,
                                      "n": self.round} for device in devices or DEVICE_NAMES]))
        subprocess.run(["mosquitto_pub", "-p", str(self.plant), "-q", "1", "-t", "all", "-l"],
                       input="\n".join(lines).encode() + b"\n", check=True, timeout=60)

    def drained(self, readings, seconds=60):
        return self.place.wait_status(
            "every lane drained",
            lambda s: s["ledger"]["stored"] == readings and
            all(lane["covered"] + 1 == lane["next"] for lane in s["lanes"].values()), seconds)

    def check(self, readings=None, gaps=0):
        """Everything that was given a sequence arrived, in every lane; returns what was seen and the last status."""
        readings = self.round * DEVICES if readings is None else readings
        status = self.drained(readings)
        given = {(lane, number) for lane, state in status["lanes"].items() for number in range(1, state["next"])}
        wait_until(f"all {len(given)} messages seen", lambda: {(m.lane, m.sequence) for m in self.seen()} == given, 10)
        seen = self.seen()
        alerts = status["lanes"]["alerts"]["next"] - 1
        assert alerts >= readings * 9 // 10, f"only {alerts} alerts for {readings} changes"
        assert len({(m.lane, m.sequence) for m in seen if m.gap}) == gaps, "gap events that nobody expected"
        assert self.place.log("gateway").count("outbox_poison") == gaps
        assert "malformed" not in self.place.log("cloud")
        print(f"  {readings} readings, messages {len(given)}, of them alerts {alerts}; seen {len(seen)} times")
        return seen, status


DEVICE_NAMES = [f"dev-{i}" for i in range(DEVICES)]


def cut_under_load(place):
    site = Site(place)
    site.proxy.pause_s = 0.005
    site.start()
    chance = random.Random(1)
    site.publish(75)
    for cut in range(1, 26):
        place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
        time.sleep(chance.uniform(0.0, 0.2))
        site.proxy.cut()
        place.wait_status("loss noticed", lambda s: not s["uplink"]["connected"] or site.proxy.connections > cut)
    assert place.status()["lanes"]["alerts"]["covered"] < 75 * DEVICES, "the cuts came after the load"
    site.proxy.pause_s = 0.0
    site.check()


def cloud_away(place):
    """What waited, over a kill -9 too, leaves in order: alerts first, but for the backlog's least share (20 %)."""
    site = Site(place)
    site.start()
    site.publish(10)
    site.check()
    site.proxy.open = False
    site.proxy.cut()
    place.wait_status("loss noticed", lambda s: not s["uplink"]["connected"])
    before = len(site.seen())
    for _ in range(20):
        site.publish(1)
    waiting = place.wait_status("alerts wait", lambda s: s["lanes"]["alerts"]["rows"] >= 20 * DEVICES - 5)
    assert "uplink_lost" in waiting["reasons"]
    place.stop("gateway", 9)
    place.start_gateway()
    site.proxy.open = True
    seen, _ = site.check()
    backlog = seen[before:]
    last_alert = max(i for i, m in enumerate(backlog) if m.lane == "alerts")
    others = sum(m.lane != "alerts" for m in backlog[:last_alert])
    print(f"  {last_alert + 1} messages until the last alert, {others} of them not alerts; then {len(backlog)} in all")
    assert others <= (last_alert + 1) * 0.22 + 2, "alerts did not go first"
    for lane in ("alerts", "results", "raw"):
        order = [m.sequence for m in backlog if m.lane == lane]
        assert len(order) > 5 and order == sorted(order), f"{lane}: out of order or too few: {order}"
    last_result = max(i for i, m in enumerate(backlog) if m.lane == "results")
    first_raw = min(i for i, m in enumerate(backlog) if m.lane == "raw")
    assert first_raw > last_result, "raw went before results"


def certificate_replaced(place):
    """The new one names another client, so that the broker's log tells which one was shown."""
    site = Site(place)
    site.start()
    place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
    place.pki("gateway-next")
    for kind in ("key", "crt"):
        os.rename(place.path("pki", f"gateway-next.{kind}"), place.path("pki", f"gateway.{kind}"))
    until = time.monotonic() + 30
    while "u'gateway-next'" not in place.log("cloud"):
        assert time.monotonic() < until, "the new certificate was not picked up"
        site.publish(2)
        time.sleep(0.1)
    place.wait_status("connected again", lambda s: s["uplink"]["connected"])
    site.publish(5)
    site.check()


FAT = "fat-" + "x" * 60


def poisoned(place, limit):
    """A broker that will never take one device's long alerts. `limit` is the setting that says so."""
    few = DEVICE_NAMES[:5]
    site = Site(place, recent=0, refusals=2, raw="false")
    site.start()
    site.publish(2, few)
    seen, _ = site.check(2 * len(few))
    most = max(m.bytes for m in seen)
    place.stop("cloud")
    place.start_broker("cloud", tls=True, settings=f"{limit} {most + 160}\n")
    place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
    site.publish(1, few + [FAT])
    for _ in range(3):
        site.publish(1, few)
    readings = 6 * len(few) + 1
    seen, status = site.check(readings, gaps=1)
    gap = next(m for m in seen if m.gap)
    letters = [json.loads(line) for line in place.weir("dlq", "list", "--json").splitlines()]
    print(f"  {limit} {most + 160}: sequence {gap.sequence} is dead, {status['lanes']['alerts']['next'] - 1 - gap.sequence}"
          " went on behind it")
    assert [(letter["source"], letter["reason"]) for letter in letters] == [("uplink", "upstream_refused")], letters
    dead = json.loads(place.weir("dlq", "show", "--json", str(letters[0]["id"])))
    assert FAT in json.dumps(dead), "the letter is another one"
    assert not any(FAT in json.dumps(m.event) for m in seen if m.event and not m.gap)


def refused_entry(place):
    poisoned(place, "message_size_limit")


def entry_that_breaks_the_connection(place):
    poisoned(place, "max_packet_size")


def wrong_name(place):
    """The broker's certificate is of our authority, but for another name."""
    site = Site(place)
    place.stop("cloud")
    place.rename_server("other.example")
    place.start_broker("cloud", tls=True)
    refuses(site)


def unknown_authority(place):
    site = Site(place)
    os.remove(place.path("pki", "ca.crt"))
    place.pki("gateway")
    refuses(site)


def refuses(site):
    site.write_config()
    site.place.start_gateway()
    wait_until("tried three times", lambda: site.place.log("gateway").count("uplink_closed") >= 3)
    status = site.place.status()
    assert not status["uplink"]["connected"] and status["sources"][0]["connected"]
    assert "New client connected" not in site.place.log("cloud")


CASES = [cut_under_load, cloud_away, certificate_replaced, refused_entry, entry_that_breaks_the_connection, wrong_name,
         unknown_authority]


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub", "openssl")
    for case in CASES:
        if len(sys.argv) > 1 and case.__name__ not in sys.argv[1:]:
            continue
        began = time.monotonic()
        with Place() as place:
            case(place)
        print(f"ok {case.__name__} {time.monotonic() - began:.1f} s", flush=True)
    return 0


sys.exit(main())
