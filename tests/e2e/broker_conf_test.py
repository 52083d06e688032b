#!/usr/bin/env python3
"""Goal: docs/broker.conf is what `weir check` prints, mosquitto takes it, and each of its lines does what it says.
Method: the printed text against the file; a stock mosquitto that includes the file, as Debian's does, and one without
it; Weir stopped while devices publish, the broker restarted and killed meanwhile, and the journal counted."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, free_port, run_cases, skip_without, wait_until  # noqa: E402

CONF = os.path.join(ROOT, "docs", "broker.conf")
MESSAGES, SAVE_S = 3000, 60

SOURCE = """
clock: {{trust: system}}
sources:
  - {{name: plant, url: "mqtt://localhost:{port}", topics: ["t/{{device}}/{{metric}}"], backoff_max: 1s}}
usual: {{all: false}}
"""


def settings(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def printed(config):
    told = subprocess.run([WEIR, "check", "--no-environment", "-c", config], capture_output=True, text=True, check=True)
    begin = re.search(r"^Settings that the brokers in front need.*\n", told.stdout, re.M)
    return [line[2:] for line in told.stdout[begin.end():].splitlines()]


class Broker:
    """A mosquitto with Debian's file and, if wanted, ours beside it."""

    def __init__(self, place, included):
        self.place, self.port = place, free_port()
        os.makedirs(place.path("conf.d"))
        os.makedirs(place.path("broker"))
        if included:
            with open(CONF) as ours, open(place.path("conf.d/weir.conf"), "w") as f:
                f.write(ours.read().replace(f"autosave_interval {SAVE_S}\n", "autosave_interval 2\n"))  # for the test's sake
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        with open(place.path("mosquitto.conf"), "w") as f:
            f.write(f"persistence true\npersistence_location {place.path('broker')}/\n"
                    f"include_dir {place.path('conf.d')}\nuser {user}\n"
                    f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.start()

    def start(self):
        self.place.start("mosquitto", ["mosquitto", "-c", self.place.path("mosquitto.conf")])
        wait_until("mosquitto listens", lambda: self.place.answers(self.port))

    def publish(self, first, count, qos):
        lines = "".join(json.dumps({"value": 1, "sequence": n}) + "\n" for n in range(first, first + count))
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", str(qos), "-t", "t/d/m", "-l"],
                       input=lines.encode(), check=True, timeout=60)


def stored_after(place, included, meanwhile):
    """How many readings arrive that were published while Weir was stopped."""
    broker = Broker(place, included)
    place.write_config(SOURCE.format(port=broker.port))
    place.start_gateway()
    place.wait_status("source connected", lambda s: s["sources"][0]["connected"])
    place.stop("gateway")
    meanwhile(broker)
    place.start_gateway()
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 3:
        now = place.status()["ledger"]["stored"]
        last, since = (now, time.monotonic()) if now != last else (last, since)
        time.sleep(0.2)
    return last


def the_file_is_what_check_prints(place):
    with open(CONF) as f:
        ours = f.read()
    body = ours.splitlines()
    told = printed(os.path.join(ROOT, "docs/examples/minimal.yaml"))
    assert body[-len(told):] == told, "docs/broker.conf is not what weir check prints for docs/examples/minimal.yaml"
    assert all(line.startswith("#") for line in body[:-len(told)])
    more = settings("\n".join(printed(os.path.join(ROOT, "docs/examples/full.yaml"))))
    assert "max_inflight_messages 2000" in more and len(more) == len(settings(ours)), more


def mosquitto_takes_it_alone(place):
    port = free_port()
    place.start("alone", ["mosquitto", "-c", CONF, "-p", str(port)], cwd=place.dir)
    wait_until("mosquitto listens", lambda: place.answers(port))
    assert "Error" not in place.log("alone"), place.log("alone")


def mixed(broker):
    broker.publish(1, 100, 0)
    broker.publish(101, MESSAGES, 1)
    broker.publish(MESSAGES + 101, 100, 0)


def what_is_published_meanwhile_waits(place):
    """QoS 1, that is: QoS 0 is not kept, as the file says."""
    got = stored_after(place, True, mixed)
    assert got == MESSAGES, got


def without_it_most_is_lost(place):
    got = stored_after(place, False, mixed)
    assert got == 1000, f"stock settings kept {got}: the comments of docs/broker.conf are wrong"


def a_restart_of_the_broker_keeps_it(place):
    def restarted(broker):
        broker.publish(1, MESSAGES, 1)
        place.stop("mosquitto")
        broker.start()
        broker.publish(MESSAGES + 1, 100, 1)
    got = stored_after(place, True, restarted)
    assert got == MESSAGES + 100, got


def killed(broker):
    broker.publish(1, MESSAGES, 1)
    time.sleep(4)  # it looks once a second
    broker.publish(MESSAGES + 1, 10, 1)
    broker.place.stop("mosquitto", 9)
    broker.start()


def a_crash_of_the_broker_costs_what_came_since_its_last_save(place):
    got = stored_after(place, True, killed)
    print(f"  kill -9 of the broker: {MESSAGES + 10 - got} of {MESSAGES + 10} lost")
    assert got >= MESSAGES, got


def without_it_a_crash_costs_all(place):
    got = stored_after(place, False, killed)
    assert got == 0, got


CASES = [the_file_is_what_check_prints, mosquitto_takes_it_alone, what_is_published_meanwhile_waits,
         without_it_most_is_lost, a_restart_of_the_broker_keeps_it, a_crash_of_the_broker_costs_what_came_since_its_last_save,
         without_it_a_crash_costs_all]


def main():
    skip_without("mosquitto", "mosquitto_pub")
    return run_cases(CASES)


sys.exit(main())
