#!/usr/bin/env python3
"""Goal: `make run`'s program shows alerts arriving in the cloud, and leaves nothing behind on Ctrl-C. Method: run it,
wait for the first alert, interrupt it; no process and no directory of it may be left."""
# Alone: it looks at what is left of its processes.
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def processes_of(dir):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line, open(f"/proc/{pid}/environ", "rb") as environment:
                if dir.encode() in line.read() + environment.read():
                    found.append(pid)
        except OSError:
            pass  # it ended meanwhile
    return found


def main():
    if not shutil.which("mosquitto"):
        print("mosquitto is not installed")
        return 77
    run = subprocess.Popen([os.path.join(ROOT, "simulator", "run.py")], stdout=subprocess.PIPE, text=True)
    dir, alert, until = None, None, time.monotonic() + 100
    try:
        for line in run.stdout:
            print(line, end="", flush=True)
            found = re.search(r"socket, data, logs +(\S+)", line)
            dir = found.group(1) if found else dir
            if re.search(r"raised .* after [0-9.]+ s$", line.rstrip()):
                alert = line
            if alert or time.monotonic() > until:
                break
        assert dir and alert, "no alert arrived"
        assert len(processes_of(dir)) >= 4  # gateway (told by its environment), fleet, cloud and its broker
    finally:
        run.send_signal(signal.SIGINT)
        rest, _ = run.communicate(timeout=60)
    print(rest)
    assert run.returncode == 0, f"exit {run.returncode}"
    assert not processes_of(dir), "processes are left"
    assert not os.path.exists(dir), f"{dir} is left"
    return 0


sys.exit(main())
