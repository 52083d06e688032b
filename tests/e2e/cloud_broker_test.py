#!/usr/bin/env python3
"""Goal: what the cloud's broker acknowledged and lost still arrives: every alert, every batch, no hole. Method: its
broker, which keeps nothing on disk, is killed with -9 under load three times; in the end the receiver must hold every
alert that the gateway raised and every sequence that it gave."""
import contextlib
import os
import shutil
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.demo import Demo  # noqa: E402
from simulator.system import System, say  # noqa: E402

PLAN = {"seconds": 20, "fleet": ["--devices", "50", "--rate", "20", "--duration", "20s", "--clean-for", "8s",
                                 "--fault-every", "2500ms"]}
KILLS_S = (9, 12, 15)


class Test(Demo):
    def schedule(self):
        return [(moment, self.kill_cloud_broker) for moment in KILLS_S]

    def kill_cloud_broker(self):
        self.outage("the cloud's broker is killed with -9 and started again")
        self.system.stop("cloud-broker", signal.SIGKILL)
        time.sleep(0.5)
        self.system.start_cloud_broker()

    def check(self):
        status = self.system.status()
        self.system.stop("cloud")
        with contextlib.closing(sqlite3.connect(self.system.path("cloud.db"))) as db:
            alerts = db.execute("SELECT count(*) FROM alerts").fetchone()[0]
            lanes = dict(db.execute("SELECT lane, contiguous FROM lanes").fetchall())
            counters = dict(db.execute("SELECT name, count FROM counters").fetchall())
        say(f"alerts held {alerts}, raised {status['engine']['alerts_raised']}, lanes {lanes}, counters {counters}")
        assert alerts >= 30, "too few alerts to prove anything"
        assert alerts == status["engine"]["alerts_raised"]
        for lane, state in status["lanes"].items():
            assert lanes.get(lane, 0) == state["next"] - 1, f"{lane}: {lanes.get(lane)} of {state['next'] - 1}"
        for name in ("given_up", "schema_faults", "conflicts", "gaps"):
            assert counters.get(name, 0) == 0, f"{name}: {counters[name]}"

    def run(self):
        self.system.start_all()
        self.publish()
        self.drain()
        self.check()


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    with System(120, "6s") as system:
        Test(system, PLAN, 5).run()
    return 0


sys.exit(main())
