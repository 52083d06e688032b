#!/usr/bin/env python3
"""Goal: a store that can't be read is set aside, counted and told upstream, and the gateway goes on: damage that the
start sees, and damage inside a block that only its checksum shows. Method: the real gateway between two brokers is
stopped, its file is damaged, and it is started again, as a service manager would; what comes upstream is read with
mosquitto_sub."""
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import Place, run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
sources: [{{name: plant, url: "mqtt://localhost:{plant}", topics: ["t/{{device}}/{{metric}}"]}}]
clock: {{trust: system}}
uplink: {{url: "mqtt://localhost:{cloud}"}}
"""


class Site:
    def __init__(self, place):
        self.place = place
        self.plant, cloud = place.start_broker("plant"), place.start_broker("cloud")
        place.write_config(CONFIG.format(plant=self.plant, cloud=cloud))
        place.start("upstream", ["mosquitto_sub", "-p", str(cloud), "-q", "1", "-t", "weir/+/alerts"])
        self.store = place.path("data", "weir.db")
        self.published = 0

    def publish(self, count):
        self.place.wait_status("connected", lambda s: s["sources"][0]["connected"])
        for _ in range(count):
            self.published += 1
            subprocess.run(["mosquitto_pub", "-p", str(self.plant), "-q", "1", "-t", "t/pump/temp", "-m",
                            json.dumps({"value": 20, "sequence": self.published})], check=True)

    def stored(self, count):
        self.place.wait_status(f"{count} stored", lambda s: s["ledger"]["stored"] == count)

    def notices(self):
        lines = [json.loads(line) for line in self.place.log("upstream").splitlines()]
        return [e for e in lines if e["type"] == "dev.weir.notice.v1" and e["data"]["kind"] == "store_set_aside"]

    def check_set_aside(self, times):
        assert self.place.status()["store"]["set_aside"] == times
        wait_until("the notice comes upstream", lambda: len(self.notices()) == times)
        notice = self.notices()[-1]
        assert notice["data"]["facts"]["files"] == times, notice
        assert abs(time.time() - time.mktime(time.strptime(notice["time"][:19], "%Y-%m-%dT%H:%M:%S"))
                   + time.timezone) < 60, notice
        self.publish(3)
        self.stored(3)
        assert os.path.exists(f"{self.store}.damaged-{times}")


def damage_that_the_start_sees(place):
    site = Site(place)
    place.start_gateway()
    site.publish(3)
    site.stored(3)
    for times in (1, 2):
        assert place.stop("gateway") == 0  # after kill -9 the log would still hold these pages, and heal them
        with open(site.store, "r+b") as f:
            f.write(b"\xa5" * 8192)
        place.start_gateway()
        site.check_set_aside(times)
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    site.stored(3)
    status = place.status()
    assert status["store"]["set_aside"] == 2
    time.sleep(2)
    assert len(site.notices()) == 2, "told once each"


def damage_inside_a_block(place):
    site = Site(place)
    place.start_gateway()
    site.publish(3)
    site.stored(3)
    place.stop("gateway", signal.SIGKILL)
    with sqlite3.connect(site.store) as db:
        block, text = db.execute("SELECT id, bytes FROM journal WHERE readings > 0 LIMIT 1").fetchone()
        text = bytearray(text)
        text[len(text) // 2] ^= 1
        db.execute("UPDATE journal SET bytes = ? WHERE id = ?", (bytes(text), block))
    db.close()
    process = place.start_gateway(wait=False)
    assert process.wait(20) == 1
    assert f"journal block {block}" in place.log("gateway")
    place.start_gateway()
    site.check_set_aside(1)


CASES = [damage_that_the_start_sees, damage_inside_a_block]


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub")
    return run_cases(CASES)


sys.exit(main())
