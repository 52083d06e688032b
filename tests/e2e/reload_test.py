#!/usr/bin/env python3
"""Goal: `weir reload` and SIGHUP take another configuration over while readings come, without losing one, and what is defined
as before keeps its state, streams too; a wrong one, or one that needs a restart, changes nothing; the journal says when, so that a replay comes
to the same; kill -9 around it leaves one of the two, and nothing raised whose rule is gone; and the start after it asks the service manager for time. Method: the real gateway, one device that publishes all the time at QoS 1,
limits that are moved under it, and `weir replay` over the store at the end."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, free_port, wait_until  # noqa: E402
from weir_mqtt import Client  # noqa: E402

CONFIG = """
clock: {{trust: system}}
commit: {{max_age: {age}}}
usual: {{all: false}}
alerts: {{storm: 0, reject_rate: 0/m}}
shed: {{enrichment_lag: 0, optional_lag: 0, sources_lag: 0, qos0_lag: 0}}
detectors:
  - {{name: {hot}, type: limit, device: oven, metric: temp, high: {high}, chatter: false}}
  - {{name: other, type: limit, device: pump, metric: temp, high: 90, chatter: false}}
sources:
  - name: plant
    listen: mqtt://127.0.0.1:{port}
    anonymous: true
    contract: shop
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: /value, sequence: /sequence, version: /v}}
contracts:
  - {{name: shop, version: {version}, metrics: [{{name: temp, max: {most}}}]}}
{more}"""
STREAMS = """streams:
  - {name: sums, key: [device], window: {type: tumbling, size: 1h}, keys: 50, aggregates: [count]}
  - {name: peaks, key: [device], window: {type: tumbling, size: %s}, keys: 50, aggregates: [max],
     rules: [{name: high, when: "max > 25", on: reading}]}
"""


class Load(threading.Thread):
    """Publishes as fast as it is acknowledged, until it is told to stop."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.sent, self.going = Client(port, "load"), 0, True

    def run(self):
        while self.going:
            for _ in range(20):
                self.sent += 1
                self.client.publish(self.sent, device="belt")
            self.client.acknowledged(20)


def configure(place, age="20ms", high=50, version=1, most=100, more="", hot="hot"):
    place.write_config(CONFIG.format(port=place.ports["devices"], age=age, high=high, version=version, most=most, more=more,
                                     hot=hot))


def reload(place, outcome, *parts, status=0):
    done = subprocess.run([WEIR, "reload", "-s", place.socket], capture_output=True, text=True, timeout=30)
    assert done.returncode == status and f"outcome: {outcome}" in done.stdout, (done, place.log("gateway")[-800:])
    for part in parts:
        assert part in done.stdout, (part, done.stdout)


def tell(client, device, value, version=1):
    tell.number += 1
    client.publish(tell.number, device=device,
                   payload=b'{"value":%g,"sequence":%d,"v":%d}' % (value, tell.number, version))
    client.acknowledged(1)


tell.number = 0


def alerts(place):
    return {(a["device"], a["rule"]): a["id"] for a in map(json.loads, place.weir("alerts", "--json").splitlines())}


def under_load(place, client, load):
    before = place.status()["config_digest"]
    tell(client, "pump", 95)
    tell(client, "oven", 40)
    open_before = alerts(place)
    assert list(open_before) == [("pump", "other")], open_before
    configure(place, high=30)
    reload(place, "taken", "hot      detectors[hot].high: 50 -> 30")
    assert place.status()["config_digest"] != before
    assert alerts(place) == open_before, "an alert of a detector that did not change"
    tell(client, "oven", 41)
    after = alerts(place)
    assert set(after) == {("pump", "other"), ("oven", "hot")} and after["pump", "other"] == open_before["pump", "other"], after
    reload(place, "unchanged")
    before = place.status()["config_digest"]
    configure(place, age="30ms", high=60)
    reload(place, "restart", "restart  commit.max_age: 20ms -> 30ms", "hot      detectors[hot].high: 30 -> 60",
           "nothing was taken over", status=1)
    configure(place, high="much")
    reload(place, "refused", "`detectors[].high`", "much", "nothing was taken over", status=78)
    with open(place.config, "ab") as file:  # a fault whose line is long, and no text
        file.write(b"x: \x80" + b"\x80" * 60000)
    reload(place, "refused", status=78)
    configure(place, high=30, version=2, most=80)
    reload(place, "refused", "range narrowed from [any, 100] to [any, 80]", status=78)
    assert place.status()["config_digest"] == before and load.is_alive()
    # a contract grows
    tell(client, "oven", 10, version=2)
    configure(place, high=30, version=2, most=200)
    place.processes["gateway"].send_signal(signal.SIGHUP)
    wait_until("SIGHUP takes it", lambda: place.status()["config_digest"] != before)
    tell(client, "oven", 20, version=2)
    tell(client, "oven", 150)
    rejected = place.status()["ledger"]["rejected"]
    assert rejected == {"contract_version": 1}, rejected


def streams(place, client):
    """They come, change and go; the one that is as before keeps its windows."""
    def taken():
        return {s["name"]: s["readings"] for s in map(json.loads, place.weir("streams", "--json").splitlines())}

    configure(place, high=30, version=2, most=200, more=STREAMS % "1h")
    reload(place, "taken", "hot      streams[sums]: not there -> there", "hot      streams[peaks]: not there -> there")
    before = taken()
    tell(client, "oven", 28, version=2)
    assert taken()["sums"] > before["sums"]
    assert alerts(place)["oven", "high"]
    configure(place, high=30, version=2, most=200, more=STREAMS % "2h")
    reload(place, "taken", "hot      streams[peaks].window.size: 1h -> 2h")
    after = taken()
    assert after["sums"] >= before["sums"] + 1 and after["peaks"] < after["sums"], (before, after)
    wait_until("what it had raised is over", lambda: ("oven", "high") not in alerts(place))
    configure(place, high=30, version=2, most=200, more=(STREAMS % "2h").replace("keys: 50", "keys: 9000"))
    reload(place, "restart", "more than was set aside at the start", "limits.reload", status=1)
    configure(place, high=30, version=2, most=200)
    reload(place, "taken", "hot      streams[peaks]: there -> not there")


def killed(place):
    """Around a reload: the file is the new one, and the store holds what was acknowledged. The rule has another name each time:
    what the one before had raised is over, whether the journal said so before the kill or not."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(place.path("manager"))
    manager.settimeout(10)
    rule = "hot"
    for turn in range(4):
        client = Client(place.ports["devices"], f"k{turn}")
        tell(client, "oven", 40 + turn)
        assert ("oven", rule) in alerts(place), (turn, alerts(place))
        rule = f"hot{turn}"
        configure(place, high=30 + turn, version=2, most=200, hot=rule)
        asking = subprocess.Popen([WEIR, "reload", "-s", place.socket], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep((0, 0.01, 0.03, 0.1)[turn])
        place.stop("gateway", signal.SIGKILL)
        asking.wait()
        place.start_gateway(env=dict(os.environ, NOTIFY_SOCKET=place.path("manager")))
        said = manager.recv(256)
        if turn == 0:
            assert said == b"EXTEND_TIMEOUT_USEC=60000000", said
        while said != b"READY=1":
            said = manager.recv(256)
        wait_until("what is left is the pump's", lambda: list(alerts(place)) == [("pump", "other")])
        stored = {r["sequence"] for r in place.readings() if r["device"] == "oven"}
        assert tell.number in stored, (turn, tell.number)


def main():
    with Place() as place:
        place.ports["devices"] = free_port()
        configure(place)
        place.start_gateway()
        load = Load(place.ports["devices"])
        load.start()
        client = Client(place.ports["devices"], "one")
        under_load(place, client, load)
        streams(place, client)
        load.going = False
        load.join(20)
        assert not load.is_alive()
        ledger = place.status()["ledger"]
        got = [r["sequence"] for r in place.readings() if r["device"] == "belt"]
        assert sorted(got) == list(range(1, load.sent + 1)), (len(got), load.sent)
        assert load.sent > 200, load.sent
        assert place.log("gateway").count("outcome=taken") == 5, place.log("gateway")
        killed(place)
        place.stop("gateway")
        report = json.loads(subprocess.run([WEIR, "replay", "--store", place.path("data", "weir.db"), "--json"],
                                           capture_output=True, text=True, timeout=60).stdout)
        assert report["verdict"] == "identical", report
        print(f"{load.sent} readings through {place.log('gateway').count('outcome=')} reloads, ledger {ledger['stored']}")
    return 0


sys.exit(main())
