#!/usr/bin/env python3
r"""A whole receiver of what Weir sends, by the rule of docs/receiver.md: Python 3 with its sqlite3, nothing else.

    mosquitto_sub -h BROKER -q 1 -c -i cloud -F '%t %x' \
            -t weir/site-1/alerts -t weir/site-1/results -t weir/site-1/raw |
        receiver.py cloud.db | mosquitto_pub -h BROKER -q 1 -r -l -t weir/site-1/receipt

stdin: a line a message, its topic and its payload in hex. stdout: a receipt, whenever there is more to say."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import batch  # noqa: E402

TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS alerts (alert_id TEXT PRIMARY KEY, revision INTEGER, state TEXT, device TEXT, metric TEXT,
    rule TEXT, severity TEXT, time TEXT, envelope TEXT);
CREATE TABLE IF NOT EXISTS results (store TEXT, device TEXT, metric TEXT, start_ms INTEGER, end_ms INTEGER,
    revision INTEGER, count INTEGER, mean REAL, min REAL, max REAL,
    PRIMARY KEY (store, device, metric, start_ms, end_ms));
CREATE TABLE IF NOT EXISTS streams (store TEXT, stream TEXT, key TEXT, start_ms INTEGER, end_ms INTEGER, name TEXT,
    revision INTEGER, value, PRIMARY KEY (store, stream, key, start_ms, end_ms, name));
CREATE TABLE IF NOT EXISTS readings (store TEXT, batch INTEGER, place INTEGER, device TEXT, metric TEXT,
    event_time_ms INTEGER, value, PRIMARY KEY (store, batch, place));
CREATE TABLE IF NOT EXISTS corrections (store TEXT, id TEXT, stream TEXT, key TEXT, device TEXT, metric TEXT,
    start_ms INTEGER, end_ms INTEGER, windows INTEGER, time TEXT, value, PRIMARY KEY (store, id));
CREATE TABLE IF NOT EXISTS others (store TEXT, lane TEXT, sequence INTEGER, payload TEXT,
    PRIMARY KEY (store, lane, sequence));
CREATE TABLE IF NOT EXISTS arrived (store TEXT, lane TEXT, first INTEGER, last INTEGER,
    PRIMARY KEY (store, lane, first));
"""
ALERT = """INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (alert_id) DO UPDATE SET
    revision = excluded.revision, state = excluded.state, severity = excluded.severity, time = excluded.time,
    envelope = excluded.envelope WHERE excluded.revision > alerts.revision"""
RESULT = """INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (store, device, metric, start_ms, end_ms) DO UPDATE SET
    revision = excluded.revision, count = excluded.count, mean = excluded.mean, min = excluded.min, max = excluded.max
    WHERE excluded.revision > results.revision"""
STREAM = """INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (store, stream, key, start_ms, end_ms, name) DO UPDATE SET
    revision = excluded.revision, value = excluded.value WHERE excluded.revision > streams.revision"""
READING = "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
CORRECTION = "INSERT INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
OTHER = "INSERT INTO others VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


def take_event(db, text):
    event = json.loads(text)
    data, sequence = event["data"], int(event["sequence"])
    _, _, store, lane = event["source"].split(":")
    if event["type"] == "dev.weir.gap.v1":
        return store, lane, data["from"], data["to"]
    if event["type"] == "dev.weir.alert.v1":
        db.execute(ALERT, (data["alert_id"], data["revision"], data["state"], data["device"], data["metric"],
                           data["rule"], data["severity"], event["time"], text.decode()))
    elif event["type"] == "dev.weir.correction.v1":
        window = data["window"]
        db.execute(CORRECTION, (store, event["id"], data.get("stream"), json.dumps(data.get("key")), data["device"],
                                data["metric"], window["start_ms"], window["end_ms"], window["count"], event["time"],
                                data["value"]))
    else:  # a notice, or what a later Weir says: it has arrived, whatever it is
        db.execute(OTHER, (store, lane, sequence, text.decode()))
    return store, lane, sequence, sequence


def take_batch(db, payload):
    header, rows = batch.read(payload)
    store, sequence = header["store"], header["sequence"]
    if header["kind"] == batch.WINDOWS:
        db.executemany(RESULT, [(store, r["device"], r["metric"], r["start_ms"], r["end_ms"], r["revision"], r["count"],
                                 r["mean"], r["min"], r["max"]) for r in rows])
        return store, "results", sequence, sequence
    if header["kind"] == batch.STREAMS:
        db.executemany(STREAM, [(store, r["stream"], json.dumps(r["key"]), r["start_ms"], r["end_ms"], r["name"],
                                 r["revision"], r["value"]) for r in rows])
        return store, "results", sequence, sequence
    db.executemany(READING, [(store, sequence, i, r["device"], r["metric"], r["event_time_ms"], r["value"])
                             for i, r in enumerate(rows)])
    return store, "raw", sequence, sequence


def covered(db, store, lane):
    """The highest sequence up to which there is no hole; ranges that join are made one."""
    last = 0
    for first, to in db.execute("SELECT first, last FROM arrived WHERE store = ? AND lane = ? ORDER BY first",
                                (store, lane)):
        if first > last + 1:
            break
        last = max(last, to)
    db.execute("DELETE FROM arrived WHERE store = ? AND lane = ? AND first <= ?", (store, lane, last))
    db.execute("INSERT INTO arrived VALUES (?, ?, 0, ?)", (store, lane, last))
    return last


def main():
    db = sqlite3.connect(sys.argv[1])
    db.executescript(TABLES)
    for line in sys.stdin:
        try:
            payload = bytes.fromhex(line.split(" ", 1)[1])
            store, lane, first, last = take_event(db, payload) if payload[:1] == b"{" else take_batch(db, payload)
        except Exception as fault:  # keep such a message somewhere, and tell somebody
            print(f"not understood: {fault}: {line[:80]}", file=sys.stderr)
            continue
        db.execute("INSERT INTO arrived VALUES (?, ?, ?, ?) ON CONFLICT (store, lane, first) DO UPDATE SET "
                   "last = max(last, excluded.last)", (store, lane, first, last))
        lanes = [name for name, in db.execute("SELECT DISTINCT lane FROM arrived WHERE store = ?", (store,))]
        receipt = json.dumps({"store": store, "lanes": {name: covered(db, store, name) for name in sorted(lanes)}})
        db.commit()  # first on disk, then the receipt
        print(receipt, flush=True)


main()
