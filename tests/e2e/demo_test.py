#!/usr/bin/env python3
"""Goal: the demo holds what it promises, and its judge can say no. Method: the short demo (50 devices, 20 s, brokers
away, kill -9 twice) must exit 0; then its own files, spoilt one at a time, must make `weir-sim report --check` fail
for the right reason. And a replay of its journal, from a store that holds nothing else, comes to the very bits that the
cloud has."""
# Alone: it measures how soon faults are found.
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIM = os.path.join(ROOT, os.environ.get("B", "build"), "weir-sim")
WEIR = os.path.join(ROOT, os.environ.get("B", "build"), "weir")
NOT_THE_JOURNAL = ("outbox", "alert", "letters", "piece", "raw_lost", "contract", "session", "exchange", "receipt")


def judge(dir, **files):
    names = {"truth": "truth.jsonl", "acked": "acked.jsonl", "cloud": "cloud.db", "journal": "journal.jsonl",
             "outages": "outages.jsonl", "status": "status.json", **files}
    command = [SIM, "report", "--check"]
    for option, name in names.items():
        command += ["--" + option, os.path.join(dir, name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout), done.stderr


def lines_of(dir, name):
    with open(os.path.join(dir, name)) as f:
        return f.readlines()


def write(dir, name, lines):
    with open(os.path.join(dir, name), "w") as f:
        f.writelines(lines)


def refuses(dir, what, reason, **files):
    code, report, errors = judge(dir, **files)
    assert code == 1 and reason in errors, f"{what}: exit {code}, {errors}"
    print(f"refused: {what}")
    return report


def spoil(dir):
    journal = lines_of(dir, "journal.jsonl")
    at = next(i for i, line in enumerate(journal) if '"kind":"reading"' in line)
    write(dir, "one-less.jsonl", journal[:at] + journal[at + 1:])
    assert refuses(dir, "a reading lost", "nothing lost", journal="one-less.jsonl")["lost"] == 1
    write(dir, "one-more.jsonl", journal[:at + 1] + journal[at:])
    assert refuses(dir, "a reading twice", "no duplicates", journal="one-more.jsonl")["duplicates"] == 1
    write(dir, "stranger.jsonl", journal + [journal[at].replace('"device":"', '"device":"x')])
    assert refuses(dir, "a reading of nobody", "never published", journal="stranger.jsonl")["unknown"] == 1
    status = lines_of(dir, "status.json")[0]
    write(dir, "unbalanced.json", status.replace('"balanced": true', '"balanced": false'))
    refuses(dir, "an unbalanced ledger", "a balanced ledger", status="unbalanced.json")
    for what, sql, reason in [
        ("spikes missed", "DELETE FROM alerts WHERE rule = 'spike'", "spike faults detected"),
        ("only learning", "UPDATE alerts SET first_learning = 1", "shift faults detected"),
        ("false alarms", "UPDATE alerts SET first_event_ms = first_event_ms - 9000000", "false alarms"),
        ("late alerts", "UPDATE alerts SET first_arrived_ms = first_arrived_ms + 60000", "within 10 s"),
        ("a hole", "INSERT INTO ahead SELECT store, lane, 1000000, 1000000 FROM lanes", "no hole"),
    ]:
        name = what.replace(" ", "-") + ".db"
        shutil.copy(os.path.join(dir, "cloud.db"), os.path.join(dir, name))
        with contextlib.closing(sqlite3.connect(os.path.join(dir, name))) as db:
            db.execute(sql)
            db.commit()
        refuses(dir, what, reason, cloud=name)


def without_place(envelope):
    return {key: value for key, value in envelope.items() if key not in ("sequence", "recordedtime")}


def compare_alerts(db, made):
    """The newest revision that the cloud has of each alert, with all it says."""
    alerts = {line["id"]: without_place(line) for line in made if line["type"] == "dev.weir.alert.v1"}
    rows = db.execute("SELECT alert_id, revision, envelope FROM alerts").fetchall()
    assert rows and len(rows) == len({line.split(".")[0] for line in alerts}), (len(rows), len(alerts))
    for alert, revision, envelope in rows:
        assert alerts[f"{alert}.{revision}"] == without_place(json.loads(envelope)), envelope
    return len(rows)


def compare_results(db, made):
    newest = {}
    for line in made:
        if line["type"] == "window":
            newest[line["device"], line["metric"], line["start_ms"], line["end_ms"]] = line
    rows = db.execute("SELECT device, metric, start_ms, end_ms, revision, unit, count, mean, min, max, first, last "
                      "FROM results").fetchall()
    assert rows and len(rows) == len(newest), (len(rows), len(newest))
    for device, metric, start, end, *rest in rows:
        line = newest[device, metric, start, end]
        assert rest == [line[name] for name in ("revision", "unit", "count", "mean", "min", "max", "first", "last")], line
    return len(rows)


def replay(dir):
    """Only the journal can be the source: everything else in the store is removed first."""
    store, out = os.path.join(dir, "journal-only.db"), os.path.join(dir, "replayed.jsonl")
    shutil.copy(os.path.join(dir, "gateway", "weir.db"), store)
    with contextlib.closing(sqlite3.connect(store)) as db:
        for table in NOT_THE_JOURNAL:
            db.execute(f"DELETE FROM {table}")
        db.commit()
    done = subprocess.run([WEIR, "replay", "--store", store, "--json", "--out", out], stdout=subprocess.PIPE, text=True,
                          timeout=60)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["verdict"] == "identical", report
    assert report["blocks"]["different"] == report["blocks"]["untold"] == report["checkpoint_block"] == 0, report
    assert report["readings"] > 19000 and report["alerts"] > 50 and report["results"] > 50, report
    made = [json.loads(line) for line in lines_of(dir, "replayed.jsonl")]
    with contextlib.closing(sqlite3.connect(os.path.join(dir, "cloud.db"))) as db:
        print(f"replayed: {compare_alerts(db, made)} alerts and {compare_results(db, made)} windows are those that the "
              f"cloud has; {report['readings_per_second']} readings a second")


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    done = subprocess.run([os.path.join(ROOT, "simulator", "demo.py"), "--short"], stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, WEIR_KEEP="1"), timeout=240)
    print(done.stdout)
    kept = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("everything is kept in")]
    try:
        assert done.returncode == 0, f"the demo exits {done.returncode}"
        report = json.loads(done.stdout.splitlines()[-1])
        assert report["lost"] == 0 and report["duplicates"] == 0 and report["published"] > 19000
        replay(kept[0])
        spoil(kept[0])
    finally:
        for dir in kept:
            shutil.rmtree(dir)
    return 0


sys.exit(main())
