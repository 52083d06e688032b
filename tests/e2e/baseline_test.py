#!/usr/bin/env python3
"""Goal: the baseline in a gateway: its alert says in what way a reading is unusual, is marked as learning while the
series is young, and both outlive a kill -9. Method: two days of five-minute readings, with the times of the device,
through a real broker, with a spike on the first day and one at the end; `weir alerts` is asked."""
import json
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from weir_e2e import Place, skip_without, wait_until  # noqa: E402

STEP_S, YOUNG, OLD = 300, 250, 600  # readings
CONFIG = """
clock: {{trust: system}}
commit: {{max_age: 50ms}}
sources:
  - name: plant
    url: mqtt://localhost:{port}
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: /v, time: /t}}
usual: {{all: false}}
detectors:
  - {{type: baseline, clear_after: 0s, severity: major}}
"""


class Oven:
    def __init__(self, port):
        self.port, self.chance, self.sent = port, random.Random(1), 0
        self.began = int(time.time()) - (OLD + 50) * STEP_S

    def say(self, values):
        lines = []
        for value in values:
            lines.append(json.dumps({"v": value, "t": (self.began + self.sent * STEP_S) * 1000}))
            self.sent += 1
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", "t/oven/temp", "-l"], input="\n".join(lines) + "\n",
                       text=True, check=True)

    def live(self, until):
        self.say([round(self.chance.uniform(20, 21), 2) for _ in range(until - self.sent)])


def alerts(place):
    return [json.loads(line) for line in place.weir("alerts", "--json").splitlines() if line.startswith("{\"id\"")]


def one_alert(place, oven):
    place.wait_status("all is stored", lambda s: s["ledger"]["stored"] == oven.sent)
    wait_until("the alert is told", lambda: len(alerts(place)) == 1)
    return alerts(place)[0]


def main():
    skip_without("mosquitto", "mosquitto_pub")
    with Place() as place:
        port = place.start_broker("plant")
        place.write_config(CONFIG.format(port=port))
        place.start_gateway()
        place.wait_status("the source is connected", lambda s: s["sources"][0]["connected"])
        oven = Oven(port)
        oven.live(YOUNG)
        oven.say([60])
        young = one_alert(place, oven)
        assert young["reason"] == "spike" and young["learning"] and young["severity"] == "learning", young

        oven.live(OLD)
        place.wait_status("all is stored", lambda s: s["ledger"]["stored"] == oven.sent)
        wait_until("that is over", lambda: not alerts(place))
        oven.say([-127])
        old = one_alert(place, oven)
        assert old["reason"] == "error code" and not old["learning"] and old["severity"] == "major", old
        table = place.weir("alerts").splitlines()
        assert "reason" in table[0] and " error code " in table[1], table

        place.stop("gateway", signal.SIGKILL)
        place.start_gateway()
        place.wait_status("the source is connected", lambda s: s["sources"][0]["connected"])
        again = alerts(place)
        assert [(a["id"], a["reason"], a["count"]) for a in again] == [(old["id"], "error code", old["count"])], again
        oven.live(oven.sent + 29)  # and the alarm goes on where it was: thirty quiet readings
        place.wait_status("all is stored", lambda s: s["ledger"]["stored"] == oven.sent)
        assert len(alerts(place)) == 1
        oven.live(oven.sent + 20)
        place.wait_status("all is stored", lambda s: s["ledger"]["stored"] == oven.sent)
        wait_until("it is over", lambda: not alerts(place))
    print(f"ok {oven.sent} readings, two alerts")
    return 0


sys.exit(main())
