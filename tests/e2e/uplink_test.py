#!/usr/bin/env python3
"""Goal: every alert reaches the cloud's broker although the connection is cut again and again under load, the
certificate is replaced meanwhile, or the cloud is away; and nothing is sent to a broker that cannot prove its name.
Method: real mosquitto with mutual TLS, a proxy that cuts, a stock mosquitto_sub behind it; the sequences that it saw
are compared with those that the gateway gave. The broker may see one twice (that is the receiver's rule to sort
out), never a malformed packet."""
import json
import os
import random
import subprocess
import sys
import time

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
window: {{size: 1s, lateness: 0s, out_of_orderness: 0s}}
commit: {{max_age: 100ms}}
detectors: [{{type: limit, name: high, metric: "*", high: 50, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s}}]
uplink:
  url: mqtts://{host}:{cloud}
  ca: {pki}/ca.crt
  cert: {pki}/gateway.crt
  key: {pki}/gateway.key
  backoff_min: 100ms
  backoff_max: 400ms
  in_flight: 50
  raw: true
"""


class Site:
    def __init__(self, place, host="localhost"):
        self.place, self.host, self.round = place, host, 0
        place.pki("gateway", "watcher")
        self.plant = place.start_broker("plant")
        self.cloud = place.start_broker("cloud", tls=True)
        self.proxy = Proxy(self.cloud)

    def start(self):
        pki = self.place.path("pki")
        self.place.write_config(CONFIG.format(port=self.plant, cloud=self.proxy.port, host=self.host, pki=pki))
        self.place.start("watcher", ["mosquitto_sub", "-h", "localhost", "-p", str(self.cloud), "--cafile",
                                     f"{pki}/ca.crt", "--cert", f"{pki}/watcher.crt", "--key", f"{pki}/watcher.key",
                                     "-t", "weir/gw-test/alerts", "-q", "1"])
        time.sleep(0.5)
        self.place.start_gateway()
        self.place.wait_status("source connected", lambda s: s["sources"][0]["connected"])

    def publish(self, rounds):
        """In each round every device goes over or back under its limit: an alert's revision each."""
        lines = []
        base = int(time.time() * 1000) - 3600000
        for _ in range(rounds):
            self.round += 1
            value = 100 if self.round % 2 else 0
            lines.append(json.dumps([{"d": f"dev-{i}", "m": "level", "v": value, "t": base + self.round * 100,
                                      "n": self.round} for i in range(DEVICES)]))
        subprocess.run(["mosquitto_pub", "-p", str(self.plant), "-q", "1", "-t", "all", "-l"],
                       input="\n".join(lines).encode() + b"\n", check=True, timeout=60)

    def drained(self, seconds=60):
        wanted = self.round * DEVICES
        return self.place.wait_status(
            "every lane drained",
            lambda s: s["ledger"]["stored"] == wanted and
            all(lane["covered"] + 1 == lane["next"] for lane in s["lanes"].values()), seconds)

    def check_alerts(self):
        status = self.drained()
        given = status["lanes"]["alerts"]["next"] - 1

        def seen():
            events = [json.loads(line) for line in self.place.log("watcher").splitlines() if line.endswith("}")]
            return {int(event["sequence"]) for event in events}
        wait_until(f"all {given} alerts seen", lambda: seen() == set(range(1, given + 1)), 10)
        assert given >= self.round * DEVICES * 9 // 10, f"only {given} alerts for {self.round * DEVICES} changes"
        assert "malformed" not in self.place.log("cloud")
        return status


def cut_under_load(place):
    site = Site(place)
    site.start()
    chance = random.Random(1)
    for _ in range(25):
        site.publish(3)
        time.sleep(chance.uniform(0.0, 0.3))
        site.proxy.cut()
    site.check_alerts()
    assert site.proxy.connections >= 10, site.proxy.connections


def cloud_away(place):
    site = Site(place)
    site.start()
    site.publish(10)
    site.check_alerts()
    site.proxy.open = False
    site.proxy.cut()
    place.wait_status("loss noticed", lambda s: not s["uplink"]["connected"])
    site.publish(20)
    waiting = place.wait_status("alerts wait", lambda s: s["lanes"]["alerts"]["rows"] >= 20 * DEVICES - 5)
    assert "uplink_lost" in waiting["reasons"]
    place.stop("gateway", 9)
    place.start_gateway()
    site.proxy.open = True
    site.check_alerts()


def certificate_replaced(place):
    site = Site(place)
    site.start()
    place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
    before = site.proxy.connections
    place.pki("gateway")
    until = time.monotonic() + 30
    while "uplink_certificates" not in place.log("gateway") or site.proxy.connections == before:
        assert time.monotonic() < until, "the new certificate was not picked up"
        site.publish(2)
        time.sleep(0.1)
    place.wait_status("connected again", lambda s: s["uplink"]["connected"])
    site.publish(5)
    site.check_alerts()


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
    pki = site.place.path("pki")
    site.place.write_config(CONFIG.format(port=site.plant, cloud=site.proxy.port, host="localhost", pki=pki))
    site.place.start_gateway()
    wait_until("tried three times", lambda: site.place.log("gateway").count("uplink_closed") >= 3)
    status = site.place.status()
    assert not status["uplink"]["connected"] and status["sources"][0]["connected"]
    assert "New client connected" not in site.place.log("cloud")


CASES = [cut_under_load, cloud_away, certificate_replaced, wrong_name, unknown_authority]


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
