#!/usr/bin/env python3
"""Goal: what a device's broker was told is taken is on disk, and what was not is delivered again: over kill -9 between
receipt and commit, over a broker that restarts or is not there yet, in plain text and over TLS, where one read brings
many messages.
Method: real mosquitto, stock mosquitto_pub at QoS 1, the gateway's own export compared with what was published:
nothing missing, nothing twice, ledger balanced."""
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
sources:
  - name: plant
    url: {scheme}://localhost:{port}
    {tls}
    receive_maximum: {window}
    backoff_min: 100ms
    backoff_max: 1s
    topics: ["telemetry/{{device}}/{{metric}}"]
clock: {{trust: system}}
commit: {{max_age: {max_age}}}
shed: {{enrichment_lag: 20s, optional_lag: 40s, sources_lag: 60s, qos0_lag: 0}}
usual: {{all: false}}
detectors: [{{type: limit, name: never, metric: none, high: 1}}]   # an alert would commit at once
"""


class Plant:
    """A broker, a gateway that reads it, and what was published so far."""

    def __init__(self, place, max_age="200ms", tls=False, window=1000):
        self.place, self.tls, self.published = place, tls, 0
        if tls:
            place.pki("gateway", "device")
        self.port = place.start_broker("plant", tls=tls)
        self.configure(max_age, window)

    def configure(self, max_age, window=1000):
        pki = self.place.path("pki")
        files = f"ca: {pki}/ca.crt\n    cert: {pki}/gateway.crt\n    key: {pki}/gateway.key" if self.tls else ""
        self.place.write_config(CONFIG.format(scheme="mqtts" if self.tls else "mqtt", port=self.port, tls=files,
                                              window=window, max_age=max_age))

    def publish(self, count, wait=True):
        pki = self.place.path("pki")
        tls = ["--cafile", f"{pki}/ca.crt", "--cert", f"{pki}/device.crt", "--key", f"{pki}/device.key"]
        publisher = subprocess.Popen(["mosquitto_pub", "-h", "localhost", "-p", str(self.port), "-q", "1", "-l", "-t",
                                      "telemetry/pump-1/temperature"] + (tls if self.tls else []),
                                     stdin=subprocess.PIPE)
        base = int(time.time() * 1000) - 3600000
        for number in range(self.published + 1, self.published + count + 1):
            line = {"value": number % 50, "time": base + number, "sequence": number}
            publisher.stdin.write(json.dumps(line).encode() + b"\n")
        publisher.stdin.close()
        self.published += count
        if wait:
            assert publisher.wait(60) == 0
        return publisher

    def connected(self):
        self.place.wait_status("connected", lambda s: s["sources"][0]["connected"])

    def check(self):
        status = self.place.wait_status(f"{self.published} stored",
                                        lambda s: s["ledger"]["stored"] >= self.published, 40)
        ledger = status["ledger"]
        numbers = [r["sequence"] for r in self.place.readings()]
        assert sorted(numbers) == list(range(1, self.published + 1)), \
            f"published {self.published}, journal {len(numbers)}, distinct {len(set(numbers))}"
        assert ledger["balanced"] and ledger["stored"] == self.published, ledger
        return ledger


def killed_before_the_commit(place):
    plant = Plant(place, max_age="8s")
    place.start_gateway()
    plant.connected()
    plant.publish(300)
    place.wait_status("all taken, none committed",
                      lambda s: s["ledger"]["pending"] == 300 and s["ledger"]["stored"] == 0)
    place.stop("gateway", signal.SIGKILL)
    plant.configure("200ms")
    place.start_gateway()
    ledger = plant.check()
    assert ledger["duplicate"] == 0, "nothing of it was stored before"


def killed_at_random(place, tls=False, rounds=6):
    plant = Plant(place, max_age="500ms", tls=tls)
    chance = random.Random(1)
    place.start_gateway()
    plant.connected()
    for _ in range(rounds):
        publisher = plant.publish(2000, wait=False)
        time.sleep(chance.uniform(0.0, 0.3))
        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        assert publisher.wait(60) == 0
    plant.check()


def killed_at_random_over_tls(place):
    killed_at_random(place, tls=True, rounds=4)


def small_window_stays_full(place):
    """The whole announced window waits for its commit: the gateway must not wait for max_age then."""
    plant = Plant(place, max_age="8s", window=20)
    place.start_gateway()
    plant.connected()
    began = time.monotonic()
    plant.publish(1000)
    place.wait_status("stored in windows of 20", lambda s: s["ledger"]["stored"] >= 980, 20)
    assert time.monotonic() - began < 8


def broker_restarts(place):
    plant = Plant(place)
    place.start_gateway()
    plant.connected()
    for _ in range(3):
        plant.publish(200)
        plant.check()
        place.stop("plant")
        place.wait_status("loss noticed", lambda s: not s["sources"][0]["connected"])
        place.start_broker("plant")
        plant.connected()
    plant.publish(200)
    plant.check()


def session_lost_while_we_were_down(place):
    """It is told, and only then: not at the very first connection, nor when the broker still has it."""
    plant = Plant(place)
    connected = []

    def start():
        connected.append(place.log("gateway").count("source_connected") if "gateway" in place.logs else 0)
        place.start_gateway()
        wait_until("connected", lambda: place.log("gateway").count("source_connected") > connected[-1])
        return place.log("gateway").count("source_session_lost")
    assert start() == 0, "there was none to lose"
    wait_until("it is noted", lambda: os.path.exists(place.path("data", "session-plant")))
    place.stop("gateway", signal.SIGKILL)
    assert start() == 0, "it is still there"
    place.stop("gateway")
    place.stop("plant", signal.SIGKILL)
    for name in os.listdir(place.path("plant")):
        os.remove(place.path("plant", name))
    place.start_broker("plant")
    assert start() == 1
    place.stop("gateway")
    plant.configure("200ms")
    with open(place.config) as f:
        text = f.read()
    with open(place.config, "w") as f:
        f.write(text.replace("    topics:", "    client_id: another\n    topics:"))
    assert start() == 1, "that one never had a session"


def broker_comes_later(place):
    plant = Plant(place)
    place.stop("plant")
    place.start_gateway()
    time.sleep(0.5)
    assert place.status()["health"] == "degraded" and "source_lost" in place.status()["reasons"]
    place.start_broker("plant")
    plant.connected()
    plant.publish(100)
    plant.check()


def waits_in_the_broker(place):
    """The session outlives an orderly stop."""
    plant = Plant(place)
    place.start_gateway()
    plant.connected()
    plant.publish(100)
    plant.check()
    assert place.stop("gateway") == 0
    plant.publish(3000)
    place.start_gateway()
    plant.check()


def retained_is_old_news(place):
    """The broker sends what is retained whenever somebody subscribes; without a sequence or a time of its own nobody
    could tell it from a new reading."""
    plant = Plant(place)
    retained = ["mosquitto_pub", "-p", str(plant.port), "-q", "1", "-t", "telemetry/pump-2/level", "-m", '{"value": 7}']
    subprocess.run([*retained, "-r"], check=True)
    for start in range(3):
        place.start_gateway()
        plant.connected()
        plant.publish(10)
        place.wait_status("stored", lambda s: s["ledger"]["stored"] >= plant.published + 1)
        if start == 1:
            place.stop("plant")
            place.wait_status("loss noticed", lambda s: not s["sources"][0]["connected"])
            place.start_broker("plant")
            plant.connected()
        time.sleep(1)
        assert place.status()["ledger"]["stored"] == plant.published + 1, place.status()["ledger"]
        place.stop("gateway", signal.SIGKILL if start == 0 else signal.SIGTERM)
    place.start_gateway()
    plant.connected()
    subprocess.run([*retained, "-r"], check=True)  # a new one, while we listen, is news
    place.wait_status("the new one", lambda s: s["ledger"]["stored"] == plant.published + 2)


def one_at_a_time(place):
    plant = Plant(place)
    place.start_gateway()
    plant.connected()
    second = place.start("second", place.processes["gateway"].args)
    assert second.wait(20) == 1
    del place.processes["second"]
    plant.publish(10)
    plant.check()
    assert os.stat(place.socket).st_mode & 0o777 == 0o660


def wrong_name(place):
    """The broker's certificate is of our authority, but for another name."""
    plant = Plant(place, tls=True)
    place.stop("plant")
    place.rename_server("other.example")
    place.start_broker("plant", tls=True)
    place.start_gateway()
    wait_until("tried three times", lambda: place.log("gateway").count("source_lost") >= 3)
    assert not place.status()["sources"][0]["connected"]
    assert "New client connected" not in place.log("plant")
    assert plant.published == 0


CASES = [session_lost_while_we_were_down, killed_before_the_commit, killed_at_random, killed_at_random_over_tls,
         small_window_stays_full,
         broker_restarts, broker_comes_later, waits_in_the_broker, retained_is_old_news, one_at_a_time,
         wrong_name]


def main():
    skip_without("mosquitto", "mosquitto_pub", "openssl")
    return run_cases(CASES)


sys.exit(main())
