#!/usr/bin/env python3
"""Goal: `weir check --go-live` answers each of its questions by what the gateway has seen, and by nothing else: what is not so is no,
what nobody can know yet is unknown, and each becomes yes when it has been put right. Method: a gateway without anything,
then one with a contract, an uplink, readings, a bad message, a scrape and a measured board."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import WEIR, free_port, run_cases, skip_without  # noqa: E402
from weir_mqtt import V3, Client, publish  # noqa: E402

QUESTIONS = ["configuration", "latency", "semantics", "watermark", "partitions", "shedding", "dead letters", "contracts", "metrics",
             "uplink", "security", "machine"]


def ask(place):
    done = subprocess.run([WEIR, "check", "--go-live", "-c", place.config, "--json"], capture_output=True, text=True, timeout=60)
    report = json.loads(done.stdout)
    answers = {check["check"]: check for check in report["checks"]}
    assert list(answers) == QUESTIONS and done.returncode == (0 if report["ready"] else 1), done.stdout
    assert all(check["evidence"] and (check["answer"] == "yes") == (check["todo"] == "") for check in answers.values()), answers
    assert report["ready"] == all(check["answer"] == "yes" for check in answers.values())
    return answers


def without_anything(place):
    port = free_port()
    place.write_config(f"""clock: {{trust: system}}
shed: {{enrichment_lag: 0}}
alerts: {{reject_rate: 0}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"], payload: {{sequence: ""}}}}
""")
    place.start_gateway()
    answers = ask(place)
    said = {name: check["answer"] for name, check in answers.items()}
    assert said == {**dict.fromkeys(QUESTIONS, "no"), "configuration": "yes", "watermark": "unknown"}, said
    assert "weir bench --calibrate" in answers["partitions"]["todo"] and "devices" in answers["security"]["todo"], answers
    people = subprocess.run([WEIR, "check", "--go-live", "-c", place.config], capture_output=True, text=True, timeout=60)
    assert people.returncode == 1 and people.stdout.endswith("not ready: 1 yes, 10 no, 1 unknown\n"), people.stdout
    with open(place.config, "a") as config:
        config.write("# changed since\n")
    assert ask(place)["configuration"]["answer"] == "no"


def put_right(place):
    port, cloud = free_port(), place.start_broker("cloud")
    place.write_config(f"""clock: {{trust: system}}
commit: {{max_age: 5ms}}
usual: {{all: false}}
detectors: [{{type: limit, high: 50, for: 0s}}]
contracts:
  - {{name: readings, metrics: [{{name: temp}}]}}
uplink: {{url: "mqtt://localhost:{cloud}"}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"], contract: readings}}
""")
    place.start_gateway()
    with open(place.path("data", "calibration.conf"), "w") as figures:
        figures.write("origin = round figures\ndecode_ns = 300\ndecode_byte_ns = 2\npipeline_ns = 500\ncommit_us = 2000\n"
                      "commit_cpu_us = 500\ncommit_bytes = 10000\nreading_bytes = 12\n")
    assert ask(place)["latency"]["answer"] == "unknown"
    device, now_ms = Client(port), int(time.time() * 1000)
    for first in range(1, 1201, 10):  # a commit each ten, so that there is a percentile of them
        for n in range(first, first + 10):
            payload = json.dumps({"value": 99 if first == 601 else 20, "sequence": n, "time": now_ms - 2000 + n})
            device.send(publish(n, V3, payload=payload.encode()))
        device.acknowledged(10)
    device.send(publish(1201, V3, payload=b"no reading"))
    device.acknowledged(1)
    place.get("/metrics")
    place.wait_status("the alert has left", lambda s: s["lanes"]["alerts"]["sent"] > 0 and s["ledger"]["stored"] >= 1200)
    answers = ask(place)
    wrong = {name: (check["answer"], check["todo"]) for name, check in answers.items() if check["answer"] != "yes"}
    # Nobody overloads it, the broker's word is taken for the receiver's, and a test's machine has no watchdog.
    assert set(wrong) == {"shedding", "uplink", "security", "machine"}, wrong
    assert wrong["uplink"][0] == "unknown", wrong


def nobody_there(place):
    port = free_port()
    place.write_config(f"""sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"]}}
""")
    done = subprocess.run([WEIR, "check", "--go-live", "-c", place.config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "no gateway answers" in done.stderr, done


CASES = [without_anything, put_right, nobody_there]
skip_without("mosquitto")
if __name__ == "__main__":
    sys.exit(run_cases(CASES))
