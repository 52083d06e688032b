#!/usr/bin/env python3
"""Goal: the example alerts and the dashboard of docs/prometheus work with what Weir shows.
Method: `promtool` checks rules and configuration and runs the rules' own test, which must raise each of them; each
expression of rules and dashboard is PromQL, and names only metrics that docs/metrics.md has, by labels that the running
gateway gives them."""
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, free_port, run_cases, skip_without, wait_until  # noqa: E402

FOLDER = os.path.join(ROOT, "docs/prometheus")
OTHERS = {"up", "ALERTS"}  # Prometheus' own
TARGET = {"instance", "job"}  # labels that a scrape adds


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def promtool(*words, folder=FOLDER):
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, cwd=folder, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules():
    """Name and expression of each alert."""
    text = read("docs/prometheus/weir-alerts.yml")
    found = re.findall(r"- alert: (\w+)\n +expr: (>\n(?: {10,}.*\n)+|.*\n)", text)
    assert len(found) == text.count("- alert:") > 20
    return {name: " ".join(expression.lstrip(">").split()) for name, expression in found}


def panels():
    """Title and expressions of each panel."""
    for panel in json.loads(read("docs/prometheus/weir-dashboard.json"))["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def expressions():
    yield from rules().items()
    for title, expression in panels():
        yield title, expression.replace("[$__rate_interval]", "[5m]").replace("$instance", ".*")


def names(expression):
    """The metrics that it names, each with the labels by which it chooses."""
    for name, _, labels in re.findall(r"\b((?:weir|process|up)(?:_\w+)?)(\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", labels))


def rules_are_good_and_each_is_raised(_place):
    told = promtool("check", "rules", "weir-alerts.yml")
    assert f"{len(rules())} rules found" in told, told
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    promtool("test", "rules", "weir-alerts-test.yml")
    tested = set(re.findall(r'alertname="(\w+)"', read("docs/prometheus/weir-alerts-test.yml")))
    assert tested == set(rules()), f"not raised in the rules' test: {set(rules()) - tested}"


def expressions_are_promql(place):
    lines = "".join(f"      - record: r{i}\n        expr: {json.dumps(expression)}\n"
                    for i, (_, expression) in enumerate(expressions()))
    with open(place.path("rules.yml"), "w") as f:
        f.write("groups:\n  - name: all\n    rules:\n" + lines)
    promtool("check", "rules", "rules.yml", folder=place.dir)
    print(f"  {len(lines.splitlines()) // 2} expressions")


def expressions_name_what_there_is(place):
    documented = set(re.findall(r"^\| `([a-z_]+)`", read("docs/metrics.md"), re.M))
    cloud = place.start_broker("cloud")
    place.write_config(f"""  board: {ROOT}/boards/pc/hal.conf
clock: {{trust: system}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{free_port()}", anonymous: true, topics: ["t/{{device}}/{{metric}}"]}}
uplink: {{url: "mqtt://localhost:{cloud}"}}
""")
    place.start_gateway()
    wait_until("progress", lambda: "weir_progress_age_seconds " in place.get("/metrics")[1])
    given = {}
    for name, labels in re.findall(r"^(\w+)(\{.*\})? ", place.get("/metrics")[1], re.M):
        given.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    given["weir_health_reason"] = {"reason"}  # there is none now
    count = 0
    for where, expression in expressions():
        found = list(names(expression))
        assert found, f"{where}: {expression}"
        for name, labels in found:
            count += 1
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in documented | OTHERS or base in documented, f"{where}: there is no {name}"
            unknown = labels - TARGET - given.get(name, set())
            assert not unknown, f"{where}: {name} has no label {sorted(unknown)}"
    print(f"  {count} names")


def the_page_names_the_files(_place):
    page = read("docs/metrics.md")
    for path in glob.glob(os.path.join(FOLDER, "*")):
        assert f"prometheus/{os.path.basename(path)}" in page, path


CASES = [rules_are_good_and_each_is_raised, expressions_are_promql, expressions_name_what_there_is,
         the_page_names_the_files]


def main():
    skip_without("promtool", "mosquitto")
    return run_cases(CASES)


sys.exit(main())
