#!/usr/bin/env python3
"""Goal: `weir contract check` says of two contracts whether one may follow the other, with each reason; a contract's JSON
Schema judges a message as the gateway does; and a gateway does not start with a contract that readings made for the accepted one would not fit: exit 78, a
sentence that says what, from, to and the fix, and nothing changed. Method: the real binary, stopped in order and with
kill -9, started again with one contract after another; readings by mosquitto_pub in between. Random messages through the gateway and
through Debian's python3-jsonschema."""
import json
import os
import random
import signal
import subprocess
import sys

from jsonschema import Draft202012Validator

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, Place, skip_without, wait_until  # noqa: E402

CONFIG = """
clock: {{trust: system}}
commit: {{max_age: 100ms}}
sources:
  - name: plant
    url: mqtt://localhost:{port}
    contract: climate
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: ""}}
contracts:
  - {{name: climate, version: {version}, metrics: [{{name: temp, max: {most}}}]}}
"""


def start(place, port, version, most):
    place.write_config(CONFIG.format(port=port, version=version, most=most))
    process = place.start_gateway(wait=False)
    log = place.log("gateway").count("weir: ready")
    wait_until("it runs or refuses",
               lambda: process.poll() is not None or place.log("gateway").count("weir: ready") > log)
    return process.poll()


def publish(port, value):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "t/oven/temp", "-m", str(value)], check=True)


OLD = "name: climate\nmetrics:\n  - {name: temp, min: -40, max: 125}\n  - {name: hum}\n"
NEW = "name: climate\nversion: 2\nmetrics:\n  - {name: temp, min: -40, max: 80, required: true}\n  - {name: hum}\n  - {name: dew}\n"


def compare(place, old, new, status, *flags):
    for name, text in (("old.yaml", old), ("new.yaml", new)):
        with open(place.path(name), "w", encoding="utf-8") as file:
            file.write(text)
    done = subprocess.run([WEIR, "contract", "check", place.path("old.yaml"), place.path("new.yaml"), *flags],
                          capture_output=True, text=True)
    assert done.returncode == status, (status, done)
    return done.stdout + done.stderr


def contracts_are_compared(place):
    for part in ("contract climate: version 1 to 2", "metric temp: range narrowed from [-40, 125] to [-40, 80]",
                 "metric temp: became required", "metric dew: removed, and unknown metrics are refused", "not compatible"):
        assert part in compare(place, OLD, NEW, 3), part
    grown = NEW.replace("max: 80, required: true", "max: 125")
    compare(place, OLD, grown, 0)
    compare(place, OLD, grown, 3, "--mode", "full")
    compare(place, grown, OLD.replace("name: climate\n", "name: climate\nversion: 3\n"), 0, "--mode", "forward")
    told = json.loads(compare(place, OLD, NEW, 3, "--json"))
    (one,) = told["contracts"]
    assert not told["compatible"] and len(one["backward"]["reasons"]) == 2 and not one["full"], told
    assert one["forward"]["reasons"] == ["metric dew: removed, and unknown metrics are refused"], told
    assert "its version has not grown" in compare(place, OLD, grown.replace("version: 2\n", ""), 3)
    assert "it is gone" in compare(place, OLD, NEW.replace("climate", "other"), 3)
    assert "unknown key `metrcs` in contracts[]" in compare(place, OLD, NEW.replace("metrics", "metrcs"), 78)
    assert "`min` is more than `max`" in compare(place, OLD, NEW.replace("-40", "90"), 78)
    configs = [CONFIG.format(port=1, version=v, most=m) for v, m in ((1, 80), (2, 125), (2, 50))]
    compare(place, configs[0], configs[1], 0)
    assert "[any, 80] to [any, 50]" in compare(place, configs[0], configs[2], 3)


METRICS = """[{name: temp, min: -40, max: 125, unit: Cel, required: true}, {name: hum, max: 100},
           {name: on, type: boolean}, {name: state, type: text}]"""
TWO = f"""
contracts:
  - {{name: closed, metrics: {METRICS}}}
  - {{name: open, allow_unknown: true, metrics: {METRICS}}}
clock: {{trust: system}}
commit: {{max_age: 100ms}}
usual: {{all: false}}
sources:
  - {{name: closed, url: "mqtt://localhost:PORT", contract: closed, topics: ["c/{{device}}"], payload: {{metrics: ""}}}}
  - {{name: open, url: "mqtt://localhost:PORT", contract: open, topics: ["o/{{device}}"], payload: {{metrics: ""}}}}
"""
USUAL = {"on": False, "state": "shut", "dew": 3}


def random_message(r):
    names = r.sample(["temp", "hum", *USUAL], r.randint(0, 4))
    usual = {**USUAL, "temp": r.randint(-40, 125), "hum": r.randint(0, 100)}
    return json.dumps({name: usual[name] if r.random() < 0.85 else r.choice([-41, 126, 125, -40.0, 100, True, "x", r.random()])
                       for name in names})


def schemas_judge_alike(place):
    port = place.start_broker("plant")
    place.write_config(TWO.replace("PORT", str(port)))
    place.start_gateway()
    place.wait_status("the sources are connected", lambda s: all(x["connected"] for x in s["sources"]))
    r = random.Random(7)
    sent = sorted({random_message(r) for _ in range(400)})
    for topic in ("c/oven", "o/oven"):
        subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-l"], input="\n".join(sent) + "\n",
                       text=True, check=True)
    for topic in ("c/last", "o/last"):
        subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-m", '{"temp": 1}'], check=True)
    wait_until("all came", lambda: sum(x["device"] == "last" for x in place.readings()) == 2)
    letters = [json.loads(line) for line in place.weir("dlq", "export").splitlines()]
    for name in ("closed", "open"):
        schema = json.loads(subprocess.run([WEIR, "contract", "schema", place.config, "--name", name], capture_output=True,
                                           text=True, check=True).stdout)
        Draft202012Validator.check_schema(schema)
        valid = {message for message in sent if Draft202012Validator(schema).is_valid(json.loads(message))}
        refused = {letter["payload"] for letter in letters if letter["source"] == name}
        assert refused == set(sent) - valid, sorted(refused ^ (set(sent) - valid))[:3]
        assert 50 < len(valid) < len(sent) - 50, len(valid)
    print(f"{len(sent)} messages, as the schema judges them under each of two contracts")


def follows_a_file(place, port):
    """The accepted contract moves into a file of its own, which then grows."""
    def contract(version, most):
        with open(place.path("climate.yaml"), "w", encoding="utf-8") as file:
            file.write(f"name: climate\nversion: {version}\nmetrics:\n  - {{name: temp, max: {most}}}\n")

    def reload(status, *parts):
        done = subprocess.run([WEIR, "reload", "-s", place.socket], capture_output=True, text=True, timeout=30)
        assert done.returncode == status and all(part in done.stdout + done.stderr for part in parts), done

    before = place.status()["config_digest"]
    contract(2, 150)
    text = CONFIG[:CONFIG.index("  - {{name: climate")] + "  - file: climate.yaml\n"
    place.write_config(text.format(port=port))
    reload(0)
    moved = place.status()["config_digest"]
    assert moved != before
    contract(3, "many")
    reload(78, f"{place.path('climate.yaml')}:4:23: error: `contracts[].metrics[].max` can't be `many`")
    assert place.status()["config_digest"] == moved
    contract(3, 160)
    reload(0, "contracts[climate].version: 2 -> 3")
    place.wait_status("the source is connected", lambda s: all(x["connected"] for x in s["sources"]))
    publish(port, 155)
    place.wait_status("it is in the range of the file", lambda s: s["ledger"]["stored"] == 3)
    assert place.status()["config_digest"] != moved
    subprocess.run([WEIR, "replay", "--store", place.path("data", "weir.db")], check=True, stdout=subprocess.DEVNULL)


def main():
    skip_without("mosquitto", "mosquitto_pub")
    with Place() as place:
        contracts_are_compared(place)
    with Place() as place:
        schemas_judge_alike(place)
    with Place() as place:
        port = place.start_broker("plant")
        assert start(place, port, 1, 125) is None
        place.wait_status("the source is connected", lambda s: all(x["connected"] for x in s["sources"]))
        publish(port, 100)
        before = place.wait_status("a reading is stored", lambda s: s["ledger"]["stored"] == 1)
        place.stop("gateway", signal.SIGKILL)

        for version in (1, 2):
            assert start(place, port, version, 80) == 78
        said = place.log("gateway")
        for part in (f"{place.config}: error: the contract `climate` can't be taken: "
                     "metric temp: range narrowed from [any, 125] to [any, 80]", "  fix: undo that"):
            assert said.count(part) == 2, said
        check = subprocess.run([WEIR, "check", "-c", place.config], capture_output=True, text=True)
        assert check.returncode == 0 and "contracts: checked at start" in check.stdout, check.stdout

        assert start(place, port, 1, 125) is None
        after = place.status()
        assert after["store_id"] == before["store_id"] and after["ledger"]["stored"] == 1, after
        place.stop("gateway")
        assert start(place, port, 2, 150) is None
        assert "contract_accepted contract=climate version=2" in place.log("gateway")
        place.wait_status("the source is connected", lambda s: all(x["connected"] for x in s["sources"]))
        publish(port, 140)
        place.wait_status("it is in the wider range", lambda s: s["ledger"]["stored"] == 2)
        follows_a_file(place, port)
        print("refused 2, accepted 1 -> 2, and by a file -> 3, readings 3")
    return 0


sys.exit(main())
