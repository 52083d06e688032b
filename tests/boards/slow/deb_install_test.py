#!/usr/bin/env python3
"""Goal: the package is installed, runs as its own user with the configuration that came with it, takes a reading from a stock
client, leaves data and configuration when it is removed, and nothing when it is purged.
Method: the base system that images are made of, unpacked, with a network of its own; the client is this machine's."""
import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import debian  # noqa: E402

PORT = 18830  # boards/build/deb/weir.yaml


class Chroot:
    def __init__(self, tree):
        self.tree = tree

    def run(self, *command, check=True, **more):
        done = subprocess.run(["chroot", self.tree, *command], capture_output=True, text=True, timeout=120, **more)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def has(self, path):
        return os.path.lexists(self.tree + path)


def install(chroot, package):
    subprocess.run(["cp", package, f"{chroot.tree}/weir.deb"], check=True)
    chroot.run("dpkg", "-i", "/weir.deb")
    assert chroot.run("id", "-gn", "weir").strip() == "weir"
    owner = chroot.run("stat", "-c", "%U:%G %a", "/etc/weir/weir.yaml").strip()
    assert owner == "root:weir 640", owner
    assert chroot.has("/etc/systemd/system/multi-user.target.wants/weir.service")


def it_takes_a_reading(chroot):
    for folder in ("/var/lib/weir", "/run/weir"):  # systemd would make them
        chroot.run("install", "-d", "-m", "0750", "-o", "weir", "-g", "weir", folder)
    daemon = subprocess.Popen(["chroot", chroot.tree, "setpriv", "--reuid", "weir", "--regid", "weir", "--init-groups", "weir", "run",
                               "-c", "/etc/weir/weir.yaml"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        publish = ["mosquitto_pub", "-p", str(PORT), "-q", "1", "-t", "telemetry/pump-1/temperature", "-m", '{"value": 21.5}']
        while subprocess.run(publish, stderr=subprocess.DEVNULL, timeout=20, check=False).returncode != 0:
            assert time.monotonic() < until and daemon.poll() is None, "it takes no reading"
            time.sleep(0.2)
        status = json.loads(chroot.run("weir", "status", "--json", check=False))
        assert status["ledger"]["received"] == 1, status["ledger"]
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    print("  a reading is acknowledged")


def remove(chroot):
    chroot.run("dpkg", "-r", "weir")
    assert not chroot.has("/usr/bin/weir") and not chroot.has("/etc/systemd/system/multi-user.target.wants/weir.service")
    assert chroot.has("/var/lib/weir/weir.db") and chroot.has("/etc/weir/weir.yaml")
    chroot.run("dpkg", "-P", "weir")
    assert not chroot.has("/var/lib/weir") and not chroot.has("/etc/weir")
    assert "weir" not in chroot.run("cut", "-d:", "-f1", "/etc/passwd").split()
    print("  removed, data stays; purged, it goes")


def main():
    if os.geteuid() != 0:
        print("only root can make the place")
        return 77
    if "--inside" not in sys.argv:
        base = debian.base("amd64")
        subprocess.run(["make", "-s", "deb"], cwd=ROOT, check=True, env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})
        with tempfile.TemporaryDirectory() as tree:
            subprocess.run(["tar", "-xf", base, "-C", tree, "--exclude=./dev/*"], check=True)
            return subprocess.run(["unshare", "--mount", "--net", sys.executable, __file__, "--inside", tree], check=False).returncode
    chroot = Chroot(sys.argv[2])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", f"{chroot.tree}/proc"], check=True)
    subprocess.run(["mount", "--bind", "/dev", f"{chroot.tree}/dev"], check=True)
    version = subprocess.run(["make", "-s", "--no-print-directory", "version"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    install(chroot, os.path.join(ROOT, "build", f"weir_{version}_amd64.deb"))
    it_takes_a_reading(chroot)
    remove(chroot)
    print("ok installed, run, removed, purged")
    return 0


sys.exit(main())
