#!/usr/bin/env python3
"""Goal: `weir replay --emit` tells once more what was told: a receiver that has it changes nothing, one that has lost its
tables has the same again, also where the gateway was killed in the middle and it is repeated; a gateway that runs does not
notice but for the messages. Method: the real gateway, a broker, `weir-sim cloud` as the receiver, whose tables are compared."""
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, UnixConnection, run_cases, skip_without, wait_until  # noqa: E402

SIM = WEIR + "-sim"
CONFIG = """
sources:
  - name: plant
    url: mqtt://127.0.0.1:{plant}
    topics: [all]
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
clock: {{trust: system}}
window: {{size: 1s, lateness: 2s, out_of_orderness: 0s, idle: 1h}}
commit: {{max_age: 50ms}}
alerts: {{storm: 0}}
usual: {{all: false}}
inventory: {{file: {inventory}}}
streams:
  - {{name: all, key: [device], window: {{size: 2s}}, out_of_orderness: 0s, lateness: 5s, idle: 1h, aggregates: [count, mean, max],
     late: side_output}}
detectors: [{{type: limit, name: high, metric: "*", high: 50, hysteresis: 0, for: 0s, clear_after: 0s, cooldown: 0s, chatter: false}}]
uplink: {{url: "mqtt://127.0.0.1:{cloud}", receipts: true, receipt_timeout: 2s, backoff_max: 1s}}
"""
DEVICES = 10
# of each table what says what arrived, and not when, or where in its lane it stood
TABLES = {
    "alerts": """SELECT alert_id, revision, device, metric, rule, severity, transition, event_ms, first_learning,
                 first_event_ms, substr(envelope, instr(envelope, '"time":')) FROM alerts ORDER BY 1""",
    "results": "SELECT * FROM results ORDER BY 2, 3, 4",
    "stream_results": "SELECT * FROM stream_results ORDER BY 2, 3, 4, 5, 6",
    "corrections": """SELECT store, id, substr(envelope, instr(envelope, '"time":')) FROM corrections ORDER BY 2""",
}


class Site:
    def __init__(self, place):
        self.place, self.sent, self.late, self.cloud_db = place, 0, 0, place.path("cloud.db")
        self.plant, self.cloud = place.start_broker("plant"), place.start_broker("cloud-broker")
        self.base = int(time.time() * 1000) - 3600000
        with open(place.path("devices.csv"), "w") as f:
            f.write("device,site\n" + "".join(f"dev-{i},hall {i}\n" for i in range(DEVICES)))
        place.write_config(CONFIG.format(plant=self.plant, cloud=self.cloud, inventory=place.path("devices.csv")))
        os.environ["WEIR_CONFIG"] = place.config
        self.start_cloud()
        self.start()

    def start(self):
        self.place.start_gateway()
        self.place.wait_status("connected", lambda s: s["sources"][0]["connected"] and s["uplink"]["connected"])

    def start_cloud(self):
        self.place.start("cloud", [SIM, "cloud", "--host", "127.0.0.1", "--port", str(self.cloud), "--db", self.cloud_db])
        wait_until("the cloud listens", lambda: os.path.exists(self.cloud_db))

    def publish(self, rounds):
        lines = []
        for _ in range(rounds):
            self.sent += 1
            lines.append(json.dumps([{"d": f"dev-{i}", "m": "level", "v": (self.sent * (i + 1)) % 10 * 10,
                                      "t": self.base + self.sent * 1000, "n": self.sent} for i in range(DEVICES)]))
        if lines:
            subprocess.run(["mosquitto_pub", "-p", str(self.plant), "-q", "1", "-t", "all", "-l"],
                           input="\n".join(lines).encode() + b"\n", check=True, timeout=60)
        self.place.wait_status("stored", lambda s: s["ledger"]["stored"] == self.sent * DEVICES + self.late)

    def publish_late(self):
        """Of each device a reading that is too late for the stream's window."""
        self.late += DEVICES
        message = [{"d": f"dev-{i}", "m": "level", "v": 7, "t": self.base + 1500, "n": 100000 + self.late} for i in range(DEVICES)]
        subprocess.run(["mosquitto_pub", "-p", str(self.plant), "-q", "1", "-t", "all", "-m", json.dumps(message)], check=True, timeout=60)
        self.publish(0)

    def arrived(self):
        """Every row has its receipt; of each lane the next sequence, and how far it is covered."""
        lanes = {}

        def done():
            nonlocal lanes
            lanes = {name: (lane["next"], lane["covered"]) for name, lane in self.place.status()["lanes"].items()}
            return all(next_ == covered + 1 for next_, covered in lanes.values())
        wait_until("all has arrived", done)
        return lanes

    def tables(self, whole=False):
        with contextlib.closing(sqlite3.connect(self.cloud_db)) as db:
            queries = {name: f"SELECT * FROM {name}" for name in TABLES} if whole else TABLES
            return {name: db.execute(query).fetchall() for name, query in queries.items()}

    def lose_tables(self):
        """The receiver's; how far its lanes had come it knows."""
        with contextlib.closing(sqlite3.connect(self.cloud_db)) as db:
            for name in TABLES:
                db.execute(f"DELETE FROM {name}")
            db.commit()
        assert not any(self.tables().values())

    def counts(self):
        with contextlib.closing(sqlite3.connect(self.cloud_db)) as db:
            return dict(db.execute("SELECT name, count FROM counters")), db.execute("SELECT count(*) FROM faulty").fetchone()[0]


def emit(*arguments, code=0):
    done = subprocess.run([WEIR, "replay", "--emit", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def told_again(place):
    site = Site(place)
    site.publish(30)
    site.publish_late()
    middle = time.time()
    site.publish(10)
    before = site.arrived()
    whole, held = site.tables(whole=True), site.tables()
    assert len(held["alerts"]) > 50 and len(held["results"]) > 300 and len(held["stream_results"]) > 300, \
        {name: len(rows) for name, rows in held.items()}
    exported, ledger = len(place.export()), place.status()["ledger"]
    report = json.loads(emit("--json").stdout)
    assert report["verdict"] == "identical" and report["emitted"]["alerts"] == report["alerts"] > 100, report
    assert report["emitted"]["results"] == report["results"] > 400, report
    assert report["emitted"]["corrections"] == report["corrections"] == len(held["corrections"]) == DEVICES, report
    after = site.arrived()
    assert after["results"][1] == before["results"][1] + report["emitted"]["messages"], (before, after)
    assert after["alerts"] == before["alerts"], (before, after)  # nothing that is new waits behind it
    assert site.tables(whole=True) == whole, "a receiver that has them changes nothing, not even when it heard of them"
    counts, faulty = site.counts()
    assert faulty == 0 and counts.get("conflicts", 0) == 0, (counts, faulty)
    assert len(place.export()) == exported and place.status()["ledger"] == ledger, "the journal knows nothing of it"
    # A receiver that lost its tables.
    place.stop("cloud")
    site.lose_tables()
    site.start_cloud()
    text = emit().stdout
    assert text.startswith("identical") and f"told again: {report['alerts']} alerts" in text, text
    wait_until("it is filled again", lambda: site.tables() == held)
    counts, faulty = site.counts()
    assert faulty == 0 and counts.get("conflicts", 0) == 0, (counts, faulty)
    site.publish(5)  # and it goes on from there
    assert place.status()["health"] == "good", place.status()["health"]
    assert json.loads(subprocess.run([WEIR, "replay", "--json"], capture_output=True, check=True).stdout)["verdict"] == "identical"
    part = json.loads(emit("--json", "--from", str(middle)).stdout)["emitted"]
    assert 10 < part["alerts"] < report["emitted"]["alerts"], part
    assert "emitted" not in json.loads(emit("--json", "--from", str(time.time() + 3600), code=1).stdout)
    for wrong in (("--config", place.config), ("--time", "event", "--compare"), (place.path("x.csv"),)):
        assert "--emit" in emit(*wrong, code=2).stderr


def killed_in_the_middle(place):
    """While the cloud's broker is away only so much is taken; there the gateway is killed, and it is done once more."""
    site = Site(place)
    site.publish(60)
    site.arrived()
    held = site.tables()
    place.stop("cloud-broker")
    place.stop("cloud")
    waiting = subprocess.Popen([WEIR, "replay", "--emit", "--progress"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lane = {"next": 0, "since": 0.0}

    def stands():  # for a line of progress
        now = place.status()["lanes"]["results"]
        lane["since"] = lane["since"] if now["next"] == lane["next"] else time.time()
        lane.update(now)
        return lane["next"] - 1 - lane["covered"] >= 48 and time.time() - lane["since"] > 1.5
    wait_until("as much waits as may", stands)
    assert lane["next"] - 1 - lane["covered"] <= 64 and waiting.poll() is None, lane
    place.stop("gateway", 9)
    _, said = waiting.communicate(timeout=20)
    assert waiting.returncode == 1 and "waits for the uplink" in said and "repeat it" in said, said
    assert "does it run?" in emit(code=1).stderr
    place.start_broker("cloud-broker")
    site.lose_tables()
    site.start_cloud()
    site.start()
    emit()
    wait_until("it is filled again", lambda: site.tables() == held)
    counts, faulty = site.counts()
    assert faulty == 0 and counts.get("conflicts", 0) == 0, (counts, faulty)


def only_what_is_proved(place):
    """Another store's, or a spoilt one's, is not told; nor what somebody makes up."""
    site = Site(place)
    site.publish(2)
    site.publish(18)  # in another block
    before = site.arrived()
    place.stop("gateway")
    store, spoilt = place.path("data", "weir.db"), place.path("spoilt.db")
    with contextlib.closing(sqlite3.connect(store)) as db, contextlib.closing(sqlite3.connect(spoilt)) as to:
        db.backup(to)
    with contextlib.closing(sqlite3.connect(spoilt)) as db:
        db.execute("DELETE FROM journal WHERE id = (SELECT id FROM journal WHERE readings > 0 ORDER BY id LIMIT 1)")
        db.commit()
    site.start()
    assert "told again" not in emit("--store", spoilt, code=3).stdout
    good = b'{"specversion":"1.0","type":"dev.weir.alert.v1","dataschema":"urn:weir:schema:alert.v1","source":"urn:weir:' \
           + b"0" * 32 + b':results","id":"A.1","sequence":"00000000000000000000","time":"x"}'
    for body, status in ((b"", 400), (b"x", 400), (b"\xff\xff\xff\x7f", 400), (b"\0" * 8, 400), (b"\1\0\0\0{", 422),
                         (b"\4\0\0\0WR\1\1", 422), (len(good).to_bytes(4, "little") + good, 422), (b"x" * 200000, 400),
                         ((len(good).to_bytes(4, "little") + good) * 17, 400)):
        connection = UnixConnection(place.socket)
        connection.request("POST", "/api/v1/backfill", body=body)
        answer = connection.getresponse()
        assert answer.status == status, (body[:20], answer.status, answer.read())
        connection.close()
    connection = UnixConnection(place.socket)  # a bad request does not keep the place
    connection.request("POST", "/api/v1/backfill?what=1", body=b"x")
    assert connection.getresponse().status == 400
    connection.close()
    assert place.get("/api/v1/backfill")[0] == 405
    broken = UnixConnection(place.socket)  # nor one that breaks off
    broken.putrequest("POST", "/api/v1/backfill")
    broken.putheader("Content-Length", "1000")
    broken.endheaders()
    broken.send(b"x" * 10)
    time.sleep(0.2)
    assert "another backfill" in emit(code=1).stderr
    broken.close()
    wait_until("the place is free again", lambda: subprocess.run([WEIR, "replay", "--emit"], capture_output=True).returncode == 0)
    after = site.arrived()
    assert after["results"][1] > before["results"][1], (before, after)
    counts, faulty = site.counts()
    assert faulty == 0 and counts.get("conflicts", 0) == 0, (counts, faulty)
    place.stop("gateway")
    os.rename(place.path("data"), place.path("old"))
    site.start()  # with another store
    site.sent = 0
    assert "another store" in emit("--store", place.path("old", "weir.db"), code=1).stderr


if __name__ == "__main__":
    skip_without("mosquitto", "mosquitto_pub")
    sys.exit(run_cases([told_again, killed_in_the_middle, only_what_is_proved]))
