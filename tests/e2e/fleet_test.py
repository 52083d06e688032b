#!/usr/bin/env python3
"""Goal: the fleet does what its --help says: every reading once on a real broker, disorder in the stated proportions,
a series replayed value by value, nothing unacknowledged over a broker's restart. Method: a broker of our own and
mosquitto_sub; what arrived is compared with what the fleet's files say."""
import collections
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.system import SIM, free_port  # noqa: E402

CONF = "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\npersistence true\n" \
       "persistence_location {dir}/\nmax_inflight_messages 1000\nuser {user}\n"
SERIES = "timestamp,value\n2014-02-14 14:27:00,51.846\n2014-02-14 14:32:00,-0.5\nnot a line\n" \
         "2014-02-14 14:32:00,1e-3\n2014-02-14T14:42:00Z,7\n"


class Broker:
    def __init__(self, dir):
        self.dir, self.port = dir, free_port()
        with open(f"{dir}/m.conf", "w") as f:
            f.write(CONF.format(port=self.port, dir=dir, user=getpass.getuser()))
        self.start()
        self.heard = open(f"{dir}/heard", "wb")
        self.sub = subprocess.Popen(["mosquitto_sub", "-p", str(self.port), "-q", "1", "-c", "-i", "listener", "-t",
                                     "telemetry/#", "-F", "%t %x"], stdout=self.heard)
        time.sleep(0.4)

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-c", f"{self.dir}/m.conf"], stderr=subprocess.DEVNULL)
        time.sleep(0.4)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def close(self):
        self.sub.terminate()
        self.sub.wait(10)
        self.stop()
        self.heard.close()

    def messages(self):
        """Topic and payload of everything heard so far."""
        with open(f"{self.dir}/heard") as f:
            return [(topic, bytes.fromhex(payload)) for topic, payload in
                    (line.rstrip("\n").split(" ") for line in f if line.endswith("\n"))]


def fleet(broker, *options):
    return subprocess.Popen([SIM, "fleet", "--port", str(broker.port), "--json", "--truth", f"{broker.dir}/truth",
                             "--acked", f"{broker.dir}/acked", *options], stdout=subprocess.PIPE, text=True)


def totals(process):
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, f"exit {process.returncode}"
    return json.loads(out)


def near(count, share, of):
    assert 0.5 * share * of < count < 1.7 * share * of, f"{count} is not about {share} of {of}"


def disorder_is_as_stated(broker):
    total = totals(fleet(broker, "--devices", "20", "--metrics", "2", "--rate", "50", "--duration", "3s", "--late", "4%",
                         "--late-by", "500ms", "--reordered", "4%", "--repeated", "4%", "--malformed", "2%",
                         "--clean-for", "0s", "--faults", "dropout", "--fault-every", "1s"))
    time.sleep(0.5)
    heard = broker.messages()
    assert total["published"] + total["withheld"] == 20 * 2 * 50 * 3
    assert total["withheld"] > 0 and total["acknowledged"] == total["published"]
    assert len(heard) == total["published"] + total["repeated"] + total["malformed"]
    for word, share in [("late", 0.04), ("reordered", 0.04), ("repeated", 0.04), ("malformed", 0.02)]:
        near(total[word], share, total["published"])
    good = collections.Counter()
    for topic, payload in heard:
        try:
            reading = json.loads(payload)
            if isinstance(reading, dict) and {"device", "ts", "seq", "value", "unit"} <= set(reading):
                good[(topic, reading["seq"], payload)] += 1
        except ValueError:
            pass
    assert len(good) == total["published"], "each reading once, whatever it was repeated"
    assert sum(count - 1 for count in good.values()) == total["repeated"]
    with open(f"{broker.dir}/acked") as f:
        acked = [json.loads(line) for line in f]
    assert {(f"telemetry/{a['device']}/{a['metric']}", a["seq"]) for a in acked} == {key[:2] for key in good}
    print("disorder is as stated")


def a_restart_loses_nothing(broker):
    before = len(broker.messages())
    process = fleet(broker, "--devices", "20", "--rate", "50", "--duration", "3s", "--fault-every", "0s", "--seed", "2")
    time.sleep(1)
    broker.stop()
    time.sleep(0.5)
    broker.start()
    total = totals(process)
    time.sleep(2)
    heard = {payload for _, payload in broker.messages()[before:]}
    assert total["published"] == total["acknowledged"] == 20 * 50 * 3 and total["unacknowledged"] == 0
    assert len(heard) == total["published"], f"{len(heard)} of {total['published']}"
    assert total["connects"] > 8
    print("a restart loses nothing")


def a_series_is_replayed(broker):
    with open(f"{broker.dir}/pump.csv", "w") as f:
        f.write(SERIES)
    for options, name, first in [(["--keep-times"], "pump", 1392388020000), ([], "other", None)]:
        before = len(broker.messages())
        path = f"{broker.dir}/pump.csv" + ("" if name == "pump" else ":" + name)
        began = time.time() * 1000
        total = totals(fleet(broker, "--csv", path, "--speed", "3600", *options))
        time.sleep(0.4)
        heard = broker.messages()[before:]
        assert total["published"] == 4 and {topic for topic, _ in heard} == {f"telemetry/{name}/value"}
        readings = sorted((json.loads(payload) for _, payload in heard), key=lambda r: r["seq"])
        assert [r["value"] for r in readings] == [51.846, -0.5, 0.001, 7]
        times = [r["ts"] for r in readings]
        assert [t - times[0] for t in times] == [0, 300000, 300000, 900000]
        assert times[0] == first or (first is None and abs(times[3] - began - 250) < 2000)
    print("a series is replayed")


def main():
    if not shutil.which("mosquitto") or not shutil.which("mosquitto_sub"):
        print("mosquitto is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="weir-") as dir:
        broker = Broker(dir)
        try:
            disorder_is_as_stated(broker)
            a_restart_loses_nothing(broker)
            a_series_is_replayed(broker)
        finally:
            broker.close()
    return 0


sys.exit(main())
