#!/usr/bin/env python3
"""Goal: the property test of streams can see: each bug of tests/unit/planted is found by it, at window bounds and where
sessions meet, and without one it finds nothing.
Method: the sources that the test links are copied, the patch applied, and the test built anew and run over STREAMS (400)
random streams. Not part of `make test`: `make planted-streams`."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST = "tests/unit/streams_test.c"
FLAGS = "-std=c11 -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64 -fsigned-char -ffp-contract=off -O1 -I.".split()
FOUND = re.compile(r"^\[  FAILED  \] random_streams_are_as_the_oracle_says", re.M)


def sources():
    with open(os.path.join(ROOT, TEST)) as f:
        links = re.search(r"Links: ([^*]*)", f.read()).group(1).split()
    return [path for link in links for path in sorted(glob.glob(link.replace("%", "*"), root_dir=ROOT))]


def run(patch):
    """What the test said, of a copy with this patch in it (None: as it is)."""
    with tempfile.TemporaryDirectory(prefix="weir-planted-") as place:
        for part in ("pipeline", "tests/lib", "tests/unit/streams_test.c"):
            to = os.path.join(place, part)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            copy = shutil.copytree if os.path.isdir(os.path.join(ROOT, part)) else shutil.copy2
            copy(os.path.join(ROOT, part), to)
        if patch:
            with open(patch) as f:
                subprocess.run(["patch", "-p1", "-s", "-F0", "--no-backup-if-mismatch"], cwd=place, stdin=f, check=True)
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "-o", "test", TEST, *sources(), "-lcmocka", "-lm"],
                       cwd=place, check=True)
        done = subprocess.run(["./test"], cwd=place, capture_output=True, text=True, timeout=900,
                              env={**os.environ, "STREAMS": os.environ.get("STREAMS", "400")})
        return done.stdout + done.stderr


def main():
    missed = []
    if FOUND.search(run(None)):
        print("without any bug the test fails")
        return 1
    patches = sorted(glob.glob(os.path.join(ROOT, "tests/unit/planted/*.patch")))
    for patch in patches:
        name = os.path.basename(patch)[:-len(".patch")]
        found = bool(FOUND.search(run(patch)))
        print(f"{'found ' if found else 'MISSED'} {name}", flush=True)
        missed += [] if found else [name]
    print(f"{len(patches) - len(missed)} of {len(patches)} found")
    return 1 if missed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
