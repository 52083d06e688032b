#!/usr/bin/env python3
"""Goal: `weir explain` says why an alert was raised, and what it says would have kept it away does; the report counts
what was told. Method: the real gateway takes the same readings of two devices, up to one; the first one's last reading
is a fault, and raises an alert of each rule; the second one's is what the explanation of that alert allows, and raises
none. The readings around it come from the journal, and the same after a kill -9, when the alert is over too."""
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import Place, free_port, skip_without, wait_until  # noqa: E402

READINGS, STEP_MS = 320, 600_000
RULES = ("limit", "rate", "spike", "baseline")
CONFIG = """clock: {{trust: system}}
commit: {{max_age: 50ms}}
learning: {{readings: 10, time: 0s}}
alerts: {{group_within: 1m}}
detectors:
  - {{type: limit, high: 50, clear_after: 0s}}
  - {{type: rate, per_second: 0.05, clear_after: 0s}}
  - {{type: spike, clear_after: 0s}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"],
     payload: {{value: /v, time: /t}}}}
"""


def publish(port, device, readings):
    lines = "".join(json.dumps({"v": v, "t": t}) + "\n" for t, v in readings)
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", f"t/{device}/temp", "-l"], check=True, text=True, input=lines)


def alerts(place):
    return [json.loads(line) for line in place.weir("alerts", "--json").splitlines() if line.startswith("{")]


def stored(place, count):
    place.wait_status(f"{count} readings are stored", lambda s: s["ledger"]["stored"] == count)


def explain(place, alert):
    return json.loads(place.weir("explain", alert["id"], "--json"))


def check_words(told):
    kind, unless, alert = told["alert"]["kind"], told["unless"], told["alert"]
    if kind == "limit":
        assert unless == "a value of at most 50" and told["high"] == 50 and told["low"] is None, told
    elif kind == "rate":
        assert unless.startswith("a change of at most 0.05 a second: a value from "), told
    elif kind == "spike":
        assert unless.startswith("less than 7 spreads: a value from "), told
    else:
        terms = {term["name"]: term for term in told["terms"]}
        assert abs(min(20, max(t["value"] for n, t in terms.items() if n != "drift")) + terms["drift"]["value"] - alert["score"]) < 0.01, told
        assert terms["spike"]["fires"] and "spike below " in unless and "for a single reading: a value from " in unless, told
        assert all(t["fires"] == (t["value"] + terms["drift"]["value"] >= alert["threshold"]) for n, t in terms.items()
                   if n != "drift" and t["value"] > 0), told


def main():
    skip_without("mosquitto_pub")
    with Place() as place:
        port, chance = free_port(), random.Random(3)
        place.write_config(CONFIG.format(port=port))
        place.start_gateway()
        began = (int(time.time()) - (READINGS + 5) * STEP_MS // 1000) * 1000
        healthy = [(began + i * STEP_MS, round(20 + chance.uniform(-1, 1), 3)) for i in range(READINGS)]
        fault_ms = began + READINGS * STEP_MS
        for device in ("faulty", "twin"):
            publish(port, device, healthy)
        stored(place, 2 * READINGS)
        assert alerts(place) == [], alerts(place)
        publish(port, "faulty", [(fault_ms, 90)])
        wait_until("each rule has told", lambda: {a["kind"] for a in alerts(place)} == set(RULES))
        told = {a["kind"]: explain(place, a) for a in alerts(place)}
        for one in told.values():
            check_words(one)
            before = [r for r in one["readings"] if r["event_time_ms"] < fault_ms]
            assert [(r["event_time_ms"], r["value"]) for r in before] == healthy[-8:], one["readings"]
            assert one["readings"][8]["value"] == 90 and all(r["device"] == "faulty" for r in one["readings"]), one
        assert len({one["alert"]["incident"] for one in told.values()}) == 1
        assert sorted(one["alert"]["member"] for one in told.values()) == [1, 2, 3, 4]

        allowed = min(one["high"] for one in told.values())
        publish(port, "twin", [(fault_ms, allowed - 0.001)])
        stored(place, 2 * READINGS + 2)
        assert {a["device"] for a in alerts(place)} == {"faulty"}, alerts(place)
        assert allowed > 20, allowed

        publish(port, "faulty", [(fault_ms + STEP_MS, 20.5)])
        wait_until("the limit's is over", lambda: "limit" not in {a["kind"] for a in alerts(place)})
        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        again = explain(place, told["limit"]["alert"])
        assert again["unless"] == told["limit"]["unless"] and again["alert"]["state"] in ("quiet", "cooling"), again
        assert [r["value"] for r in again["readings"]] == [v for _, v in healthy[-8:]] + [90, 20.5], again
        text = place.weir("explain", told["baseline"]["alert"]["id"])
        assert "there would be no alert with spike below" in text and "fires alone" in text, text
        lost = place.weir("explain", "0" * 26, check=False)
        assert lost == "", lost

        report = json.loads(place.weir("alerts", "report", "--json"))
        assert report["alarms"] == 4 and report["learning"] == 0 and report["severities"]["warning"] + report["severities"]["minor"] == 4, report
        assert report["top"] == [{"device": "faulty", "metric": "temp", "alarms": 4}] and report["top_share"] == 1, report
        assert "4 alarms in" in place.weir("alerts", "report")
        print("ok four rules explained, and their words kept")


main()
