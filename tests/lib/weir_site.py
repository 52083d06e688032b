"""A gateway between a plant's broker and a cloud's, mutual TLS and a proxy on the way to the second, and a stock
mosquitto_sub behind it that sees what arrived: for tests of what leaves the gateway.

    with Place() as place:
        site = Site(place)
        site.start()
        site.publish(10)       # each device over and back under its limit, ten times
        seen, status = site.check()
"""
import json
import os
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from weir_e2e import Proxy, wait_until  # noqa: E402

DEVICES = 40
DEVICE_NAMES = [f"dev-{i}" for i in range(DEVICES)]

CONFIG = """
sources:
  - name: plant
    url: mqtt://localhost:{port}
    topics: [all]
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
clock: {{trust: system}}
window: {{size: 1s, lateness: 0s, out_of_orderness: 0s, recent: {recent}}}
{more}
usual: {{all: false}}
alerts: {{storm: 0}}
detectors: [{{type: limit, name: high, metric: "*", high: 50, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s, chatter: false}}]
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
PLAIN = {"recent": 16, "refusals": 5, "raw": "true", "more": "commit: {max_age: 100ms}"}


class Message:
    """One that the broker passed on: its lane, its sequence in it, and whether a gap event stands there."""

    def __init__(self, line):
        topic, payload = line.split(" ")
        self.lane, self.bytes = topic.rsplit("/", 1)[1], len(payload) // 2
        content = bytes.fromhex(payload)
        if not content.startswith(b"{"):
            content = zlib.decompress(content)
        event = json.loads(content) if content.startswith(b"{") else None
        self.sequence = int(event["sequence"]) if event else int.from_bytes(content[20:28], "little")
        self.gap = bool(event) and event["type"].endswith("gap.v1")
        self.event = event


class Site:
    def __init__(self, place, **config):
        self.place, self.round, self.config = place, 0, {**PLAIN, **config}
        place.pki("gateway", "watcher")
        self.plant = place.start_broker("plant", settings="log_type all\n")
        self.cloud = place.start_broker("cloud", tls=True)
        self.proxy = Proxy(self.cloud)

    @property
    def readings(self):
        """That publish() sent, an alert's revision each."""
        return self.round * DEVICES

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

    def arrived(self, readings, gaps=0, seconds=60):
        """Everything that was given a sequence arrived, in every lane; what was seen, and the last status."""
        status = self.drained(readings, seconds)
        given = {(lane, number) for lane, state in status["lanes"].items() for number in range(1, state["next"])}
        wait_until(f"all {len(given)} messages seen", lambda: {(m.lane, m.sequence) for m in self.seen()} == given, 10)
        seen = self.seen()
        assert len({(m.lane, m.sequence) for m in seen if m.gap}) == gaps, "gap events that nobody expected"
        assert self.place.log("gateway").count("outbox_poison") == gaps
        assert "malformed" not in self.place.log("cloud")
        return seen, status

    def check(self, readings=None, gaps=0):
        """All arrived, and there was an alert for nearly each reading that publish() sent."""
        readings = self.readings if readings is None else readings
        seen, status = self.arrived(readings, gaps)
        alerts = status["lanes"]["alerts"]["next"] - 1
        assert alerts >= readings * 9 // 10, f"only {alerts} alerts for {readings} changes"
        print(f"  {readings} readings, messages {len({(m.lane, m.sequence) for m in seen})}, of them alerts {alerts}; "
              f"seen {len(seen)} times")
        return seen, status
