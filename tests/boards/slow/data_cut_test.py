#!/usr/bin/env python3
"""Goal: whenever the power goes, the data partition mounts again after the board's own check, and no reading that was acknowledged is missing.
Method: `data_cut_test.py [CUTS]`, as root: Weir here, on ext4 made and grown as a board's is, on a loop device whose writes and flushes are remembered
(weir_nbd.py, as a file by QEMU's storage daemon), through starts, ends, kills and the writing of an update's file. Then CUTS moments are drawn by a seed (SEED, printed): a
third around each writing of the superblock, a third where it is mounted and unmounted, the rest anywhere; for each the disk is made that a cut then leaves,
mended as weir-data does, and Weir started on it."""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import ROOT, Place, free_port, skip_without, wait_until  # noqa: E402
from weir_mqtt import Client  # noqa: E402
from weir_nbd import FLUSH, NOTE, WRITE, Player, Server, copy_with_holes  # noqa: E402
from power_cut_test import DEVICE, Judge  # noqa: E402
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import disk as board_disk  # noqa: E402

DISK_BYTES, UPDATE_BYTES = 512 << 20, 80 << 20
SUPERBLOCK = (1024, 2048)


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout.strip()


class Medium:
    """A file system on the remembering disk, at `at`."""

    def __init__(self, place, at):
        self.place, self.at, self.image, self.loop = place, at, place.path("disk.img"), None
        board_disk.data_filesystem(self.image, "pc", dict(os.environ))
        with open(self.image, "r+b") as f:
            f.truncate(DISK_BYTES)
        run("e2fsck", "-fp", self.image)
        run("resize2fs", self.image)
        self.first = place.path("first.img")
        copy_with_holes(self.image, self.first)
        self.server = Server(self.image, place.path("nbd.sock"))
        self.server.start()
        self.marks = []  # where the log stood around a mount, an unmount
        node = f"driver=nbd,node-name=disk,server.type=unix,server.path={self.server.at}"
        self.file = place.path("exported")
        with open(self.file, "wb"):
            pass
        place.start("disk", ["qemu-storage-daemon", "--blockdev", node, "--export",
                             f"type=fuse,id=file,node-name=disk,mountpoint={self.file},writable=on"])
        wait_until("the disk is there", lambda: os.path.getsize(self.file) == DISK_BYTES, 20)

    def mark(self):
        self.marks.append(len(self.server.log.entries))

    def mount(self):
        self.mark()
        self.loop = run("losetup", "-f", "--show", self.file)
        run("e2fsck", "-p", self.loop)
        os.makedirs(self.at, exist_ok=True)
        run("mount", "-o", "noatime,nodev,nosuid", self.loop, self.at)
        self.mark()

    def unmount(self):
        if self.loop is None:
            return
        self.mark()
        if os.path.ismount(self.at):
            run("umount", self.at)
        run("losetup", "-d", self.loop)
        self.loop = None
        self.mark()


class Device(threading.Thread):
    """Numbered readings, one after the other; what was acknowledged is noted in the disk's log."""

    def __init__(self, port, log, sent):
        super().__init__(daemon=True)
        self.port, self.log, self.sent, self.ended = port, log, sent, False

    def run(self):
        client = Client(self.port, DEVICE)
        while not self.ended:
            payload = json.dumps({"value": self.sent % 7, "sequence": self.sent + 1, "time": time.time()}).encode()
            try:
                client.publish(self.sent % 60000 + 1, topic=f"telemetry/{DEVICE}/temperature", payload=payload)
                if client.acknowledged(1) is None:
                    return
            except (OSError, AssertionError):
                return  # the gateway was ended
            self.sent += 1
            self.log.add(NOTE, 0, self.sent)
            time.sleep(0.02)


def turn(place, medium, port, sent, how):
    """From a start to an end of one kind or the other, with an update's file written meanwhile; how many readings there are."""
    medium.mount()
    os.makedirs(f"{medium.at}/weir", exist_ok=True)
    place.start_gateway()
    device = Device(port, medium.server.log, sent)
    device.start()
    with open(f"{medium.at}/update.raucb", "wb") as f:
        for _ in range(UPDATE_BYTES >> 20):
            f.write(os.urandom(1 << 20))
    time.sleep(6)  # the journal's own interval is five
    os.remove(f"{medium.at}/update.raucb")
    device.ended = how != signal.SIGKILL
    if device.ended:
        device.join(30)
    place.stop("gateway", how, 60)
    device.ended = True
    device.join(30)
    assert device.sent > sent, "nothing was acknowledged"
    medium.unmount()
    return device.sent


def moments(medium, count, chance):
    entries = medium.server.log.entries
    written = [i for i in medium.server.log.writes_within(*SUPERBLOCK) if entries[i][1] >= 1024]  # not a whole block of it by the journal
    near = [min(i + 1 + d, len(entries)) for i in written for d in (0, 1)]
    around = [min(max(i + d, 0), len(entries)) for i in medium.marks for d in range(-8, 40)]
    return [chance.choice(near) for _ in range(count // 3)] + [chance.choice(around) for _ in range(count // 3)] \
        + [chance.randrange(len(entries)) for _ in range(count - 2 * (count // 3))]


class Weighing(Judge):
    def look(self, disk, acknowledged):
        missing = acknowledged - self.held(disk, {"data": (0, DISK_BYTES)})
        assert not missing, f"acknowledged and gone: {sorted(missing)[:10]}"


def main():
    skip_without("mkfs.ext4", "debugfs", "losetup", "qemu-storage-daemon")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        return 77
    count, seed = int((sys.argv[1:] + ["60"])[0]), int(os.environ.get("SEED", "1"))
    with Place() as place:
        port, began = free_port(), time.monotonic()
        medium = Medium(place, place.path("mounted"))
        try:
            os.symlink(f"{medium.at}/weir", place.path("data"))  # where write_config looks
            place.write_config(f"clock: {{trust: system}}\nsources:\n  - {{name: devices, listen: 'mqtt://127.0.0.1:{port}', anonymous: true, "
                               "topics: ['telemetry/{device}/{metric}']}\ncommit: {max_age: 200ms}\n")
            sent = 0
            for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                sent = turn(place, medium, port, sent, how)
        finally:
            place.stop("gateway")
            medium.unmount()
            place.stop("disk")  # or its file stays mounted
        entries = medium.server.log.entries
        print(f"  recorded: {sum(kind == WRITE for kind, _, _ in entries)} writes and {sum(kind == FLUSH for kind, _, _ in entries)} flushes, {sent} readings, "
              f"{time.monotonic() - began:.0f} s; SEED={seed}", flush=True)
        judge(place, medium, count, seed)
    print("ok the data partition outlives power cuts")
    return 0


def judge(place, medium, count, seed):
    player, weighing, mended, torn = Player(medium.server.log, medium.first), Weighing(place, None, {}), [0, 0, 0], 0
    cut = place.path("cut.img")
    for number, moment in sorted(enumerate(moments(medium, count, random.Random(seed))), key=lambda drawn: drawn[1]):
        loose, through = player.disk_at(moment, seed + number, cut)
        torn += loose > 0
        acknowledged = set(range(1, max(medium.server.log.notes_before(moment), default=0) + 1))
        try:
            weighing.look(cut, acknowledged)
        except AssertionError:
            kept = os.path.join(ROOT, "build", f"data-cut-seed-{seed}-{number}.img")
            copy_with_holes(cut, kept)
            print(f"  cut {number} at {moment}, {through} of {loose} unflushed sectors there, is kept as {kept}", flush=True)
            raise
        mended[weighing.mended] += 1
    print(f"  {count} cuts, {torn} of them with something unflushed: every reading that was acknowledged is held; the file system came back by its journal "
          f"{mended[0]} times, checked whole {mended[1]}, twice {mended[2]}")


if __name__ == "__main__":
    sys.exit(main())
