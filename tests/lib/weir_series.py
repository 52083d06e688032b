"""The labelled series that stand beside the repository, the scorer and the prototype there, and `weir detect` over
them; used where they are."""
import csv
import glob
import json
import os
import shutil
import subprocess
import sys

from weir_e2e import ROOT, WEIR

SHARED = os.environ.get("WEIR_SHARED", os.path.join(ROOT, "..", "shared"))
DATA = os.path.join(SHARED, "data")
SCORER = os.path.join(SHARED, "tools", "nabscore.py")
PROTOTYPE = os.path.join(SHARED, "reference", "detector-prototype%s.c")
SETS = ("nab", "asd", "gecco", "skab", "smap")


def here():
    return os.path.isfile(SCORER) and all(os.path.isdir(os.path.join(DATA, name)) for name in SETS)


def series(name):
    """Each file of a set: its path below the set's data, and whole."""
    top = os.path.join(DATA, name, "data")
    for path in sorted(glob.glob(os.path.join(top, "**", "*.csv"), recursive=True)):
        yield os.path.relpath(path, top), path


def labels(name):
    with open(os.path.join(DATA, name, "labels.json")) as f:
        return json.load(f)


def compile_prototype(folder, as_library=False):
    """Its path, or None where there is none or no compiler. A program judges a file, a library an array."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source = PROTOTYPE % ("" if as_library else "-run")
    if not compiler or not os.path.isfile(source):
        return None
    to = os.path.join(folder, "prototype" + (".so" if as_library else ""))
    subprocess.run([compiler, "-O2", "-ffp-contract=off", "-w", *(["-shared", "-fPIC"] if as_library else []), "-o", to, source, "-lm"],
                   check=True)
    return to


def detect(path, scores, *options):
    return subprocess.run([WEIR, "detect", path, "--out", scores, "--json", *options], check=True,
                          capture_output=True, text=True).stdout


def results(name, folder, program=None, *options):
    """Score every file of a set into the folder, with the prototype or with weir."""
    for short, path in series(name):
        scores = os.path.join(folder, name, short)
        os.makedirs(os.path.dirname(scores), exist_ok=True)
        if program:
            subprocess.run([program, path, scores], check=True)
        else:
            detect(path, scores, *options)
    return os.path.join(folder, name)


def rows(scores):
    with open(scores, newline="") as f:
        return list(csv.DictReader(f))


def alarms(scores):
    """The rows, from 0, at which an alarm is raised."""
    return [i for i, row in enumerate(rows(scores)) if float(row["anomaly_score"]) >= 0.5]


def nab_score(name, folder):
    done = subprocess.run([sys.executable, SCORER, "--results", folder, "--labels", os.path.join(DATA, name, "labels.json"),
                           "--threshold", "0.5", "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["profiles"]
