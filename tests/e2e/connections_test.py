#!/usr/bin/env python3
"""Goal: connections are held, plain and over TLS, each served, and what one costs is told; more than the file limit allows are
refused at the start. Method: tests/bench/connections_bench.py, which holds many by `make connections`, with a few hundred; and
the gateway with a limit of files below its connections."""
# Alone: it measures.
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, free_port, run_cases, skip_without  # noqa: E402

BENCH = os.path.join(ROOT, "tests", "bench", "connections_bench.py")


def run(*arguments):
    done = subprocess.run([sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=300)
    print(done.stdout, end="", flush=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain_ones_are_held(_):
    said = run("plain", "400")
    assert "  400 plain connections" in said and "each published one message" in said, said


def tls_ones_are_held(_):
    said = run("tls", "60")
    assert "  60 TLS connections" in said and "each published one message" in said, said


def more_than_files(place):
    place.write_config(f"""sources:
  - name: devices
    listen: mqtt://127.0.0.1:{free_port()}
    anonymous: true
    connections: 5000
    topics: ["t/{{device}}/{{metric}}"]
""")

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    process = place.start_gateway(wait=False, preexec_fn=few_files)
    assert process.wait(20) == 78
    said = place.log("gateway")
    assert "more connections than files may be open" in said and "1024" in said and "LimitNOFILE" in said, said
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = subprocess.run([sys.executable, BENCH, "plain", str(limit)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 77 and done.stdout.startswith("skipped") and str(limit) in done.stdout, done.stdout


CASES = [plain_ones_are_held, tls_ones_are_held, more_than_files]

if __name__ == "__main__":
    skip_without("openssl")
    sys.exit(run_cases(CASES))
