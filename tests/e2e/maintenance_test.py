#!/usr/bin/env python3
"""Goal: while a device is worked on its alerts are recorded, sent and listed, marked, and call nobody; when that is over, what stands
still calls. It outlives a kill -9. Method: the real gateway with a listener and a broker for its uplink; a limit is passed by a device
that is worked on and by one that is not; maintenance is begun by the command line, shortened through the API, and runs out."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import Place, free_port, skip_without, wait_until  # noqa: E402

CONFIG = """clock: {{trust: system}}
commit: {{max_age: 50ms}}
usual: {{all: false}}
detectors:
  - {{type: limit, high: 50, clear_after: 0s, severity: major, latch: true, for_readings: 2, of_readings: 3}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"],
     payload: {{value: /v}}}}
uplink: {{url: "mqtt://127.0.0.1:{cloud}"}}
"""


def publish(port, device, *values):
    lines = "".join(json.dumps({"v": v}) + "\n" for v in values)
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", f"t/{device}/temp", "-l"], check=True, text=True, input=lines)


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub")
    with Place() as place:
        port, cloud = free_port(), place.start_broker("cloud")
        place.write_config(CONFIG.format(port=port, cloud=cloud))
        place.start("ear", ["mosquitto_sub", "-p", str(cloud), "-t", "#", "-q", "1"])
        place.start_gateway()

        def told():
            events = [json.loads(line) for line in place.log("ear").splitlines() if line.startswith("{")]
            return sorted((e for e in {e["id"]: e for e in events}.values()), key=lambda e: e["sequence"])

        def alerts_of(device):
            return [e["data"] for e in told() if e["type"] == "dev.weir.alert.v1" and e["data"]["device"] == device]

        def notices():
            return [e["data"] for e in told() if e["type"] == "dev.weir.notice.v1" and e["data"]["kind"] == "maintenance"]

        def listed():
            return [json.loads(line) for line in place.weir("maintenance", "--json").splitlines()]

        def marks():
            return {a["device"]: a["marks"] for a in map(json.loads, place.weir("alerts", "--json").splitlines()) if a["state"] != "pending"}

        assert "nothing is being worked on" in place.weir("maintenance")
        before = time.time()
        place.weir("maintenance", "on", "--device", "pump-*", "--for", "1h", "--reason", 'the "new" seals')
        assert [m["device"] for m in listed()] == ["pump-*"] and listed()[0]["reason"] == 'the "new" seals'
        publish(port, "pump-1", 20, 99, 20, 99)  # two of the last three
        publish(port, "pump-2", 99, 20, 20, 99)  # which these are not
        publish(port, "fan", 99, 99)
        wait_until("both are told", lambda: alerts_of("pump-1") and alerts_of("fan"))
        kept, loud = alerts_of("pump-1")[0], alerts_of("fan")[0]
        assert kept["maintenance"] is True and kept["notify"] is False and kept["severity"] == "major" and "incident" not in kept, kept
        assert "maintenance" not in loud and loud["notify"] is True, loud
        assert marks() == {"pump-1": "maintenance", "fan": ""}, marks()
        report = json.loads(place.weir("alerts", "report", "--json"))
        assert report["alarms"] == 1, report
        place.weir("alerts", "ack", loud["alert_id"])
        publish(port, "fan", 20)
        wait_until("the fan's is over", lambda: marks() == {"pump-1": "maintenance"})
        assert alerts_of("pump-2") == []

        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        assert [m["device"] for m in listed()] == ["pump-*"] and marks() == {"pump-1": "maintenance"}
        status = place.status()
        assert status["maintenance"]["count"] == 1 and status["maintenance"]["devices"] == 2, status["maintenance"]
        assert "maintenance          2 devices, until " in place.weir("status")

        path = "/api/v1/maintenance?device=pump-*&until_ms="
        for wrong, code in ((path + "1", 400), (path + "x", 400), (path.replace("pump-*", "*a*") + str(2 ** 50), 400),
                            (path + str(2 ** 50) + "&reason=" + 81 * "a", 400), ("/api/v1/maintenance/end?device=pump-1", 404)):
            answer = place.get(wrong, "POST")
            assert answer[0] == code, (wrong, answer)
        publish(port, "pump-1", 20)
        wait_until("it is gone, and latched", lambda: marks() == {"pump-1": "maintenance latched"})
        assert place.get(path + str(int(time.time() * 1000) + 1200), "POST")[0] == 202
        wait_until("what stands calls", lambda: len(alerts_of("pump-1")) == 2)
        again = alerts_of("pump-1")[1]
        assert again["notify"] is True and "maintenance" not in again and again["revision"] == 2 and again["transition"] == "updated", again
        assert listed() == [] and place.status()["maintenance"] == {"count": 0, "devices": 0, "until": None}
        assert [n["cause"] for n in notices()] == ["begun", "changed", "expired"], notices()
        assert notices()[0]["message"].startswith('device="pump-*" until=2') and 3599 < notices()[0]["facts"]["until_ms"] / 1000 - before < 3610
        place.weir("alerts", "ack", again["alert_id"])
        wait_until("then it is over", lambda: marks() == {})
        metrics = place.get("/metrics")[1]
        assert "weir_alerts_maintenance_total 1\n" in metrics, metrics

        place.weir("maintenance", "on", "--all", "--for", "2h")
        place.weir("maintenance", "off", "--all")
        wait_until("the end is told", lambda: notices()[-1]["cause"] == "ended")
        print("ok maintenance: marked, kept through a kill -9, and told when it was over")


main()
