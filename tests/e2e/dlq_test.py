#!/usr/bin/env python3
"""Goal: dead letters can be triaged: counted by what they have in common, each with a sample and its usual cause, shown
with the fault marked, exported whole; and docs/triage.md is what the program says. Method: the real gateway behind a
broker is sent what it must reject."""
import base64
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, run_cases, skip_without, wait_until  # noqa: E402

CONFIG = """
sources:
  - {{name: plant, url: "mqtt://127.0.0.1:{port}", topics: ["t/{{device}}/{{metric}}", "odd/#"]}}
clock: {{trust: system}}
commit: {{max_age: 100ms}}
alerts: {{reject_rate: 20/m}}
"""


def publish(port, topic, payload):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-s"], input=payload, check=True, timeout=20)


def start(place):
    port = place.start_broker("plant")
    place.write_config(CONFIG.format(port=port).replace(', "odd/#"', ""))
    place.start_gateway()
    place.wait_status("connected", lambda s: s["sources"][0]["connected"])
    return port


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def they_are_counted_and_shown(place):
    port = start(place)
    assert "no dead letter" in place.weir("dlq", "summary")
    for i in range(4):
        publish(port, "t/oven/temp", b'{"value": 1, "sequence": %d, "time": "soon"}' % i)
    for device in ("oven", "pump"):
        publish(port, f"t/{device}/temp", b'{\n "value": 1,\n "sequence": 7;\n}')
    publish(port, "t/pump/temp", b'{"value": "\xff\xfe"}')
    publish(port, "t/pump/temp", b'{"value": 5, "sequence": 8}')
    place.wait_status("all are in", lambda s: s["ledger"]["received"] == 8)
    # by reason in each hour, by one thing, and only some
    groups = json.loads(place.weir("dlq", "summary", "--json"))
    counted = {g["reason"]: g["readings"] for g in groups["groups"]}
    assert counted == {"time_invalid": 4, "json_syntax": 2, "invalid_utf8": 1} or len({g["hour"] for g in groups["groups"]}) > 1
    assert groups["groups"][0]["reason"] == "time_invalid" and "soon" in groups["groups"][0]["sample"]["payload_begin"]
    assert {r["reason"] for r in groups["reasons"]} == set(counted)
    by = {what: {g[what]: g["letters"] for g in json.loads(place.weir("dlq", "summary", "--by", what, "--json"))["groups"]}
          for what in ("reason", "source", "device")}
    assert by == {"reason": counted, "source": {"plant": 7}, "device": {"oven": 5, "pump": 2}}, by
    hours = json.loads(place.weir("dlq", "summary", "--by", "hour", "--json"))["groups"]
    assert sum(g["readings"] for g in hours) == 7 and re.fullmatch(r"....-..-..T..:00:00Z", hours[0]["hour"]), hours
    text = place.weir("dlq", "summary", "--reason", "time_invalid")
    assert "time_invalid" in text and "json_syntax" not in text and "fix: `payload.time_format`" in text, text
    assert len(lines(place.weir("dlq", "list", "--reason", "json_syntax", "--json"))) == 2
    assert place.weir("dlq", "list", "--source", "nobody").count("\n") == 1
    # the fault is marked in its line
    letter = lines(place.weir("dlq", "list", "--reason", "json_syntax", "--json"))[0]
    text = place.weir("dlq", "show", str(letter["id"]))
    marked = text.split("fault at byte ")[1].splitlines()
    assert marked[1].strip() == '"sequence": 7;' and marked[1][marked[2].index("^")] == ";", text
    assert "usual cause: " in text and "device         oven" in text, text
    # all of them, whole, also what is no text
    whole = lines(place.weir("dlq", "export"))
    assert len(whole) == 7 and whole[0]["payload"] == '{"value": 1, "sequence": 0, "time": "soon"}'
    binary = [line for line in whole if "payload_base64" in line]
    assert [base64.b64decode(line["payload_base64"]) for line in binary] == [b'{"value": "\xff\xfe"}']
    assert len(lines(place.weir("dlq", "export", "--reason", "invalid_utf8"))) == 1
    for wrong in (("summary", "--by", "colour"), ("list", "--reason", "nonsense"), ("eat",), ("summary", "x")):
        done = subprocess.run([WEIR, "dlq", *wrong, "-s", place.socket], capture_output=True, text=True, timeout=20)
        assert done.returncode == 2, wrong
    # one more than the limit allows raises the alert of the gateway itself
    for i in range(20):
        publish(port, "t/oven/temp", b"?")
    place.wait_status("the alert is raised", lambda s: s["engine"]["alerts_open"] == 1)


RETRIED = """
sources:
  - name: plant
    url: mqtt://127.0.0.1:{port}
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: {value}, time: /time, sequence: /n}}
clock: {{trust: system}}
commit: {{max_age: {age}}}
"""


def they_are_tried_again(place):
    """By a mended configuration: stored once, however often and whatever dies meanwhile."""
    port = place.start_broker("plant")

    def configure(value, age="100ms"):
        place.write_config(RETRIED.format(port=port, value=value, age=age))

    def start():
        place.start_gateway()
        place.wait_status("connected", lambda s: s["sources"][0]["connected"])

    def letters(*arguments):
        return lines(place.weir("dlq", "list", "--all", "--json", *arguments))

    def retry(*arguments):
        return lines(place.weir("dlq", "retry", *arguments, "--json"))

    configure("/value")
    start()
    base = 1790000000
    for i in range(6):
        publish(port, "t/oven/temp", json.dumps({"v": 20 + i, "time": base + i, "n": i}).encode())
    publish(port, "t/oven/temp", json.dumps({"v": 20, "time": base, "n": 0}).encode())  # the first one again
    publish(port, "t/pump/temp", b'{"v": 7}')
    publish(port, "t/oven/temp", b'{"v": ')
    place.wait_status("all are in", lambda s: s["ledger"]["received"] == 9)
    assert [r["outcome"] for r in retry("--all")] == ["rejected"] * 9, "the configuration is as it was"
    arrived = letters("--reason", "value_missing")[-1]["arrived"]
    place.stop("gateway")
    configure("/v")
    start()
    trial = retry("--all", "--dry-run")
    assert [r["outcome"] for r in trial] == ["stored"] * 8 + ["rejected"], trial
    assert len(letters()) == 9 and place.status()["ledger"]["retried"] == 0, "a trial changes nothing"
    assert [(r["outcome"], r["stored"]) for r in retry("--reason", "value_missing")] == \
        [("stored", 1)] * 6 + [("duplicate", 0), ("stored", 1)]
    ledger = place.wait_status("they are on disk", lambda s: s["ledger"]["retried"] == 8)["ledger"]
    assert ledger["balanced"] and ledger["received"] == 9 and ledger["stored"] == 7 and ledger["duplicate"] == 1, ledger
    readings = place.readings()
    assert [r["event_time_ms"] for r in readings[:6]] == [(base + i) * 1000 for i in range(6)], readings
    assert readings[6]["event_time"] == arrived, "one without a time of its own arrived when it arrived"
    assert [letter["reason"] for letter in letters()] == ["json_syntax"]
    # what fails again stays, with its history; after five times only where that is asked for
    bad = str(letters()[0]["id"])
    def tries():
        return json.loads(place.weir("dlq", "show", bad, "--json"))["tries"]
    for done in range(1, 5):
        assert tries() == done and retry(bad)[0]["outcome"] == "rejected"
        wait_until("that is on disk", lambda: tries() == done + 1)
    assert retry(bad)[0]["outcome"] == "poisoned"
    assert retry(bad, "--as-new")[0]["outcome"] == "poisoned", "that is another question"
    assert retry(bad, "--poisoned")[0]["outcome"] == "rejected"
    wait_until("that is on disk", lambda: tries() == 6)
    shown = json.loads(place.weir("dlq", "show", bad, "--json"))
    assert shown["tries"] == 6 and [h["reason"] for h in shown["history"]] == ["json_syntax"] * 6, shown
    # one that is not there is no letter, and the one that gets its number later is not taken for dropped
    later = str(int(bad) + 1)
    done = subprocess.run([WEIR, "dlq", "drop", later, "-s", place.socket], capture_output=True, text=True)
    assert done.returncode == 1 and "there is no such entry" in done.stderr and done.stdout == "", done
    publish(port, "t/oven/temp", b'{"v": ')
    wait_until("it is kept", lambda: len(letters()) == 2)
    assert str(letters()[1]["id"]) == later and retry(later)[0]["outcome"] == "rejected"
    assert "dropped" in place.weir("dlq", "drop", later)
    wait_until("it is gone", lambda: len(letters()) == 1)
    assert "no dead letter was rejected for invalid_utf8" in place.weir("dlq", "drop", "--reason", "invalid_utf8")
    assert "dropped" in place.weir("dlq", "drop", bad)
    wait_until("it is gone", lambda: letters() == [])
    assert subprocess.run([WEIR, "dlq", "drop", bad, "-s", place.socket], capture_output=True).returncode == 1
    for wrong in (("retry",), ("drop",), ("retry", bad, "--all")):
        assert subprocess.run([WEIR, "dlq", *wrong, "-s", place.socket], capture_output=True).returncode == 2
    assert json.loads(replayed(place))["verdict"] == "identical"


PARTS = """
sources:
  - name: plant
    url: mqtt://127.0.0.1:{port}
    topics: [all]
    contract: plant
    payload: {{readings: "", device: /d, metric: /m, value: /v, time: /t, sequence: /n}}
contracts: [{{name: plant, version: {most}, metrics: [{{name: level, max: {most}}}, {{name: heat, max: {most}}}]}}]
clock: {{trust: system}}
commit: {{max_age: 100ms}}
"""


def the_rejected_part_is_tried_again(place):
    """By a wider contract: what was stored of the message when it came is not stored again, also behind a kill -9."""
    port = place.start_broker("plant")

    def start(most):
        place.write_config(PARTS.format(port=port, most=most))
        place.start_gateway()
        place.wait_status("connected", lambda s: s["sources"][0]["connected"])

    def retry(*arguments):
        return [(r["outcome"], r["stored"]) for r in lines(place.weir("dlq", "retry", "--all", *arguments, "--json"))]

    start(50)
    for n in (1, 2):
        publish(port, "all", json.dumps([
            {"d": d, "m": m, "v": v, "t": 1790000000 + n, "n": n}
            for d, m, v in (("oven", "level", 70 + n), ("oven", "heat", n), ("pump", "level", 80 + n), ("pump", "heat", 10 + n))
        ]).encode())
    publish(port, "all", json.dumps([{"d": "oven", "m": "level", "v": 3, "t": 1790000003, "n": 3}]).encode())
    ledger = place.wait_status("all are in", lambda s: s["ledger"]["received"] == 9)["ledger"]
    assert ledger["stored"] == 5 and retry() == [("rejected", 0)] * 2, ledger
    place.stop("gateway", 9)
    start(100)
    # The oven's level has a newer reading, and its numbers are known: the rest may have come again.
    assert retry() == [("partial", 0)] * 2
    assert retry("--poisoned") == [("partial", 0)] * 2, "that is another question"
    assert retry("--as-new", "--dry-run") == [("stored", 2)] * 2 and place.status()["ledger"]["stored"] == 5
    assert retry("--as-new") == [("stored", 2)] * 2
    place.wait_status("committed", lambda s: s["ledger"]["retried"] == 4)
    place.stop("gateway", 9)
    start(100)
    ledger = place.status()["ledger"]
    assert ledger["balanced"] and ledger["stored"] == 9 and ledger["duplicate"] == 0 and retry() == [], ledger
    found = sorted((r["device"], r["metric"], r["sequence"], r["value"]) for r in place.readings())
    assert found == sorted([("oven", "level", n, 70 + n) for n in (1, 2)] + [("oven", "level", 3, 3)] +
                           [("pump", "level", n, 80 + n) for n in (1, 2)] +
                           [(d, "heat", n, v + n) for d, v in (("oven", 0), ("pump", 10)) for n in (1, 2)]), found
    assert json.loads(replayed(place))["verdict"] == "identical"


def replayed(place):
    return subprocess.run([WEIR, "replay", "--store", place.path("data", "weir.db"), "--json"], capture_output=True,
                          text=True, check=True, timeout=60).stdout


def killed_while_they_are_tried(place):
    """kill -9 between a retry and its commit: a reading is stored and its letter gone, or neither."""
    port = place.start_broker("plant")
    for value, age in (("/value", "100ms"), ("/v", "300ms")):
        place.write_config(RETRIED.format(port=port, value=value, age=age))
        place.start_gateway()
        place.wait_status("connected", lambda s: s["sources"][0]["connected"])
        if value == "/value":
            for i in range(12):
                publish(port, "t/oven/temp", json.dumps({"v": i, "time": 1790000000 + i, "n": i}).encode())
            place.wait_status("all are in", lambda s: s["ledger"]["received"] == 12)
            place.stop("gateway")
    seen = set()
    for round in range(6):
        letters = lines(place.weir("dlq", "list", "--all", "--json"))
        for letter in letters[:2]:
            place.weir("dlq", "retry", str(letter["id"]))
        if round % 2:
            place.wait_status("committed", lambda s: s["ledger"]["pending"] == 0)
        place.stop("gateway", 9)
        place.start_gateway()
        ledger = place.status()["ledger"]
        left = len(lines(place.weir("dlq", "list", "--all", "--json")))
        assert ledger["balanced"] and ledger["stored"] == ledger["retried"] == 12 - left, (ledger, left)
        seen.add(len(letters) - left)
    assert 0 in seen and 2 in seen, f"both must have happened: {seen}"
    place.weir("dlq", "retry", "--all")
    place.wait_status("all are stored", lambda s: s["ledger"]["stored"] == 12)
    assert sorted(r["value"] for r in place.readings()) == list(range(12))


def the_page_is_what_the_program_says(_place):
    """Every reason of the code has a row in docs/triage.md, with the words and the command that `weir dlq` has."""
    with open(os.path.join(ROOT, "pipeline/reject.h")) as f:
        listed = set(re.findall(r'X\(REJECT_\w+, \d+, "(\w+)"', f.read()))
    said = {line["reason"]: line for line in lines(subprocess.run(
        [WEIR, "dlq", "reasons", "--json", "-s", "none"], capture_output=True, text=True, check=True).stdout)}
    assert set(said) == listed, set(said) ^ listed
    with open(os.path.join(ROOT, "docs/triage.md")) as f:
        rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", f.read(), re.M)
    assert len(rows) == len(listed), len(rows)
    for reason, text, cause, fix, retry in rows:
        line = said[reason]
        command = f"`weir dlq retry --reason {reason}`" if line["retry"] else "no use"
        assert (text, cause, fix, retry) == (line["text"], line["cause"], line["fix"], command), (reason, line)


CASES = [they_are_counted_and_shown, they_are_tried_again, the_rejected_part_is_tried_again,
         killed_while_they_are_tried, the_page_is_what_the_program_says]


def main():
    skip_without("mosquitto", "mosquitto_pub")
    return run_cases(CASES)


sys.exit(main())
