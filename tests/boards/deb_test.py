#!/usr/bin/env python3
"""Goal: the Debian package for this machine is whole, the same bytes each time, and what is in it runs; its unit is closed as
far as promised. Method: `make deb` twice; the package is unpacked, its configuration checked by its own program."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXPOSURE_MAX = 20  # of 100, as systemd-analyze counts it


def make_deb():
    done = subprocess.run(["make", "-s", "deb"], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})
    assert done.returncode == 0, done.stdout + done.stderr
    path = os.path.join(ROOT, done.stdout.splitlines()[-1].split(":")[0])
    with open(path, "rb") as f:
        return path, f.read()


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


def it_says_what_it_is(package):
    assert field(package, "Package") == "weir" and field(package, "Architecture") == "amd64"
    needs = field(package, "Depends")
    assert "libsqlite3-0" in needs and "libc6" in needs and "mosquitto (" not in needs, needs
    assert not [part for part in needs.split(", ") if part.split()[0] in ("mosquitto", "mosquitto-clients")], needs


def it_runs(tree):
    done = subprocess.run([f"{tree}/usr/bin/weir", "check", "--no-environment", "-c", f"{tree}/etc/weir/weir.yaml"], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 0 and "good" in done.stdout, done.stdout + done.stderr
    done = subprocess.run([f"{tree}/usr/bin/weir", "update", "status"], capture_output=True, text=True, timeout=30,
                          env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
    assert done.returncode == 1 and "no updater" in done.stderr, done.stderr
    mode = stat.S_IMODE(os.stat(f"{tree}/etc/weir/weir.yaml").st_mode)
    assert mode == 0o640, f"{mode:o}"


def its_unit_is_closed(tree):
    if not shutil.which("systemd-analyze"):
        print("  systemd-analyze is not installed: the unit is not looked at")
        return
    unit = f"{tree}/usr/lib/systemd/system/weir.service"
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]
    print("  " + done.stdout.strip().splitlines()[-1].lstrip("→ "))


def main():
    if subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip() != "amd64":
        print("this machine is not an amd64")
        return 77
    package, first = make_deb()
    os.remove(package)
    _, second = make_deb()
    assert first == second, "two builds differ"
    it_says_what_it_is(package)
    with tempfile.TemporaryDirectory() as tree:
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
        it_runs(tree)
        its_unit_is_closed(tree)
    print(f"ok package of {len(first) / 1024:.0f} KiB, twice the same")
    return 0


sys.exit(main())
