#!/usr/bin/env python3
"""Goal: `weir update gate` lets nothing pass that is not well: no gateway, or a program of which no reading gets to disk; what is well
passes, leaves nothing behind, and the site's own store has no reading more. Method: the real gateway, and a scratch folder of the test's own."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, free_port, skip_without, wait_until  # noqa: E402


def gate(place, scratch):
    done = subprocess.run([WEIR, "update", "gate", "-s", place.socket, "--scratch", scratch, "--json"], capture_output=True, text=True, timeout=150)
    parts = json.loads(done.stdout)
    assert (done.returncode == 0) == all(part["passed"] for part in parts.values()), done
    return {name for name, part in parts.items() if not part["passed"]}, parts


def main():
    skip_without("mosquitto_pub")
    with Place() as place:
        scratch = place.path("scratch")
        os.mkdir(scratch)
        os.chmod(place.dir, 0o755)
        place.write_config(f"clock: {{trust: system}}\nsources:\n  - {{name: here, listen: 'mqtt://127.0.0.1:{free_port()}', anonymous: true, "
                           "topics: ['telemetry/{device}/{metric}']}\n")
        assert gate(place, scratch)[0] == {"daemon", "store", "reading"}
        place.start_gateway()
        wait_until("a first commit", lambda: place.status()["store"]["commits"] > 0, 60)
        assert gate(place, scratch)[0] == set()
        assert os.listdir(scratch) == [], "something was left behind"
        assert place.status()["ledger"]["received"] == 0, "the site's own store took it"
        failed, parts = gate(place, place.path("not-there"))
        assert failed == {"reading"} and "No such file" in parts["reading"]["what"], parts
    print("ok the gate")
    return 0


sys.exit(main())
