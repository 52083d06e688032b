#!/usr/bin/env python3
"""Goal: `weir replay` says of a store's journal that it comes to the same, or where it does not; beside a gateway that
runs, without a trace in its directory. Method: the real gateway behind a broker; its store, or a spoilt copy of it, is
replayed while it runs and after it has stopped."""
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
sources:
  - name: plant
    url: mqtt://127.0.0.1:{port}
    topics: [all]
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
clock: {{trust: system}}
window: {{size: 1s, lateness: 0s, out_of_orderness: 0s}}
commit: {{max_age: 100ms}}
detectors: [{{type: limit, name: high, metric: "*", high: {high}, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s}}]
"""
DEVICES = 10


class Site:
    def __init__(self, place, high=50):
        self.place, self.sent = place, 0
        self.port = place.start_broker("plant")
        self.base = int(time.time() * 1000) - 3600000
        self.configure(high)
        self.store = place.path("data", "weir.db")

    def configure(self, high):
        self.place.write_config(CONFIG.format(port=self.port, high=high))

    def start(self):
        self.place.start_gateway()
        self.place.wait_status("connected", lambda s: s["sources"][0]["connected"])

    def publish(self, rounds):
        """A second of event time each; the value goes up to 90 in steps of ten and begins again."""
        lines = []
        for _ in range(rounds):
            self.sent += 1
            lines.append(json.dumps([{"d": f"dev-{i}", "m": "level", "v": (self.sent * (i + 1)) % 10 * 10,
                                      "t": self.base + self.sent * 1000, "n": self.sent} for i in range(DEVICES)]))
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", "all", "-l"],
                       input="\n".join(lines).encode() + b"\n", check=True, timeout=60)
        self.place.wait_status("stored", lambda s: s["ledger"]["stored"] == self.sent * DEVICES)


def replay(*arguments, code=0):
    done = subprocess.run([WEIR, "replay", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def replay_json(*arguments, code=0):
    return json.loads(replay(*arguments, "--json", code=code).stdout)


def beside_a_gateway_that_runs(place):
    site = Site(place)
    site.start()
    site.publish(40)
    before = sorted(os.listdir(place.path("data")))
    os.environ["TMPDIR"], os.environ["WEIR_CONFIG"] = place.path("tmp"), place.config
    os.mkdir(place.path("tmp"))
    report = replay_json("--store", site.store)
    assert report["verdict"] == "identical" and report["readings"] == 40 * DEVICES, report
    assert report["alerts"] > 20 and report["results"] > 100 and report["blocks"]["untold"] == 0, report
    assert sorted(os.listdir(place.path("data"))) == before and os.listdir(place.path("tmp")) == []
    text = replay().stdout  # the store by the gateway's configuration
    assert text.startswith(f"identical: {report['alerts']} alerts and {report['results']} results"), text
    site.publish(5)  # the gateway did not notice
    assert place.status()["health"] == "good", place.status()["health"]
    assert place.stop("gateway") == 0
    site.start()  # from its checkpoint, with nothing in the way
    site.publish(5)
    place.stop("gateway", 9)
    report = replay_json("--store", site.store)
    assert report["verdict"] == "identical" and report["readings"] == 50 * DEVICES, report


def a_range_of_time(place):
    """From a moment on: from the checkpoint before it, or the first block; up to a moment."""
    site = Site(place)
    site.start()
    site.publish(20)
    middle = time.time()
    time.sleep(0.3)
    site.publish(20)
    whole = replay_json("--store", site.store)
    late = replay_json("--store", site.store, "--from", str(middle))
    early = replay_json("--store", site.store, "--to", str(middle))
    assert whole["verdict"] == late["verdict"] == early["verdict"] == "identical"
    assert late["blocks"]["first"] == early["blocks"]["last"] + 1 and late["checkpoint_block"] == 0
    assert late["alerts"] + early["alerts"] == whole["alerts"] and 0 < early["alerts"] < whole["alerts"]
    assert late["readings"] == whole["readings"], "those before are what is known"
    assert early["readings"] == 20 * DEVICES
    assert place.stop("gateway") == 0  # with a checkpoint
    site.configure(30)
    site.start()
    again = time.time()
    time.sleep(0.3)
    site.publish(20)
    report = replay_json("--store", site.store, "--from", str(again))
    assert report["verdict"] == "identical" and report["checkpoint_block"] > 0, report
    assert report["readings"] == 20 * DEVICES and report["alerts"] > 10, report
    # Where the first blocks are gone, and no checkpoint is old enough, it says that it can't.
    place.stop("gateway")
    cut = place.path("cut.db")
    shutil.copy(site.store, cut)
    with contextlib.closing(sqlite3.connect(cut)) as db:
        db.execute("DELETE FROM journal WHERE id <= ?", (report["checkpoint_block"],))
        db.commit()
    assert "WEIR_CONFIG" in replay("--store", cut, "--from", str(again), code=1).stderr
    os.environ["WEIR_CONFIG"] = place.config
    refused = replay("--store", cut, "--from", str(middle), code=1)
    assert "no checkpoint at or before --from" in refused.stderr, refused.stderr
    assert replay_json("--store", cut)["verdict"] == "identical"
    slow = replay_json("--store", site.store, "--speed", "2")
    assert slow["verdict"] == "identical" and slow["seconds"] > 0.2, slow


def what_is_different_is_shown(place):
    """A block that says that it made something else; and one that can't be read."""
    site = Site(place)
    site.start()
    site.publish(20)
    place.stop("gateway")
    spoilt = place.path("spoilt.db")
    shutil.copy(site.store, spoilt)
    with contextlib.closing(sqlite3.connect(spoilt)) as db:  # a whole block is gone: its readings are missing
        block, = db.execute("SELECT id FROM journal WHERE readings > 0 AND id < 1000000 ORDER BY id LIMIT 1").fetchone()
        db.execute("DELETE FROM journal WHERE id = ?", (block,))
        db.commit()
    report = replay_json("--store", spoilt, code=3)
    assert report["verdict"] == "different" and report["first_difference"]["block"] > block, report
    text = replay("--store", spoilt, code=3).stdout
    assert text.startswith("different:") and f"in block {report['first_difference']['block']} " in text, text
    with contextlib.closing(sqlite3.connect(spoilt)) as db:
        block, content = db.execute("SELECT id, bytes FROM journal WHERE readings > 0 ORDER BY id LIMIT 1").fetchone()
        content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        db.execute("UPDATE journal SET bytes = ? WHERE id = ?", (content, block))
        db.commit()
    assert f"journal block {block}" in replay("--store", spoilt, code=1).stderr
    with open(place.path("junk.db"), "wb") as f:
        f.write(b"\xa5" * 20000)
    for wrong in (("--store", place.path("none.db")), ("--store", place.path("junk.db"))):
        assert "weir: " in replay(*wrong, code=1).stderr
    for wrong in (("--from", "noon"), ("--speed", "0"), ("--from", "2026-01-02", "--to", "2026-01-01"), ("--what",)):
        replay("--store", site.store, *wrong, code=2)
    os.environ["WEIR_CONFIG"] = place.path("none.yaml")
    assert "--store" in replay(code=78).stderr


CASES = [beside_a_gateway_that_runs, a_range_of_time, what_is_different_is_shown]


def main():
    skip_without("mosquitto", "mosquitto_pub")
    return run_cases(CASES)


sys.exit(main())
