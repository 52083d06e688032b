#!/usr/bin/env python3
"""Goal: what Weir shows of itself from outside is right, and in the form that Prometheus reads.
Method: the real gateway under known traffic; its figures are compared with what was published and with `weir status`;
`promtool` judges the text, and docs/metrics.md must name each family, with its type, and no other."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, free_port, run_cases, skip_without, wait_until  # noqa: E402

PAGE = os.path.join(ROOT, "docs/metrics.md")
LANES = ("alerts", "results", "raw")


def configure(place, more=""):
    port = free_port()
    place.write_config(f"""  board: {ROOT}/boards/pc/hal.conf
clock: {{trust: system}}
commit: {{max_age: 50ms}}
streams: [{{name: all, key: [device]}}]
usual: {{all: false}}
detectors: [{{type: limit, high: 50, for: 0s}}]
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"]}}
{more}""")
    return port


def publish(port, topic, *payloads):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-l"], check=True, text=True,
                   input="".join(f"{payload}\n" for payload in payloads))


def families(text):
    """By name: (type, {labels as written: value})."""
    found, name = {}, None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in found, f"{name} begins twice"
            found[name] = (kind, {})
        elif not line.startswith("#"):
            sample = re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line)
            assert sample and sample[1].startswith(name), line
            found[name][1][sample[1][len(name):] + (sample[2] or "")] = float(sample[3])
    return found


def metrics(place):
    status, text = place.get("/metrics")
    assert status == 200, text
    return families(text)


def judged_by_promtool(text, *words):
    done = subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def documented():
    with open(PAGE, encoding="utf-8") as f:
        rows = re.findall(r"^\| `([a-z_]+)`[^|]*\| (\w+) \|", f.read(), re.M)
    assert len(rows) == len(dict(rows)), "a metric stands twice in the page"
    return dict(rows)


def figures_are_what_was_published(place):
    cloud = place.start_broker("cloud")
    port = configure(place, f'uplink: {{url: "mqtt://localhost:{cloud}"}}\n')
    place.start_gateway()
    now = int(time.time() * 1000)
    readings = [json.dumps({"value": 20 + i % 3, "sequence": i, "time": now + i}) for i in range(101)]
    publish(port, "t/pump1/temp", *readings[:100], readings[0], "{", "nothing", '{"value": {}}')
    publish(port, "t/pump2/temp", '{"value": 60}')  # above the limit
    place.wait_status("all committed", lambda s: s["ledger"]["received"] == 105 and s["ledger"]["pending"] == 0)
    publish(port, "t/pump1/temp", readings[100])
    place.wait_status("the last one too", lambda s: s["ledger"]["stored"] == 102)

    def looked():
        return metrics(place)["weir_series_heard"][1][""] == 2
    wait_until("a survey of both series", looked)
    status, found = place.status(), metrics(place)

    def value(name, labels=""):
        return found[name][1][labels]
    assert value("weir_readings_total", '{outcome="stored"}') == 102
    assert value("weir_readings_total", '{outcome="duplicate"}') == 1
    assert value("weir_readings_total", '{outcome="rejected"}') == 3
    assert value("weir_readings_rejected_total", '{reason="json_syntax"}') == 2
    assert value("weir_readings_rejected_total", '{reason="value_type"}') == 1
    assert sum(found["weir_readings_rejected_total"][1].values()) == 3
    total = sum(found["weir_readings_total"][1].values())
    assert total == value("weir_readings_received_total") + value("weir_readings_retried_total") == 106
    assert value("weir_ledger_balanced") == 1 and value("weir_health") == 0
    assert value("weir_alerts_raised_total") == status["engine"]["alerts_raised"] == 1
    assert value("weir_devices") == 2 and value("weir_devices_limit") == 1000
    assert 2 <= value("weir_watermark_delay_median_seconds") <= value("weir_watermark_delay_worst_seconds") < 20
    assert value("weir_device_messages_total", '{source="devices"}') == 106
    commits = value("weir_commits_total")
    assert value("weir_commit_duration_seconds", "_count") <= commits
    assert value("weir_commit_duration_seconds", '_bucket{le="+Inf"}') == value("weir_commit_duration_seconds", "_count")
    assert 0 < value("weir_commit_duration_seconds", "_sum") < 60
    assert value("process_resident_memory_bytes") > 1 << 20
    assert abs(value("process_start_time_seconds") - os.stat(place.socket).st_mtime) < 5
    assert value("weir_uplink_connected", f'{{destination="localhost:{cloud}"}}') == 1
    sent = f'{{destination="localhost:{cloud}",lane="alerts"}}'
    wait_until("the alert left", lambda: metrics(place)["weir_uplink_sent_rows_total"][1][sent] == 1)
    assert 300 < metrics(place)["weir_uplink_sent_bytes_total"][1][sent] < 4000


def an_outbox_grows_and_ages(place):
    port = configure(place, f'uplink: {{url: "mqtt://localhost:{free_port()}"}}\n')
    place.start_gateway()
    publish(port, "t/pump2/temp", '{"value": 60}')

    def aged():
        found = metrics(place)
        rows, age = found["weir_outbox_rows"][1], found["weir_outbox_oldest_age_seconds"][1]
        return rows['{lane="alerts"}'] == 1 and 1 < age['{lane="alerts"}'] < 60 and age['{lane="raw"}'] == 0
    wait_until("an alert waits", aged)
    assert metrics(place)["weir_health_reason"][1] == {'{reason="uplink_lost"}': 1}


def promtool_and_the_page_agree(place):
    cloud = place.start_broker("cloud")
    configure(place, f'uplink: {{url: "mqtt://localhost:{cloud}"}}\n')
    place.start_gateway()
    place.wait_status("connected", lambda s: s["uplink"]["connected"])
    wait_until("progress", lambda: "weir_progress_age_seconds" in metrics(place))
    text = place.get("/metrics")[1]
    judged_by_promtool(text, "check", "metrics")
    kinds = {name: kind for name, (kind, _) in families(text).items()}
    page = documented()
    hardware = {"weir_machine_temperature_celsius", "weir_flash_written_bytes_total", "weir_flash_life_used_ratio",
                "weir_flash_years"}
    missing, gone = set(kinds) - set(page), set(page) - set(kinds) - hardware
    assert not missing and not gone, f"not in docs/metrics.md: {sorted(missing)}; only there: {sorted(gone)}"
    wrong = {name: kind for name, kind in kinds.items() if page[name] != kind}
    assert not wrong, f"docs/metrics.md has another type: {wrong}"
    samples = sum(len(values) for _, values in families(text).values())
    print(f"  {len(kinds)} families, {samples} samples, {len(text)} bytes")


def there_is_no_series_for_a_device(place):
    """Neither names of devices nor more samples than before, however many devices there are."""
    port = configure(place)
    place.start_gateway()
    before = len(place.get("/metrics")[1].splitlines())
    for i in range(20):
        publish(port, f"t/device-{i}/temp", '{"value": 1}')
    place.wait_status("20 devices", lambda s: s["engine"]["devices"] == 20)
    text = place.get("/metrics")[1]
    assert "device-1" not in text
    assert len(text.splitlines()) <= before + 5, "only the delays and the age of the progress appear"


def ready_while_readings_are_taken(place):
    configure(place)
    place.start_gateway()
    assert place.get("/healthz") == (200, "progress\n")
    assert place.get("/readyz") == (200, "ready\n")
    assert place.get("/readyz", "POST")[0] == 405


CASES = [figures_are_what_was_published, an_outbox_grows_and_ages, promtool_and_the_page_agree,
         there_is_no_series_for_a_device, ready_while_readings_are_taken]


def main():
    skip_without("mosquitto", "mosquitto_pub", "promtool")
    return run_cases(CASES)


sys.exit(main())
