#!/usr/bin/env python3
"""Goal: kill -9 at any moment loses nothing, repeats nothing, and is over within 2 s.
Method: the real gateway between two real brokers, under a fleet's load with repeats, disorder and faults, is killed in
every round at a moment drawn from the seed: while it runs, or, in every third round, while it starts and rebuilds its
state. After each restart the ledger must balance and hold no less than before; in the end the exported journal is
compared, sequence by sequence, with what the fleet published, and the receiver's table with what the gateway raised.
All of it twice: with a broker in front, and with devices that publish to the gateway itself.

  kill9_test.py [ROUNDS [SEED]]   `make kill9 N=200`; a seed repeats the moments, not the machine"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.demo import DISORDER, Demo  # noqa: E402
from simulator.system import SIM, WEIR, System, built, say  # noqa: E402

FLEET = ["--devices", "100", "--rate", "20", "--duration", "0s", "--clean-for", "5s", "--fault-every", "20s",
         "--drain", "120s"]
RUN_S = 2.0             # a round's greatest life
RECOVERY_MS_MAX = 2000


class Rounds:
    def __init__(self, system, seed):
        self.system, self.chance = system, random.Random(seed)
        self.log, self.begins = system.path("gateway.log"), 0
        self.start_s = 0.1   # that the last start took, from exec to ready
        self.stored, self.recovered_ms, self.starts_s = 0, [], []
        self.killed = {"starting": 0, "running": 0}

    def said(self):
        """What the present gateway has written to its log."""
        with open(self.log, "rb") as f:
            f.seek(self.begins)
            return f.read().decode(errors="replace")

    def start(self):
        self.begins = os.path.getsize(self.log)
        self.system.start_gateway()

    def kill(self):
        """With -9, and note how far it had come."""
        code = self.system.stop("gateway", signal.SIGKILL)
        assert code == -signal.SIGKILL, f"the gateway had ended by itself with {code}: {self.said()[-2000:]}"
        self.killed["running" if "weir: ready" in self.said() else "starting"] += 1

    def kill_somewhere(self, early):
        if early:
            self.kill()
            self.start()
            time.sleep(self.chance.uniform(0.0, 1.1 * self.start_s))
        else:
            time.sleep(self.chance.uniform(0.0, RUN_S))
        self.kill()

    def restart(self):
        began = time.monotonic()
        self.start()
        while "weir: ready" not in self.said():
            self.system.check_alive()
            assert time.monotonic() - began < 30, f"not ready: {self.said()[-2000:]}"
            time.sleep(0.002)
        self.start_s = time.monotonic() - began
        self.starts_s.append(self.start_s)
        recovered_ms = int(re.search(r"recovered \d+ blocks in (\d+) ms", self.said()).group(1))
        self.recovered_ms.append(recovered_ms)
        assert recovered_ms < RECOVERY_MS_MAX, f"recovery took {recovered_ms} ms"

    def check_ledger(self):
        self.system.wait("the gateway answers", lambda: self.system.status() is not None, 20)
        ledger = self.system.status()["ledger"]
        assert ledger["balanced"], f"the ledger does not balance: {ledger}"
        assert ledger["stored"] >= self.stored, f"stored {ledger['stored']}, before the kill {self.stored}"
        self.stored = ledger["stored"]

    def run(self, rounds):
        for number in range(1, rounds + 1):
            self.kill_somewhere(early=number % 3 == 0)
            self.restart()
            self.check_ledger()
            if number % 10 == 0 or number == rounds:
                say(f"round {number}: stored {self.stored}, killed {self.killed}, recovery at most "
                    f"{max(self.recovered_ms)} ms, exec to ready at most {max(self.starts_s) * 1000:.0f} ms")


def compare(system):
    """The report's figures: the journal against what was published, the receiver's table against what was raised."""
    with open(system.path("journal.jsonl"), "wb") as journal:
        subprocess.run([WEIR, "export"], stdout=journal, env=system.environment, check=True)
    status = system.status()
    with open(system.path("status.json"), "w") as f:
        json.dump(status, f)
    system.stop("gateway")
    system.stop("cloud")
    files = {"truth": "truth.jsonl", "acked": "acked.jsonl", "cloud": "cloud.db", "journal": "journal.jsonl",
             "status": "status.json"}
    done = subprocess.run([SIM, "report"] + [word for option, name in files.items()
                                             for word in ("--" + option, system.path(name))],
                          stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(done.stdout)
    with contextlib.closing(sqlite3.connect(system.path("cloud.db"))) as db:
        held = db.execute("SELECT count(*) FROM alerts").fetchone()[0]
        lanes = dict(db.execute("SELECT lane, contiguous FROM lanes").fetchall())
    raised = status["engine"]["alerts_raised"]
    say(f"published {report['published']}, stored {report['stored']}, lost {report['lost']}, duplicates "
        f"{report['duplicates']}, unknown {report['unknown']}, repeats told {status['ledger']['duplicate']}, "
        f"alerts raised {raised}, in the cloud {held}")
    assert report["published"] > 0 and report["lost"] == 0 and report["duplicates"] == 0 and report["unknown"] == 0
    assert report["ledger_balanced"]
    assert held == raised, "alerts are missing in the cloud"
    for lane, state in status["lanes"].items():
        assert lanes.get(lane, 0) == state["next"] - 1, f"{lane}: {lanes.get(lane)} of {state['next'] - 1}"


def campaign(source, rounds, seed):
    with System(60, "3s", source=source) as system:
        system.start_all()
        system.start_fleet("--seed", str(seed), *FLEET, *DISORDER)
        kills = Rounds(system, seed)
        kills.run(rounds)
        assert system.stop("fleet", wait_s=150) == 0, system.log_tail("fleet")
        demo = Demo(system, {}, seed)
        demo.began = time.monotonic()
        demo.drain()
        compare(system)
        assert rounds < 50 or all(kills.killed.values()), f"not killed in one of the phases: {kills.killed}"


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    built()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
    for source in ("broker", "listener"):
        say(f"{source}: {rounds} rounds, seed {seed}")
        campaign(source, rounds, seed)
    return 0


sys.exit(main())
