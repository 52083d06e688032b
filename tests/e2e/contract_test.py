#!/usr/bin/env python3
"""Goal: a gateway does not start with a contract that readings made for the accepted one would not fit: exit 78, a
sentence that says what, from, to and the fix, and nothing changed. Method: the real binary, stopped in order and with
kill -9, started again with one contract after another; readings by mosquitto_pub in between."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, skip_without, wait_until  # noqa: E402

CONFIG = """
clock: {{trust: system}}
commit: {{max_age: 100ms}}
sources:
  - name: plant
    url: mqtt://localhost:{port}
    contract: climate
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: ""}}
contracts:
  - {{name: climate, version: {version}, metrics: [{{name: temp, max: {most}}}]}}
"""


def start(place, port, version, most):
    place.write_config(CONFIG.format(port=port, version=version, most=most))
    process = place.start_gateway(wait=False)
    log = place.log("gateway").count("weir: ready")
    wait_until("it runs or refuses",
               lambda: process.poll() is not None or place.log("gateway").count("weir: ready") > log)
    return process.poll()


def publish(port, value):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "t/oven/temp", "-m", str(value)], check=True)


def main():
    skip_without("mosquitto", "mosquitto_pub")
    with Place() as place:
        port = place.start_broker("plant")
        assert start(place, port, 1, 125) is None
        place.wait_status("the source is connected", lambda s: all(x["connected"] for x in s["sources"]))
        publish(port, 100)
        before = place.wait_status("a reading is stored", lambda s: s["ledger"]["stored"] == 1)
        place.stop("gateway", signal.SIGKILL)

        for version in (1, 2):
            assert start(place, port, version, 80) == 78
        said = place.log("gateway")
        for part in (f"{place.config}: error: the contract `climate` can't be taken: "
                     "metric temp: range narrowed from [any, 125] to [any, 80]", "  fix: undo that"):
            assert said.count(part) == 2, said
        check = subprocess.run([WEIR, "check", "-c", place.config], capture_output=True, text=True)
        assert check.returncode == 0 and "contracts: checked at start" in check.stdout, check.stdout

        assert start(place, port, 1, 125) is None
        after = place.status()
        assert after["store_id"] == before["store_id"] and after["ledger"]["stored"] == 1, after
        place.stop("gateway")
        assert start(place, port, 2, 150) is None
        assert "contract_accepted contract=climate version=2" in place.log("gateway")
        place.wait_status("the source is connected", lambda s: all(x["connected"] for x in s["sources"]))
        publish(port, 140)
        place.wait_status("it is in the wider range", lambda s: s["ledger"]["stored"] == 2)
        print("refused 2, accepted 1 -> 2, readings 2")
    return 0


sys.exit(main())
