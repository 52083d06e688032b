#!/usr/bin/env python3
"""Goal: a stream that two brokers feed waits for the slower of them: what it kept while it was cut off is in its windows and not late, also
after a kill -9 in between; a stream that names one of them in `inputs` goes by that one alone.
Method: two stock brokers; the north tells ten minutes of orders by zone, then the gateway is killed, then the south tells the same ten."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.weir_e2e import run_cases, skip_without, wait_until  # noqa: E402

PAYLOAD = "{value: /amount, time: /t, fields: {zone: /zone}}"
SPEND = "key: [zone], window: {size: 1m, panes: 16}, out_of_orderness: 1s, idle: 1h, aggregates: [count, sum]"
CONFIG = """
clock: {trust: system}
sources:
  - {name: north, url: "mqtt://127.0.0.1:%(north)d", topics: ["orders/{device}/{metric}"], payload: %(payload)s}
  - {name: south, url: "mqtt://127.0.0.1:%(south)d", topics: ["orders/{device}/{metric}"], payload: %(payload)s}
streams:
  - {name: both, %(spend)s}
  - {name: north-only, inputs: [north], %(spend)s}
  - {name: small, key: [device, zone], keys: 1, at_limit: evict, window: {size: 1m}, idle: 1h, aggregates: [count]}
commit: {max_age: 20ms}
usual: {all: false}
"""
BEGIN_MS, MINUTES, EACH = 1789999200000 // 60000 * 60000, 10, 6


def publish(port, device, amount, count):
    """So many orders, ten seconds apart, of one zone."""
    lines = "".join(json.dumps({"amount": amount, "t": BEGIN_MS + n * 60000 // EACH, "zone": "harbour"}) + "\n" for n in range(count))
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", f"orders/{device}/order", "-l"], input=lines.encode(), check=True, timeout=30)


def told(place, stream):
    """Minute -> (count, sum) of what is told."""
    rows = map(json.loads, place.weir("streams", "results", stream, "--json").splitlines())
    return {(row["start_ms"] - BEGIN_MS) // 60000: (row["values"]["count"], row["values"]["sum"]) for row in rows}


def late(place, stream):
    return next(s["late"] for s in map(json.loads, place.weir("streams", "--json").splitlines()) if s["name"] == stream)


def start(place):
    place.start_gateway()
    place.wait_status("both are connected", lambda s: all(source["connected"] for source in s["sources"]))


def the_slower_counts(place):
    north, south = place.start_broker("north"), place.start_broker("south")
    place.write_config(CONFIG % {"north": north, "south": south, "payload": PAYLOAD, "spend": SPEND})
    start(place)
    publish(south, "till-s", 1, 1)  # so that it is waited for
    publish(north, "till-n", 10, MINUTES * EACH)
    alone = {minute: (EACH, 10 * EACH) for minute in range(MINUTES - 1)}
    wait_until("the north's own are told", lambda: told(place, "north-only") == alone)
    assert told(place, "both") == {}, told(place, "both")
    place.stop("gateway", 9)
    start(place)
    publish(south, "till-s", 1, MINUTES * EACH)
    whole = {minute: (2 * EACH, 11 * EACH) for minute in range(MINUTES - 1)}
    wait_until("those of both are told", lambda: told(place, "both") == whole)
    assert late(place, "both") == 0 and told(place, "north-only") == alone
    # what is rare stands below the table; what gave way was told for want of room
    subprocess.run(["mosquitto_pub", "-p", str(south), "-q", "1", "-t", "orders/till-s/order", "-m", '{"amount": 1}'], check=True)
    wait_until("it is counted", lambda: "small: without a key that can be kept 1" in place.weir("streams"))
    said = place.weir("streams").splitlines()
    assert said[0].startswith("stream ") and [line.split(":")[0] for line in said[4:]] == ["both", "small"], said
    assert "keys that gave way 2" in said[-1] and "retractions" not in said[-1], said
    kinds = [line for line in place.weir("streams", "results", "small").splitlines() if "forced" in line]
    assert len(kinds) >= 2 and all("  close, forced  " in line for line in kinds), kinds


if __name__ == "__main__":
    skip_without("mosquitto", "mosquitto_pub")
    sys.exit(run_cases([the_slower_counts]))
