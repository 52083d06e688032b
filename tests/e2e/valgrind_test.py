#!/usr/bin/env python3
"""Goal: the daemon leaks nothing and touches no memory that is not its own. Method: it lives a small demo under
valgrind's memcheck, TLS on both sides: readings with disorder and faults, the cloud away, a new certificate,
every call of the command line, a reload, an orderly stop, a restart that rebuilds the state, and a second stop. Any
error or leak (definite, indirect or possible) fails; nothing is suppressed, libraries included.

  valgrind_test.py [SECONDS]   of readings; `make valgrind` takes 60"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.demo import DISORDER, Demo  # noqa: E402
from simulator.system import WEIR, System, built, say  # noqa: E402

FOUND = 99


class Test(Demo):
    def __init__(self, system, seconds):
        fleet = ["--devices", "20", "--rate", "5", "--duration", f"{seconds}s", "--clean-for", "2s",
                 "--fault-every", "4s", "--malformed", "1%"]
        super().__init__(system, {"seconds": seconds, "fleet": fleet, "away": 1}, 1)

    def schedule(self):
        at = self.plan["seconds"] / 4
        return [(at, self.cloud_away), (at + 1, self.cloud_back), (2 * at, self.change_certificate), (3 * at, self.ask)]

    def weir(self, *arguments):
        done = subprocess.run([WEIR, *arguments], env=self.system.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"weir {arguments}: {done.returncode}: {done.stderr}"
        return done.stdout

    def ask(self):
        """Everything that the command line asks the daemon."""
        for question in (["status"], ["devices", "--json"], ["tail"], ["alerts"], ["dlq", "list"], ["export"],
                         ["export", "--format", "csv"]):
            self.weir(*question)
        alerts = [json.loads(line) for line in self.weir("alerts", "--json").splitlines()]
        for alert in alerts[:1]:
            self.weir("alerts", "ack", alert["id"])
            self.weir("alerts", "shelve", alert["id"])
        letters = [json.loads(line) for line in self.weir("dlq", "list", "--json").splitlines()]
        for letter in letters[:1]:
            self.weir("dlq", "show", str(letter["id"]))
        self.system.processes["gateway"].send_signal(signal.SIGHUP)
        self.say(f"asked everything; alerts {len(alerts)}, dead letters {len(letters)}")

    def stop(self):
        code = self.system.stop("gateway", wait_s=60)
        with open(self.system.path("valgrind.log")) as f:
            log = f.read()
        summary = re.findall(r"ERROR SUMMARY: .*|(?:definitely|indirectly|possibly) lost: .*", log)
        self.say("; ".join(summary))
        if code != 0 or "ERROR SUMMARY: 0 errors" not in log:
            say(log)
            raise AssertionError(f"exit {code}" + (": valgrind found something" if code == FOUND else ""))

    def run(self):
        self.system.start_all()
        self.publish()
        self.drain()
        self.stop()
        self.system.start_gateway()
        self.system.wait("connected again", self.system.all_connected, 60)
        self.ask()
        self.stop()


def main():
    for program in ("mosquitto", "valgrind"):
        if not shutil.which(program):
            print(f"{program} is not installed")
            return 77
    built()
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    with System(30, "1s") as system:
        system.under = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
                        "--errors-for-leak-kinds=definite,indirect,possible", f"--error-exitcode={FOUND}",
                        "--num-callers=30", "--log-file=" + system.path("valgrind.log")]
        Test(system, seconds).run()
    return 0


sys.exit(main())
