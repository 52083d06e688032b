#!/usr/bin/env python3
"""Goal: every alert reaches the cloud's broker although the connection is cut again and again under load, the
certificate is replaced meanwhile, or the cloud is away; an entry that it will never take does not stop the others;
and nothing is sent to a broker that cannot prove its name.
Method: real mosquitto with mutual TLS, a proxy that cuts, a stock mosquitto_sub behind it; the sequences that it saw
are compared with those that the gateway gave. The broker may see one twice (that is the receiver's rule to sort
out), never a malformed packet."""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import run_cases, skip_without, wait_until  # noqa: E402
from weir_site import DEVICE_NAMES, DEVICES, Site  # noqa: E402

FAT = "fat-" + "x" * 60


def cut_under_load(place):
    site = Site(place)
    site.proxy.pause_s = 0.005
    site.start()
    chance = random.Random(1)
    site.publish(100)
    for cut in range(1, 26):
        place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
        time.sleep(chance.uniform(0.0, 0.2))
        site.proxy.cut()
        place.wait_status("loss noticed", lambda s: not s["uplink"]["connected"] or site.proxy.connections > cut)
    assert place.status()["lanes"]["alerts"]["covered"] < site.readings, "the cuts came after the load"
    site.proxy.pause_s = 0.0
    site.check()


def cloud_away(place):
    """What waited, over a kill -9 too, leaves in order: alerts first, but for the backlog's least share (20 %)."""
    site = Site(place)
    site.start()
    site.publish(10)
    site.check()
    site.proxy.open = False
    site.proxy.cut()
    place.wait_status("loss noticed", lambda s: not s["uplink"]["connected"])
    before = len(site.seen())
    for _ in range(20):
        site.publish(1)
    waiting = place.wait_status("alerts wait", lambda s: s["lanes"]["alerts"]["rows"] >= 20 * DEVICES - 5)
    assert "uplink_lost" in waiting["reasons"]
    place.stop("gateway", 9)
    place.start_gateway()
    site.proxy.open = True
    seen, _ = site.check()
    backlog = seen[before:]
    last_alert = max(i for i, m in enumerate(backlog) if m.lane == "alerts")
    others = sum(m.lane != "alerts" for m in backlog[:last_alert])
    print(f"  {last_alert + 1} messages until the last alert, {others} of them not alerts; then {len(backlog)} in all")
    assert others <= (last_alert + 1) * 0.22 + 2, "alerts did not go first"
    for lane in ("alerts", "results", "raw"):
        order = [m.sequence for m in backlog if m.lane == lane]
        assert len(order) > 5 and order == sorted(order), f"{lane}: out of order or too few: {order}"
    last_result = max(i for i, m in enumerate(backlog) if m.lane == "results")
    first_raw = min(i for i, m in enumerate(backlog) if m.lane == "raw")
    assert first_raw > last_result, "raw went before results"


def certificate_replaced(place):
    """The new one names another client, so that the broker's log tells which one was shown."""
    site = Site(place)
    site.start()
    place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
    place.pki("gateway-next")
    for kind in ("key", "crt"):
        os.rename(place.path("pki", f"gateway-next.{kind}"), place.path("pki", f"gateway.{kind}"))
    until = time.monotonic() + 30
    while "u'gateway-next'" not in place.log("cloud"):
        assert time.monotonic() < until, "the new certificate was not picked up"
        site.publish(2)
        time.sleep(0.1)
    place.wait_status("connected again", lambda s: s["uplink"]["connected"])
    site.publish(5)
    site.check()


def poisoned(place, limit):
    """A broker that will never take one device's long alerts. `limit` is the setting that says so."""
    few = DEVICE_NAMES[:5]
    site = Site(place, recent=0, refusals=2, raw="false")
    site.start()
    site.publish(2, few)
    seen, _ = site.check(2 * len(few))
    most = max(m.bytes for m in seen)
    place.stop("cloud")
    place.start_broker("cloud", tls=True, settings=f"{limit} {most + 160}\n")
    place.wait_status("uplink connected", lambda s: s["uplink"]["connected"])
    site.publish(1, few + [FAT])
    for _ in range(3):
        site.publish(1, few)
    readings = 6 * len(few) + 1
    seen, status = site.check(readings, gaps=1)
    gap = next(m for m in seen if m.gap)
    letters = [json.loads(line) for line in place.weir("dlq", "list", "--json").splitlines()]
    print(f"  {limit} {most + 160}: sequence {gap.sequence} is dead, {status['lanes']['alerts']['next'] - 1 - gap.sequence}"
          " went on behind it")
    assert [(letter["source"], letter["reason"]) for letter in letters] == [("uplink", "upstream_refused")], letters
    dead = json.loads(place.weir("dlq", "show", "--json", str(letters[0]["id"])))
    assert FAT in json.dumps(dead), "the letter is another one"
    assert not any(FAT in json.dumps(m.event) for m in seen if m.event and not m.gap)


def refused_entry(place):
    poisoned(place, "message_size_limit")


def entry_that_breaks_the_connection(place):
    poisoned(place, "max_packet_size")


def wrong_name(place):
    """The broker's certificate is of our authority, but for another name."""
    site = Site(place)
    place.stop("cloud")
    place.rename_server("other.example")
    place.start_broker("cloud", tls=True)
    refuses(site)
    assert "why=\"the broker's certificate is not for the host in `url`\"" in place.log("gateway")


def unknown_authority(place):
    site = Site(place)
    os.remove(place.path("pki", "ca.crt"))
    place.pki("gateway")
    refuses(site)


def refuses(site):
    site.write_config()
    site.place.start_gateway()
    wait_until("tried three times", lambda: site.place.log("gateway").count("uplink_closed") >= 3)
    status = site.place.status()
    assert not status["uplink"]["connected"] and status["sources"][0]["connected"]
    assert "New client connected" not in site.place.log("cloud")


CASES = [cut_under_load, cloud_away, certificate_replaced, refused_entry, entry_that_breaks_the_connection, wrong_name,
         unknown_authority]


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub", "openssl")
    return run_cases(CASES)


sys.exit(main())
