#!/usr/bin/env python3
"""Run every test and count. `tests/run.py [--runner=COMMAND] PATH...`

A test is a program: a cmocka binary, or a script in tests/e2e. It exits 0 (passed), 77 (skipped; its last line says
why) or otherwise (failed). Binaries are counted by their own [       OK ] and [  FAILED  ] lines, so a program with
twelve cases counts twelve. As many run at once as there are processors; a script with a line `# Alone: why` (it measures, or builds) waits until
all others are through, and then has the machine to itself. Ends with `N passed, N failed, N skipped`, and exits 1 if anything failed. COMMAND stands before each binary: an
emulator, for those of another processor.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

CASE_OK = re.compile(r"^\[       OK \] ", re.M)
CASE_BAD = re.compile(r"^\[  FAILED  \] [A-Za-z_]", re.M)
CASE_SKIP = re.compile(r"^\[  SKIPPED \] [A-Za-z_]", re.M)
TIMEOUT_S = int(os.environ.get("TEST_TIMEOUT_S", "900"))


def run_one(path, runner):
    start = time.monotonic()
    try:
        script = path.endswith((".py", ".sh"))
        done = subprocess.run([path] if script else [*runner, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL)
        code, text = done.returncode, done.stdout.decode("utf-8", "replace")
    except OSError as wrong:
        code, text = 126, f"{wrong}\n"
    except subprocess.TimeoutExpired as late:
        code, text = 124, (late.stdout or b"").decode("utf-8", "replace") + "\ntimed out\n"
    seconds = time.monotonic() - start
    ok, skipped = len(CASE_OK.findall(text)), len(set(CASE_SKIP.findall(text)))
    bad = len(CASE_BAD.findall(text)) // 2 or len(CASE_BAD.findall(text))
    if ok + bad == 0:
        ok, bad, skipped = int(code == 0), int(code not in (0, 77)), int(code == 77)
    elif code not in (0, 77) and bad == 0:
        bad = 1
    return ok, bad, skipped, seconds, text


def wants_to_be_alone(path):
    if not path.endswith((".py", ".sh")) or not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as script:
        return any(line.startswith("# Alone: ") for line in script)


def run_all(paths, runner):
    """Yields (path, outcome) as they end."""
    def run(path):
        return path, run_one(os.path.join(".", path), runner)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        together = [pool.submit(run, path) for path in paths if not wants_to_be_alone(path)]
        yield from (one.result() for one in concurrent.futures.as_completed(together))
    yield from (run(path) for path in paths if wants_to_be_alone(path))


def main():
    paths = [a for a in sys.argv[1:] if not a.startswith("--")]
    runner = next((a.removeprefix("--runner=").split() for a in sys.argv[1:] if a.startswith("--runner=")), [])
    os.environ.pop("MAKEFLAGS", None)  # a test's own make is nobody's child
    total_ok = total_bad = total_skipped = 0
    for path, (ok, bad, skipped, seconds, text) in run_all(paths, runner):
        total_ok, total_bad, total_skipped = total_ok + ok, total_bad + bad, total_skipped + skipped
        word = "FAILED" if bad else "skipped" if skipped and not ok else "ok"
        why = text.strip().splitlines()[-1] if word == "skipped" and text.strip() else ""
        print(f"{word:8} {seconds:7.1f} s  {path}  {why}", flush=True)
        if bad:
            print("\n".join("    " + line for line in text.splitlines()[-60:]), flush=True)
    print(f"{total_ok} passed, {total_bad} failed" + (f", {total_skipped} skipped" if total_skipped else ""))
    return 1 if total_bad or total_ok == 0 else 0


sys.exit(main())
