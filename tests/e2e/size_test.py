#!/usr/bin/env python3
"""Goal: a board is measured in seconds, what was found is used by weir size and by the gateway, and nothing else is left
behind; what weir size prints is what it says in JSON. Method: weir bench --calibrate on a directory of the test's own;
weir size over it, over a file with round figures, and without one; a gateway whose board can take next to nothing."""
# Alone: it measures.
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, Place, free_port, run_cases, wait_until  # noqa: E402

ROUND = """origin = round figures
decode_ns = 300
decode_byte_ns = 2
pipeline_ns = 500
commit_us = 5000
commit_cpu_us = 0
commit_bytes = 20000
reading_bytes = 20
"""


def weir(*words, code=0):
    done = subprocess.run([WEIR, *words], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def a_board_is_measured(place):
    data = place.path("board")
    os.mkdir(data)
    began = time.monotonic()
    found = json.loads(weir("bench", "--calibrate", "--data-dir", data, "--json"))
    took_s = time.monotonic() - began
    print(f"  {took_s:.1f} s: {found}")
    assert took_s < 30 and os.listdir(data) == ["calibration.conf"], os.listdir(data)
    assert 10 < found["decode_ns"] + 80 * found["decode_byte_ns"] < 1e5 and 10 < found["pipeline_ns"] < 1e6, found
    assert found["commit_us"] > found["commit_cpu_us"] > 1 and found["commit_bytes"] > 0 and found["reading_bytes"] > 0
    size = json.loads(weir("size", "--devices", "1000", "--rate", "1", "--payload", "80", "--data-dir", data, "--json"))
    assert abs(size["capacity"] / found["readings_per_second"] - 1) < 0.01, (size, found)
    assert size["calibration"].startswith("measured here")
    assert "--calibrate" in weir("bench", code=2)
    assert "No such file" in weir("bench", "--calibrate", "--data-dir", place.path("nowhere"), code=1)


def sizes_show_how_they_come_about(place):
    data = place.path("round")
    os.mkdir(data)
    with open(os.path.join(data, "calibration.conf"), "w") as f:
        f.write(ROUND)
    board = place.path("hal.conf")
    with open(board, "w") as f:
        f.write("name = small\nmemory_bytes_max = 268435456\nstorage_endurance_bytes = 3000000000000\n")
    load = ["--devices", "20000", "--rate", "50", "--payload", "100", "--data-dir", data, "--board", board]
    size = json.loads(weir("size", *load, "--json"))
    assert size["readings_per_second"] == 1e6 and size["capacity"] == 1e6 and size["usable"] == 7e5
    assert size["gateways"] == size["partitions"] == 2
    each = size["each"]
    assert each["cores"] == 0.5 and abs(each["flash_years"] - 3e12 / each["flash_bytes_per_day"] / 365.25) < 0.01
    text = weir("size", *load)
    for said in ("2, and as many partitions", "1000000 / 700000 readings/s", "50.00 % of a core", "500000 readings/s x 1.00 us",
                 "round figures"):
        assert said in text, (said, text)
    assert json.loads(weir("size", *load, "--headroom", "0", "--json"))["gateways"] == 1
    assert json.loads(weir("size", *load[:-2], "--board", "rpi", "--json"))["gateways"] == 2  # by name
    assert "no board" in weir("size", *load[:-2], "--board", "toaster", code=1)
    assert "built in" in weir("size", "--devices", "1", "--rate", "0.1", "--payload", "80")
    assert "not there" in weir("size", *load[:6], "--data-dir", place.path("nowhere"), code=1)


def partitions_alone(_place):
    text = weir("size", "--peak-eps", "100000", "--per-consumer-eps", "12000", "--headroom", "30")
    assert re.search(r"8400 a second.*12 = 100000 / 8400", text, re.S), text
    found = json.loads(weir("size", "--peak-eps", "100000", "--per-consumer-eps", "12000", "--json"))
    assert found["partitions"] == found["parallelism"] == 12
    for words in (["--peak-eps", "10"], ["--devices", "10"], ["--peak-eps", "x", "--per-consumer-eps", "1"],
                  ["--devices", "1", "--rate", "0", "--payload", "1"], ["--headroom", "100"],
                  ["--devices", "1", "--rate", "1", "--payload", "1", "--peak-eps", "5"]):
        weir("size", *words, code=2)


def a_gateway_counts_what_its_load_wants(place):
    """A reading a second is all that this board takes."""
    port = free_port()
    os.makedirs(place.path("data"))
    with open(place.path("data", "calibration.conf"), "w") as f:
        f.write(ROUND.replace("pipeline_ns = 500", "pipeline_ns = 999999540").replace("= 300", "= 0").replace("= 2\n", "= 5.75\n"))
    place.write_config(f"""clock: {{trust: system}}
sources:
  - {{name: d, listen: "mqtt://127.0.0.1:{port}", anonymous: true, topics: ["t/{{device}}/{{metric}}"]}}
scale: {{headroom: 50, up_for: 1s}}
""")
    place.start_gateway()
    assert 'calibration readings_per_second=1 origin="round figures"' in place.log("gateway")
    load = place.status()["load"]
    assert load["gateways_wanted"] == 1 and load["capacity_per_second"] in (0, 1), load
    lines = "".join('{"value":1}\n' for _ in range(600))
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "0", "-t", "t/a/b", "-l"], input=lines, text=True, check=True)
    found = place.wait_status("more are wanted", lambda s: s["load"]["gateways_wanted"] > 1)["load"]
    wait_until("it is told", lambda: "gateways_wanted the load wants" in place.log("gateway"))
    print(f"  {found}")
    place.stop("gateway")
    with open(place.path("data", "calibration.conf"), "w") as f:
        f.write("pipeline_ns = soon\n")
    place.start_gateway()
    assert "calibration_refused" in place.log("gateway") and "built in" in place.log("gateway")


CASES = [a_board_is_measured, sizes_show_how_they_come_about, partitions_alone, a_gateway_counts_what_its_load_wants]


sys.exit(run_cases(CASES))
