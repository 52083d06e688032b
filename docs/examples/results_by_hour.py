#!/usr/bin/env python3
"""Files by hour, for a long-term store, of the results of streams that receiver.py has in its database.

    results_by_hour.py cloud.db DIRECTORY

Writes DIRECTORY/STREAM/2026-11-27T18.jsonl, by the hour (UTC) in which windows begin: a JSON object a window and key, of its highest
revision; what was taken back is not in it. A file is written aside and renamed, so that a reader sees the old one or the new one,
and only when it differs: run it as often as you like, nothing is in there twice."""
import json
import os
import sqlite3
import sys
import time


def windows(db):
    """(stream, hour, line) of each, in order."""
    rows = db.execute("SELECT stream, start_ms, end_ms, key, json_group_object(name, value), max(revision), count(value) FROM streams "
                      "GROUP BY store, stream, start_ms, end_ms, key ORDER BY stream, start_ms, key, end_ms")
    for stream, start_ms, end_ms, key, values, revision, known in rows:
        if known == 0:
            continue  # taken back
        hour = time.strftime("%Y-%m-%dT%H", time.gmtime(start_ms // 1000))
        yield stream, hour, json.dumps({"start_ms": start_ms, "end_ms": end_ms, "key": json.loads(key), "revision": revision,
                                        "values": json.loads(values)})


def write(path, text):
    """Whether it was another one."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as there:
            if there.read() == text:
                return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    os.rename(path + ".new", path)
    return True


def main():
    db, directory = sqlite3.connect(sys.argv[1]), sys.argv[2]
    files = {}
    for stream, hour, line in windows(db):
        files.setdefault(os.path.join(directory, stream, hour + ".jsonl"), []).append(line + "\n")
    written = sum(write(path, "".join(lines)) for path, lines in files.items())
    print(f"{written} of {len(files)} files written")


main()
