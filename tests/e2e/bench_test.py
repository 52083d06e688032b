#!/usr/bin/env python3
"""Goal: `make bench` measures what it says: every case runs against the real thing and gives its figures, and what is
built to be faster is. Method: bench.py --quick; no figure of a machine is judged, only ratios from this one run."""
# Alone: it measures.
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/bench"))
import listener_bench  # noqa: E402

FLOORS = {f"{name}_qos_{qos}" for name in ("floor_e2e", "mosquitto_sub") for qos in (0, 1)}
CASES = {
    "pipeline": {"scan", "check_and_cjson", "decode", "admit_and_apply", "decode_to_detectors",
                 "decode_to_detectors_6_rules", "decode_to_journal_block"},
    "checkpoint": {"1000_devices"},
    "tap": {"qos_1", "qos_0", "backlog_qos_1"},
    "memory": {"a_device_with_one_metric", "daemon_50_devices"},
    "disk": {"50_readings_a_second", "500_readings_a_second", "all_of_them_and_the_wal_moved"},
    "commit": {"latency"},
    "listener": set(listener_bench.ROWS) | FLOORS if listener_bench.tool("mqttload") else {"skipped"},
}


def main():
    for program in ("mosquitto", "mosquitto_sub", "openssl"):
        if not shutil.which(program):
            print(f"{program} is not installed")
            return 77
    done = subprocess.run([os.path.join(ROOT, "tests/bench/bench.py"), "--quick"], capture_output=True, text=True,
                          timeout=300)
    print(done.stdout[-6000:], done.stderr[-3000:])
    assert done.returncode == 0, done.returncode
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    of = {(r["bench"], r["case"]): r for r in results}
    for bench, cases in CASES.items():
        missing = cases - {case for name, case in of if name == bench}
        assert not missing, f"{bench}: no {missing}"
    pipeline = {case: r["ns_median"] for (bench, case), r in of.items() if bench == "pipeline"}
    assert 2 * pipeline["scan"] < pipeline["check_and_cjson"], "the scanner is no faster than what it saves"
    assert pipeline["decode"] < pipeline["decode_to_detectors"]
    for case in CASES["tap"]:
        tap = of["tap", case]
        assert tap["readings"] > 0 and tap["mosquitto_sub_readings"] > 0 and tap["times_the_floor"] > 0, tap
    assert of["memory", "daemon_50_devices"]["rss_anon_kib"] > of["memory", "daemon_50_devices"]["idle_rss_anon_kib"]
    for case in CASES["listener"] & set(listener_bench.ROWS):
        row = of["listener", case]
        assert row["in_the_journal"] == row["sent"] > 0 and row["shed"] == 0 and row["cpu_s_a_million"] > 0, row
        assert ("ack_us_p99" in row) == (row["qos"] == 1), row
    with open(os.path.join(listener_bench.BUILD, "bench/results.json")) as f:
        assert json.load(f) == results, "the file says what was printed"
    written = [of["disk", case]["written_bytes_a_reading"] for case in CASES["disk"]]
    assert min(written) > 0 or max(written) == 0, f"{written}; all 0 only where the directory for files is no disk"
    return 0


sys.exit(main())
