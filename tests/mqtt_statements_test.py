#!/usr/bin/env python3
"""docs/mqtt.md and the tests agree about the normative statements of MQTT 5.0 and 3.1.1.

Every statement of both standards has one row; a row that names a test is named in that test, and each statement that a
test names has a row that says so; what pipeline/mqtt/fault.h names exists.
"""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

# How many statements each section has: appendix B of each standard. 5.0 has no MQTT-2.2.1-1.
SECTIONS = {
    "v5": "1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13 "
          "3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1 "
          "3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 "
          "4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 "
          "4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4",
    "v3.1.1": "1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2 "
              "3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 "
              "4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 "
              "7.1.2:1",
}
COUNTS = {"v5": 251, "v3.1.1": 141}
HEADINGS = {"### MQTT 5.0": "v5", "### MQTT 3.1.1": "v3.1.1"}
ROW = re.compile(r"^\| (MQTT-[\d.]+-\d+) \| [^|]+ \| ([^|]+) \|$")
NAMED = re.compile(r"\b(v5|v3\.1\.1)\s+(?:\*\s+)?(MQTT-[\d.]+-\d+)")
complaints = []


def complain(text):
    complaints.append(text)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def expected(version):
    for section in SECTIONS[version].split():
        name, count = section.split(":")
        for number in range(1, int(count) + 1):
            if (version, name, number) != ("v5", "2.2.1", 1):
                yield f"MQTT-{name}-{number}"


def table():
    """(version, statement) -> the last cell of its row."""
    rows, version = {}, None
    for line in read("docs/mqtt.md").splitlines():
        version = HEADINGS.get(line, version)
        row = ROW.match(line)
        if row and (version, row[1]) in rows:
            complain(f"{version} {row[1]} has two rows")
        if row:
            rows[version, row[1]] = row[2]
        elif line.startswith("| MQTT-"):
            complain(f"not read: {line}")
    return rows


def check_rows(rows):
    for version in SECTIONS:
        have = [name for of, name in rows if of == version]
        want = list(expected(version))
        if len(want) != COUNTS[version]:
            complain(f"{version}: {len(want)} statements are expected, the standard has {COUNTS[version]}")
        for name in sorted(set(want) ^ set(have)):
            complain(f"{version} {name} " + ("has no row" if name in want else "is no statement"))


def check_tests(rows):
    tests = sorted(name for name in os.listdir(os.path.join(ROOT, "tests/unit")) if re.match(r"mqtt_.*_test\.c$", name))
    named = {name[:-2]: set(NAMED.findall(read(f"tests/unit/{name}"))) for name in tests}
    for name in ("listener_test", "receipts_test", "sessions_test", "wills_test"):
        named[name] = set(NAMED.findall(read(f"tests/e2e/{name}.py")))
    for key, cell in rows.items():
        for test in re.findall(r"`(\w+)`", cell):
            if key not in named.get(test, set()):
                complain(f"{' '.join(key)} is not named in {test}")
    for test, keys in named.items():
        for key in sorted(keys):
            if f"`{test}`" not in rows.get(key, ""):
                complain(f"{test} names {' '.join(key)}, docs/mqtt.md does not say so")
    return sum(1 for cell in rows.values() if "`" in cell)


def check_faults(rows):
    for old, new in re.findall(r'X\(\w+, \w+, "([^"]*)", "([^"]*)",', read("pipeline/mqtt/fault.h").replace("\\\n", "")):
        for version, name in (("v3.1.1", old), ("v5", new)):
            if name.startswith("MQTT-") and (version, name) not in rows:
                complain(f"fault.h: there is no {version} {name}")


def main():
    rows = table()
    check_rows(rows)
    tested = check_tests(rows)
    check_faults(rows)
    print("\n".join(complaints))
    print(f"{len(rows)} statements, {tested} tested")
    return 1 if complaints else 0


sys.exit(main())
