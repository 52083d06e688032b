#!/usr/bin/env python3
"""Goal: the worlds can see. Each bug in tests/world/planted/ is found, and the list of them in tests/world/README.md is
true. A world that never met some fault must fail too; one of the patches sees to that.
Method: a patch is applied to a copy of the sources under build/planted, with the objects beside them, so that only
what it touches is compiled; then weir-sim lives through worlds until one breaks. `planted_test.py` starts each bug at
the seed that showed it (README.md) and allows WORLDS_MORE more, since any change of the world moves its seeds.
`planted_test.py --search` starts at seed 1, allows 1,000 and prints the table; --write puts it into README.md.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
README = os.path.join(HERE, "README.md")
PLANTED = os.path.join(HERE, "planted")
BUILD = os.path.join(ROOT, "build", "planted")
COPIED = ("pipeline", "storage", "hal", "firmware", "simulator", "boards", ".ci", "build/obj")
WORLDS_MORE, WORLDS_MAX, COVERAGE_WORLDS, TIMEOUT_S = 600, 1000, 200, 800
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.*?) \| ([A-Za-z0-9 ]+) \| ([0-9]+) \|$", re.M)
BROKEN = re.compile(r"^world (\d+): (?:([AE]\d+)\S*:|aborted)", re.M)
NEVER = re.compile(r"^never occurred: \S+", re.M)


def listed():
    with open(README) as f:
        return {name: (invariant, int(seed)) for name, _, invariant, seed in ROW.findall(f.read())}


def build(name):
    """The path of a weir-sim with the bug in it, or raises with what went wrong."""
    place = os.path.join(BUILD, name)
    shutil.rmtree(place, ignore_errors=True)
    for part in COPIED:
        shutil.copytree(os.path.join(ROOT, part), os.path.join(place, part))
    for part in ("Makefile", "CHANGELOG.md"):
        shutil.copy2(os.path.join(ROOT, part), place)
    with open(os.path.join(PLANTED, name + ".patch")) as patch:
        done = subprocess.run(["patch", "-p1", "-s", "-F0", "--no-backup-if-mismatch"], cwd=place, stdin=patch,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError("the patch does not apply: " + done.stdout.strip().replace("\n", "; "))
    made = subprocess.run(["make", "-s", "-o", "packages", "OPTIMISE=-O1 -fPIE", "build/weir-sim"], cwd=place,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        raise RuntimeError("it does not compile:\n" + made.stdout)
    return os.path.join(place, "build", "weir-sim")


def live(weir_sim, first, count):
    """What broke and in which world: (invariant, seed), or None when nothing did."""
    done = subprocess.run([weir_sim, "world", "--count", str(count), "--from", str(first)], timeout=TIMEOUT_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = BROKEN.search(done.stdout)
    if found:
        return found.group(2) or "assert", int(found.group(1))
    if done.returncode != 0 and NEVER.search(done.stdout):
        return "coverage", first
    return None


def try_one(name, row, search):
    """(name, found, complaint)"""
    try:
        weir_sim = build(name)
        invariant, seed = row or ("", 1)
        if invariant == "coverage":
            found = live(weir_sim, 1, COVERAGE_WORLDS)
        else:
            found = live(weir_sim, 1, WORLDS_MAX) if search else live(weir_sim, seed, WORLDS_MORE)
        shutil.rmtree(os.path.join(BUILD, name))
        return name, found, None if found else "not found"
    except (RuntimeError, subprocess.TimeoutExpired) as problem:
        return name, None, str(problem)


def report(name, row, found, search):
    invariant, seed = found
    worlds = COVERAGE_WORLDS if invariant == "coverage" else seed if search else seed - row[1] + 1
    stale = "" if not row or row == found else f"   (README.md: {row[0]}, seed {row[1]})"
    print(f"{name:40} {invariant:9} seed {seed:5} {worlds:5} worlds{stale}", flush=True)


def write(results):
    with open(README) as f:
        text = f.read()

    def fresh(match):
        found = results.get(match.group(1))
        return f"| `{match.group(1)}` | {match.group(2)} | {found[0]} | {found[1]} |" if found else match.group(0)
    with open(README, "w") as f:
        f.write(ROW.sub(fresh, text))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--search", action="store_true", help="from seed 1, at most 1,000 worlds")
    parser.add_argument("--write", action="store_true", help="put what was found into README.md")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    rows = listed()
    patches = sorted(p[:-len(".patch")] for p in os.listdir(PLANTED) if p.endswith(".patch"))
    complaints = [f"{name}: in README.md or in planted/, not in both" for name in sorted(set(rows) ^ set(patches))]
    names = options.names or patches
    search = options.search or options.write
    results = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, found, complaint in pool.map(lambda n: try_one(n, rows.get(n), search), names):
            if complaint:
                complaints.append(f"{name}: {complaint}")
            else:
                results[name] = found
                report(name, rows.get(name), found, search)
    if options.write:
        write(results)
    for complaint in complaints:
        print(complaint)
    print(f"{len(results)} of {len(names)} planted bugs found")
    return 1 if complaints else 0


sys.exit(main())
