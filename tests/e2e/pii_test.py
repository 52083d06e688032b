#!/usr/bin/env python3
"""Goal: what a field with `pii` holds is nowhere in clear: not in the store, its WAL, logs, the answers of any command, the
metrics, nor in what goes to the cloud; and a pseudonym is the HMAC that Python makes too. Method: the real gateway, messages with
planted values at QoS 0 to 2 that are good, against the contract, not JSON, cut, too large, repeated, on another topic, on no topic, wills, and dead
letters that are tried again; kill -9 in between; then every byte that there is, also inside of what is compressed."""
import base64
import glob
import hashlib
import hmac
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, free_port, skip_without, wait_until  # noqa: E402

SECRET = "PLANTED"
KEY = "0123456789abcdef0123456789abcdef-key"
CONFIG = """  pii_key: {key}
clock: {{trust: system}}
commit: {{max_age: 50ms}}
limits: {{payload: 1KiB}}
usual: {{all: false}}
detectors: [{{type: limit, metric: temp, high: 50, chatter: false}}]
uplink: {{url: "mqtt://localhost:{cloud}", raw: true, receipts: false}}
sources:
  - name: plant
    listen: mqtt://127.0.0.1:{port}
    anonymous: true
    contract: shop
    pii: [{{field: /card, pii: hmac}}, /name, /who/mail]
    payload: {{fields: {{card: /card, name: /name}}}}
    topics: ["t/{{device}}/{{metric}}", {{template: calls, payload: {{device: /card, metric: /metric}}}}]
contracts:
  - {{name: shop, allow_unknown: true, metrics: [{{name: temp, max: 90}}]}}
"""


def pseudonym(value):
    return "hmac:" + hmac.new(KEY.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]


def message(number, **more):
    return json.dumps({"value": 20, "sequence": number, "card": f"{SECRET}-{number}", "name": f"Jo {SECRET}",
                       "who": {"mail": f"{SECRET}@shop", "at": 1}, **more})


def publish(port, topic, payload, qos=1):
    subprocess.run(["mosquitto_pub", "-q", str(qos), "-p", str(port), "-t", topic, "-s"], input=payload.encode(),
                   capture_output=True, timeout=20)


def plant(place, port):
    for qos in (0, 1, 2):
        publish(port, "t/till/temp", message(qos + 1), qos)
    escaped = message(4).replace('"card"', '"c\\u0061rd"').replace(f"{SECRET}-", f"\\u0050{SECRET[1:]}-")
    for payload in (escaped, message(5, value=95), message(6, value="x" + "y" * 1100), message(7)[:-9], message(8) + "}", message(3),
                    message(9, value=60), message(10, time="never"), message(11).replace("20", "NaN"), message(12, value=None),
                    message(13, card=["a", SECRET]), message(14).replace('"name"', '"card"'), f"{SECRET} is no JSON",
                    message(15).encode("utf-16").decode("latin-1"), message(16, extra=f"{'z' * 900}")):
        publish(port, "t/till/temp", payload)
    publish(port, "calls", message(17, metric="temp"))
    publish(port, "elsewhere/till", message(18))
    publish(port, "elsewhere", f"bare {SECRET}")
    will = subprocess.Popen(["mosquitto_pub", "-q", "1", "-p", str(port), "-t", "t/mortal/temp", "-l", "--will-topic", "w",
                             "--will-payload", f"will of {SECRET}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    place.processes["will"] = will
    will.stdin.write(message(19).encode() + b"\n")
    will.stdin.flush()
    return will


def inside(data):
    """Data, and what in it was compressed by zlib with the store's window."""
    yield data
    for found in list(re.finditer(b"\x68", data[:256]))[:20]:
        try:
            yield zlib.decompressobj().decompress(data[found.start():])
        except zlib.error:
            pass


def blobs(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                yield from (value.encode() if isinstance(value, str) else value for value in row
                            if isinstance(value, (bytes, str)))


def looked_through(place, capture):
    """Everything there is, as (where, bytes)."""
    for path in glob.glob(place.path("**"), recursive=True):
        if os.path.isfile(path) and stat.S_ISREG(os.stat(path).st_mode) and not path.endswith("capture"):
            with open(path, "rb") as file:
                yield path, file.read()
    for line in open(capture, "rb"):
        for part in inside(bytes.fromhex(line.decode().strip())):
            yield "the cloud", part
    ids = [json.loads(line)["id"] for line in place.weir("dlq", "export").splitlines()]
    alerts = re.findall(r"[0-9A-HJKMNP-TV-Za-z]{26}", place.weir("alerts", "--json"))
    for words in (["status", "--json"], ["tail", "-n", "200"], ["tail", "-n", "200", "--json"], ["devices"], ["show", "till"], ["show", "till", "--json"], ["export"],
                  ["export", "--format", "csv"], ["dlq", "list"], ["dlq", "export"], ["dlq", "summary"], ["dlq", "summary", "--json"],
                  *(["dlq", "show", str(i)] for i in ids), *(["dlq", "show", str(i), "--json"] for i in ids), ["alerts"],
                  *(["explain", alert] for alert in alerts[:3]), *(["explain", alert, "--json"] for alert in alerts[:3])):
        yield " ".join(words), place.weir(*words, check=False).encode()
    assert alerts and len(ids) > 8, (alerts, ids)
    yield "metrics", place.get("/metrics")[1].encode()


def nowhere(place, capture):
    count = 0
    for where, data in looked_through(place, capture):
        count += 1
        for form in (SECRET.encode(), base64.b64encode(SECRET.encode())[:8], SECRET.encode("utf-16-le"), SECRET.encode("utf-16-be")):
            assert form not in data, (where, data[max(0, data.index(form) - 60):data.index(form) + 60])
    return count


def kept(place):
    """What stands in their place."""
    readings = place.readings()
    cards = {r["sequence"]: r.get("fields", {}).get("card") for r in readings if r["device"] == "till"}
    assert all(cards[n] == pseudonym(f"{SECRET}-{n}") for n in (1, 2, 3, 4, 9)), cards
    assert cards[13] is None and all("name" not in r.get("fields", {}) for r in readings), readings
    assert any(r["device"] == pseudonym(f"{SECRET}-17") for r in readings), "a device's name"
    letters = [json.loads(line) for line in place.weir("dlq", "export").splitlines()]
    by_reason = {letter["reason"]: letter for letter in letters}
    assert json.loads(by_reason["contract_range"]["payload"])["card"] == pseudonym(f"{SECRET}-5"), by_reason["contract_range"]
    assert json.loads(by_reason["contract_range"]["payload"])["who"] == {"mail": None, "at": 1}
    for reason in ("json_syntax", "json_trailing", "payload_too_large"):
        assert re.fullmatch(r"withheld: \d+ bytes( or more)?", by_reason[reason]["payload"]), by_reason[reason]
    assert {"time_invalid", "topic_mismatch", "number_not_finite", "value_missing", "json_duplicate_key"} <= set(by_reason), set(by_reason)
    return by_reason


def refused(place, port, cloud):
    """A key that others may read, or that can be tried out."""
    for mode, text, part in ((0o644, KEY, "its mode is 0644"), (0o600, "short", "it has fewer than 32 characters")):
        with open(place.path("key"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(place.path("key"), mode)
        place.write_config(CONFIG.format(port=port, cloud=cloud, key=place.path("key")))
        done = subprocess.run([WEIR, "check", "-c", place.config], capture_output=True, text=True)
        assert done.returncode == 78 and part in done.stdout + done.stderr, done
    with open(place.path("key"), "w", encoding="utf-8") as file:
        file.write(KEY + "\n")


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub")
    with Place() as place:
        cloud, port, capture = place.start_broker("cloud"), free_port(), place.path("capture")
        refused(place, port, cloud)
        place.start("capture", ["sh", "-c", f"exec mosquitto_sub -p {cloud} -q 1 -t '#' -F %x >{capture}"])
        place.start_gateway()
        will = plant(place, port)
        place.wait_status("all came", lambda s: s["ledger"]["received"] >= 22 and s["ledger"]["pending"] == 0)
        will.kill()
        will.wait()
        wait_until("it is told as gone", lambda: 'will=""' in place.log("gateway"))
        by_reason = kept(place)
        place.stop("gateway", signal.SIGKILL)
        place.write_config(CONFIG.format(port=port, cloud=cloud, key=place.path("key")).replace("max: 90", "max: 99")
                           .replace("allow_unknown: true", "allow_unknown: true, version: 2"))
        place.start_gateway()
        assert "no_use" in place.weir("dlq", "retry", str(by_reason["json_syntax"]["id"]), check=False)
        place.weir("dlq", "retry", "--reason", "contract_range")
        wait_until("it is stored", lambda: any(r["sequence"] == 5 for r in place.readings()))
        assert [r.get("fields", {}).get("card") for r in place.readings() if r["sequence"] == 5] == [pseudonym(f"{SECRET}-5")]
        time.sleep(1)  # for what still goes to the cloud
        count = nowhere(place, capture)
        place.stop("gateway")
        place.stop("capture")
        assert os.path.getsize(capture) > 2000
        database = place.path("data", "weir.db")
        for blob in blobs(database):
            count += 1
            assert all(SECRET.encode() not in part for part in inside(blob))
        print(f"{count} files, answers and rows hold none of it")
    return 0


sys.exit(main())
