#!/usr/bin/env python3
"""Goal: what a journal says of sources and further fields is read as it was meant, also by a configuration that names them
in another order: by a start after kill -9, which folds it again, and by exports.
Method: orders by country come in, the gateway is killed before any checkpoint, and a configuration that puts another
source and other fields before the old ones takes over; a stream by country has to go on, not one by anything else."""
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.weir_e2e import WEIR, run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
clock: {{trust: system}}
sources:
{more}  - name: shop
    url: mqtt://127.0.0.1:{port}
    payload: {{value: /amount, time: /t, fields: {fields}}}
    topics: ["orders/{{device}}/{{metric}}"]
streams:
  - {{name: spend, key: [country], window: {{size: 1h}}, early: 100ms, aggregates: [count, sum]}}
commit: {{max_age: 20ms}}
usual: {{all: false}}
"""
OTHER = '  - {name: other, url: "mqtt://127.0.0.1:1", topics: ["none/{device}/{metric}"], payload: {fields: {x: /x}}}\n'
HOUR_MS = 1789999200000 // 3600000 * 3600000


def publish(place, port, first):
    lines = "".join(json.dumps({"amount": n, "t": HOUR_MS + n, "country": ("DE", "FR")[n % 2], "card": f"c{n}"}) + "\n"
                    for n in range(first, first + 20))
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "orders/till/order", "-l"], input=lines.encode(),
                   check=True, timeout=30)


def latest(place):
    rows = map(json.loads, place.weir("streams", "latest", "spend", "--json").splitlines())
    return {r["key"]["country"]: (r["values"]["count"], r["values"]["sum"]) for r in rows}


def a_start_with_other_numbers(place):
    port = place.start_broker("plant")
    place.write_config(CONFIG.format(port=port, more="", fields="{country: /country, card: /card}"))
    place.start_gateway()
    place.wait_status("connected", lambda s: s["sources"][0]["connected"])
    publish(place, port, 0)
    half = {"DE": (10, sum(range(0, 20, 2))), "FR": (10, sum(range(1, 20, 2)))}
    wait_until("all are told", lambda: latest(place) == half)
    place.stop("gateway", 9)
    place.write_config(CONFIG.format(port=port, more=OTHER, fields="{card: /card, amount: /amount, country: /country}"))
    place.start_gateway()
    place.wait_status("connected", lambda s: s["sources"][1]["connected"])
    publish(place, port, 20)
    whole = {"DE": (20, sum(range(0, 40, 2))), "FR": (20, sum(range(1, 40, 2)))}
    wait_until("they are told with those before", lambda: latest(place) == whole)
    fields = {r["value"]: (r["source"], r["fields"]) for r in place.export() if r["kind"] == "reading"}
    assert len(fields) == 40, len(fields)
    for n, (source, has) in fields.items():
        want = {"country": ("DE", "FR")[int(n) % 2], "card": f"c{int(n)}"}
        assert source == "shop" and has == {**want, **({"amount": n} if n >= 20 else {})}, (n, source, has)
    place.stop("gateway")
    replay_by_other_numbers(place, port)


def replay_by_other_numbers(place, port):
    """Another configuration tried over the journal: by name too; where the journal's first configuration is pruned, by the
    numbering that the store keeps."""
    rule = '    rules: [{name: busy, when: "count > 15", on: early, for: 0s, clear_after: 0s, cooldown: 0s}]'
    with open(place.path("new.yaml"), "w") as f:
        f.write(CONFIG.format(port=port, more=OTHER, fields="{card: /card, country: /country}").replace(
            "aggregates: [count, sum]}", "aggregates: [count, sum],\n" + rule + "}") + "alerts: {storm: 0}\n")
    cut = place.path("cut.db")
    shutil.copy(place.path("data", "weir.db"), cut)
    with contextlib.closing(sqlite3.connect(cut)) as db:
        db.execute("DELETE FROM journal WHERE id = (SELECT min(id) FROM journal)")
        db.commit()
    for store in (place.path("data", "weir.db"), cut):
        done = subprocess.run([WEIR, "replay", "--store", store, "--config", place.path("new.yaml"), "--json"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 3, done.stdout + done.stderr
        busy = [a for a in json.loads(done.stdout)["alerts"] if a["rule"] == "busy"]
        assert sorted(a["device"] for a in busy) == ["DE", "FR"], busy


if __name__ == "__main__":
    skip_without("mosquitto", "mosquitto_pub")
    sys.exit(run_cases([a_start_with_other_numbers]))
