#!/usr/bin/env python3
"""Goal: the daemon tells the service manager that it lives only while its store answers, it says what the machine is and
what it lacks, and after the disk came back all goes on by itself.
Method: the real gateway in silence on an ext4 of the test's own, whose writes the kernel holds back (fsfreeze), as a dying
card does; the manager is a datagram socket of the test's; the board is the one of a PC, the machine is this one. (That the
hardware watchdog is fed by the same rule is shown with hal/sim in tests/unit/board_test.c: here is none.)"""
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, Place, skip_without, wait_until  # noqa: E402

LIMIT_S = 8
TOLD_EVERY_S = 5  # firmware/daemon.c
CONFIG = """  board: {root}/boards/pc/hal.conf
sources:
  - {{name: plant, url: "mqtt://localhost:{port}", topics: ["telemetry/{{device}}/{{metric}}"], backoff_max: 1s}}
clock: {{trust: system}}
commit: {{max_age: 200ms, retry_for: 4s}}
watchdog: {{timeout: {limit}s}}
"""


class Manager:
    """What systemd would hear, with the time when it came."""

    def __init__(self, place):
        self.path, self.heard = place.path("notify"), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def count(self, word):
        try:
            while True:
                self.heard.append((time.monotonic(), self.socket.recv(256).decode()))
        except BlockingIOError:
            return sum(1 for _, said in self.heard if said == word)


class Disk:
    """An ext4 where the gateway keeps its data; it can be made to stand still."""

    def __init__(self, place):
        self.path, image = place.path("data"), place.path("disk.img")
        os.mkdir(self.path)
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.path], check=True)
        self.frozen = False

    def freeze(self, frozen):
        subprocess.run(["fsfreeze", "-f" if frozen else "-u", self.path], check=True)
        self.frozen = frozen

    def close(self):
        if self.frozen:
            self.freeze(False)
        subprocess.run(["umount", "-l", self.path], check=True)


def machine_is_told(place, status):
    machine, memory = status["machine"], status["memory"]
    assert machine["board"] == "pc", machine
    known = {"watchdog", "led", "relay", "button", "supply", "temperature", "memory", "storage", "unique_id", "reset_reason"}
    assert set(machine["missing"]) <= known and {"led", "relay"} <= set(machine["missing"]), machine
    assert "memory" not in machine["missing"], machine
    assert memory["machine_bytes"] > memory["machine_available_bytes"] > 1 << 20, memory
    assert 1 << 20 < memory["rss_bytes"] <= memory["peak_bytes"] < memory["machine_bytes"], memory
    assert place.log("gateway").count("hardware part=") == 10, "each part is told once"
    text = place.weir("status")
    assert "board                pc" in text and "free" in text, text
    print(f"  machine: {json.dumps(machine)}")


def silence(place, manager):
    """Commits of the self-test go through, and the manager is told."""
    began, told = time.monotonic(), manager.count("WATCHDOG=1")
    commits = place.status()["store"]["commits"]
    wait_until("told again, twice", lambda: manager.count("WATCHDOG=1") >= told + 2, 3 * TOLD_EVERY_S)
    after = place.status()
    spent = time.monotonic() - began
    assert after["ledger"]["received"] == 0 and after["store"]["commits"] - commits >= int(spent / (LIMIT_S / 4 + 2))
    assert after["health"] == "good" and after["machine"]["led"] == "good", after
    print(f"  silence: {after['store']['commits'] - commits} commits and 2 signs of life in {spent:.1f} s")


def disk_stands_still(place, manager, disk):
    disk.freeze(True)
    frozen = time.monotonic()
    place.wait_status("no progress is seen", lambda s: "no_progress" in s["reasons"], LIMIT_S + 4)
    noticed = time.monotonic() - frozen
    status = place.status()  # the loop turns all the while
    assert status["health"] == "failed" and status["machine"]["led"] == "failed", status
    assert place.get("/healthz") == (503, "no_progress\n")
    time.sleep(max(0.0, frozen + LIMIT_S + 1 - time.monotonic()))
    told = manager.count("WATCHDOG=1")
    time.sleep(2 * TOLD_EVERY_S + 1)
    assert manager.count("WATCHDOG=1") == told, "told that all is well while the disk stands still"
    print(f"  frozen: seen after {noticed:.1f} s, nothing told to the manager for {2 * TOLD_EVERY_S + 1} s")


def goes_on(place, manager, disk, port):
    told = manager.count("WATCHDOG=1")
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "telemetry/pump/temperature", "-m",
                    '{"value": 21, "sequence": 1}'], check=True)
    disk.freeze(False)
    thawed = time.monotonic()
    place.wait_status("the reading is stored", lambda s: s["ledger"]["stored"] == 1)
    place.wait_status("good again, once it has made up for the commit that took so long",
                      lambda s: s["health"] == "good" and s["machine"]["led"] == "good", 60)
    assert place.get("/healthz") == (200, "progress\n")
    wait_until("told again", lambda: manager.count("WATCHDOG=1") > told, TOLD_EVERY_S + 4)
    print(f"  thawed: good and told within {time.monotonic() - thawed:.1f} s")


def scenario(place):
    manager = Manager(place)
    disk = Disk(place)
    try:
        port = place.start_broker("plant")
        place.write_config(CONFIG.format(root=ROOT, port=port, limit=LIMIT_S))
        place.start_gateway(env=dict(os.environ, NOTIFY_SOCKET=manager.path))
        wait_until("the manager is told", lambda: manager.count("READY=1") == 1)
        status = place.wait_status("good", lambda s: s["health"] == "good" and s["machine"]["led"] == "good")
        machine_is_told(place, status)
        silence(place, manager)
        disk_stands_still(place, manager, disk)
        goes_on(place, manager, disk, port)
        assert place.stop("gateway") == 0
        assert manager.count("STOPPING=1") == 1
    finally:
        if disk.frozen:
            disk.freeze(False)
        place.stop("gateway")
        disk.close()


def main():
    skip_without("mosquitto", "mosquitto_pub", "mkfs.ext4", "fsfreeze", "unshare")
    if "WEIR_OWN_MOUNTS" not in os.environ:
        alone = ["unshare", "--mount", "--propagation", "private"]
        if subprocess.run(alone + ["true"], capture_output=True).returncode != 0:
            print("a file system of the test's own needs root")
            return 77
        os.execvpe("unshare", alone + [sys.executable] + sys.argv, dict(os.environ, WEIR_OWN_MOUNTS="1"))
    with Place() as place:
        scenario(place)
    return 0


sys.exit(main())
