#!/usr/bin/env python3
"""make demo: the promises, kept before your eyes. `demo.py [--short] [--seed N]`

500 devices at 10 readings a second for 60 s, healthy for the first 30, then with faults that are known. Each has a
TLS connection and a password of its own to the gateway. Meanwhile the cloud's broker is away for 10 s, the gateway is
killed with -9 twice, and gets a new certificate while everybody stays connected, at moments drawn from the seed.
Then everything is drained, the journal exported, and `weir-sim report --check` is the judge: its JSON object is the
last line, its exit status ours. --short: 50 devices, 20 s."""
import argparse
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from simulator.system import SIM, WEIR, System, Trouble, built, say  # noqa: E402

FULL = {"seconds": 60, "devices": 500, "away": 10, "learning": (200, "20s"), "first": 6, "fleet":
        ["--devices", "500", "--rate", "10", "--duration", "60s", "--clean-for", "30s", "--fault-every", "10s"]}
SHORT = {"seconds": 20, "devices": 50, "away": 3, "learning": (120, "6s"), "first": 2, "fleet":
         ["--devices", "50", "--rate", "20", "--duration", "20s", "--clean-for", "9s", "--fault-every", "2500ms"]}
DISORDER = ["--late", "0.2%", "--reordered", "0.2%", "--repeated", "1%", "--malformed", "0.02%",
            "--wrong-clocks", "1%"]
DRAIN_S = 90


class Demo:
    def __init__(self, system, plan, seed):
        self.system, self.plan, self.seed = system, plan, seed
        self.chance = random.Random(seed)
        self.outages = []        # [what, start_ms, end_ms or None]
        self.began = None

    def say(self, text):
        say(f"{time.monotonic() - self.began:6.1f} s  {text}")

    # --- what goes wrong ---------------------------------------------------------------------------------------

    def outage(self, what):
        self.say(what)
        self.outages.append([what, int(time.time() * 1000), None])

    def change_certificate(self):
        self.say("the gateway gets a new certificate")
        self.system.change_certificate()

    def cloud_away(self):
        self.outage(f"the cloud's broker goes away for {self.plan['away']} s")
        self.system.stop("cloud-broker")

    def cloud_back(self):
        self.say("the cloud's broker is back")
        self.system.start_cloud_broker()

    def kill_gateway(self):
        self.outage("the gateway is killed with -9 and started again")
        self.system.stop("gateway", 9)
        self.system.start_gateway()

    def schedule(self):
        """Moments drawn from the seed, 2 s apart at least, each early enough to be lived through."""
        first, last = self.plan["first"], self.plan["seconds"] - 3
        while True:
            away = self.chance.uniform(first, last - self.plan["away"])
            moments = [away, away + self.plan["away"]] + [self.chance.uniform(first, last) for _ in range(3)]
            ordered = sorted(moments)
            if all(b - a >= 2 for a, b in zip(ordered, ordered[1:])):
                break
        actions = [self.cloud_away, self.cloud_back, self.change_certificate, self.kill_gateway, self.kill_gateway]
        return sorted(zip(moments, actions), key=lambda pair: pair[0])

    def close_outages(self, force=False):
        if any(o[2] is None for o in self.outages) and (force or self.system.all_connected()):
            now = int(time.time() * 1000)
            for outage in self.outages:
                outage[2] = outage[2] or now

    # --- the run -----------------------------------------------------------------------------------------------

    def publish(self):
        fleet = self.system.start_fleet("--seed", str(self.seed), *self.plan["fleet"], *DISORDER)
        self.began = time.monotonic()
        self.say(f"publishing; log and data in {self.system.dir}")
        actions, told = self.schedule(), 0.0
        while fleet.poll() is None:
            passed = time.monotonic() - self.began
            if actions and passed >= actions[0][0]:
                actions.pop(0)[1]()
            self.close_outages()
            if passed - told >= 10:
                self.tell()
                told = passed
            if passed > self.plan["seconds"] + DRAIN_S:
                raise Trouble(f"the fleet does not end: {self.system.log_tail('fleet')}")
            self.system.check_alive()
            time.sleep(0.05)
        if self.system.stop("fleet") != 0:
            raise Trouble(f"the fleet was not acknowledged in full: {self.system.log_tail('fleet')}")

    def tell(self):
        status = self.system.status()
        if status is not None:
            ledger, engine = status["ledger"], status["engine"]
            self.say(f"stored {ledger['stored']}, duplicates {ledger['duplicate']}, "
                     f"rejected {ledger['rejected_total']}, alerts raised {engine['alerts_raised']}")

    def drain(self):
        """Until nothing moves any more: all taken, all stored, all covered by receipts."""
        self.say("draining")
        self.system.wait("everything is connected", self.system.all_connected, DRAIN_S)
        self.close_outages(force=True)
        still_since, last = time.monotonic(), None
        until = time.monotonic() + DRAIN_S
        while time.monotonic() - still_since < 3:
            status = self.system.status()
            lanes = status and {name: lane["next"] for name, lane in status["lanes"].items()}
            waiting = status is None or status["ledger"]["pending"] > 0 or any(
                lane["rows"] > 0 for lane in status["lanes"].values())
            now = status and (status["ledger"]["received"], lanes)
            if waiting or now != last:
                still_since, last = time.monotonic(), now
            if time.monotonic() > until:
                raise Trouble(f"not drained within {DRAIN_S} s: {json.dumps(status)}")
            time.sleep(0.2)

    def judge(self):
        path = self.system.path
        with open(path("journal.jsonl"), "wb") as journal:
            subprocess.run([WEIR, "export"], stdout=journal, env=self.system.environment, check=True)
        with open(path("status.json"), "w") as f:
            f.write(json.dumps(self.system.status()) + "\n")
        with open(path("outages.jsonl"), "w") as f:
            for what, start, end in self.outages:
                f.write(json.dumps({"what": what, "start_ms": start, "end_ms": end}) + "\n")
        self.system.stop("gateway")
        self.system.stop("cloud")
        self.say("judging")
        done = subprocess.run([SIM, "report", "--check", "--truth", path("truth.jsonl"), "--acked",
                               path("acked.jsonl"), "--cloud", path("cloud.db"), "--journal", path("journal.jsonl"),
                               "--outages", path("outages.jsonl"), "--status", path("status.json")],
                              stdout=subprocess.PIPE, text=True)
        return done.stdout, done.returncode

    def run(self):
        self.system.start_all()
        self.system.add_fleet(self.plan["devices"])
        self.publish()
        self.drain()
        return self.judge()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="50 devices, 20 s")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    built()
    plan = SHORT if options.short else FULL
    try:
        with System(*plan["learning"], source="tls") as system:
            report, code = Demo(system, plan, options.seed).run()
            system.keep = system.keep or code != 0
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except Trouble as trouble:
        say(f"FAILED: {trouble}")
        return 1
    print(report, end="", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
