#!/usr/bin/env python3
"""Goal: an update with a rogue signature or of an older version changes nothing, and meanwhile no reading is lost or counted
twice. (Installations that are tried, kept and left are not in here yet.)
Method: qemu-arm64's image in QEMU, bundles made of its slot; a stock client publishes all the while and repeats what was not
acknowledged; at the end the journal is compared with what it was promised."""
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import Place, skip_without  # noqa: E402
from weir_guest import ROOT, Guest  # noqa: E402
import boot_test  # noqa: E402
import bundle  # noqa: E402
import keys  # noqa: E402

BOARD = "qemu-arm64"
FOLDER = os.path.join(ROOT, "build", "boards", BOARD)


class Fleet(threading.Thread):
    """One device with numbered readings: the next one when the last was acknowledged."""

    def __init__(self, place, guest):
        super().__init__(daemon=True)
        self.place, self.guest, self.acknowledged, self.ended = place, guest, 0, threading.Event()

    def run(self):
        pki, at = self.place.path("pki"), time.time()
        while not self.ended.is_set():
            message = json.dumps({"value": 20 + self.acknowledged % 10 / 10, "time": at, "sequence": self.acknowledged + 1})
            done = subprocess.run(["timeout", "20", "mosquitto_pub", "-h", "localhost", "-p", str(self.guest.ports[8883]), "--cafile",
                                   f"{pki}/ca.crt", "--cert", f"{pki}/pump-1.crt", "--key", f"{pki}/pump-1.key", "-q", "1", "-t",
                                   "telemetry/pump-1/temperature", "-m", message], capture_output=True, check=False)
            if done.returncode == 0:
                self.acknowledged, at = self.acknowledged + 1, time.time()
            time.sleep(0.5)

    def end(self):
        self.ended.set()
        self.join(60)


class Bundles:
    """Updates made of the slot that `make image` left, each with its version."""

    def __init__(self, place):
        self.place = place
        self.keys = keys.ready(False)
        self.rogue = place.path("rogue")
        keys.make(self.rogue)

    def slot(self, version):
        """The slot with that version in it."""
        path = self.place.path("slot.ext4")
        subprocess.run(["cp", "--sparse=always", os.path.join(FOLDER, "slot.ext4"), path], check=True)
        with open(self.place.path("version"), "w", encoding="utf-8") as f:
            f.write(version + "\n")
        commands = f"rm /etc/weir-version\nwrite {self.place.path('version')} /etc/weir-version\n"
        subprocess.run(["debugfs", "-w", "-f", "-", path], input=commands, text=True, check=True, capture_output=True)
        return path

    def make(self, version, signed_by=None):
        out = self.place.path(f"{version}.raucb")
        bundle.make(BOARD, version, self.slot(version), out, signed_by or self.keys)
        return out


def put(guest, path):
    with open(path, "rb") as f:
        subprocess.run([*guest.ssh_command(), "cat >/data/rauc/update.raucb"], stdin=f, check=True, timeout=300)


def install(guest, path):
    """(whether it was taken, what was said)."""
    put(guest, path)
    began = time.monotonic()
    said = guest.ssh("weir update install /data/rauc/update.raucb 2>&1; echo status=$?", seconds=900)
    words = [line for line in said.splitlines() if line.startswith(("weir:", "installed"))]
    return "status=0" in said, f"{' '.join(words)} ({time.monotonic() - began:.0f} s)"


def refused(guest, what, path, words):
    taken, said = install(guest, path)
    why = said + guest.ssh("journalctl -b -u rauc -o cat --no-pager | tail -n 12")
    assert not taken and any(word in why for word in words), f"{what}: {why}"
    state = guest.ssh("weir update status")
    assert "slot A   booted, good, starts next" in state, state
    print(f"  {what}: {said}")


def those_that_change_nothing(guest, bundles):
    for what, path, words in (("rogue signature", bundles.make("0.2.0", signed_by=bundles.rogue), ("signature verification failed",)),
                              ("older version", bundles.make("0.0.9"), ("older than what runs",))):
        refused(guest, what, path, words)


def nothing_is_lost(guest, fleet):
    fleet.end()
    kept = [json.loads(line) for line in guest.ssh("weir export", seconds=120).splitlines()]
    numbers = [line["sequence"] for line in kept if line["kind"] == "reading" and line["metric"] == "temperature"]
    lost = set(range(1, fleet.acknowledged + 1)) - set(numbers)
    twice = len(numbers) - len(set(numbers))
    print(f"  {fleet.acknowledged} readings acknowledged meanwhile: lost {len(lost)}, duplicates {twice}")
    assert fleet.acknowledged > 20 and not lost and twice == 0


def main():
    skip_without("mosquitto", "rauc", "socat", "ssh")
    if not os.path.exists(os.path.join(FOLDER, f"{BOARD}.img.zst")):
        print(f"there is no image: make image BOARD={BOARD}")
        return 77
    with Place() as place:
        guest = Guest(BOARD, place, boot_test.make_config(place, BOARD))
        guest.passed_on = {8883: boot_test.start_cloud(place)}
        with guest:
            guest.flash()
            guest.start()
            fleet = Fleet(place, guest)
            fleet.start()
            bundles = Bundles(place)
            guest.wait_console(r"weir: confirmed slot=A", 600)
            those_that_change_nothing(guest, bundles)
            nothing_is_lost(guest, fleet)
    print("ok updates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
