#!/usr/bin/env python3
"""Goal: whenever the power goes while RAUC writes a slot, or changes the boot state that GRUB reads, the state can be read, the slot that it names is whole, and
no reading that was acknowledged is missing.
Method: `slot_cut_test.py [BOARD [CUTS]]`, as root: RAUC's own service with the board's rules and its grub-editenv, and Weir, here on partitions of a disk that
remembers (data_cut_test.py); the boot partition has ext2, as this kernel may have no FAT, and the bundle the plain format, as it may have no dm-verity. An update is installed, started and kept;
then CUTS moments are drawn by a seed (SEED, printed), a third within the slot's writing, a third around each writing of the state, the rest anywhere."""
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import ROOT, Place, free_port, skip_without, wait_until  # noqa: E402
from weir_nbd import Player, Server, copy_with_holes  # noqa: E402
from power_cut_test import Judge, read  # noqa: E402
from data_cut_test import Device, run  # noqa: E402
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import disk as board_disk  # noqa: E402
import keys  # noqa: E402

MIB = 1 << 20
PARTS = {"boot": (1 * MIB, 8 * MIB), "system_a": (16 * MIB, 256 * MIB), "system_b": (272 * MIB, 256 * MIB), "data": (528 * MIB, 512 * MIB)}
DISK_BYTES = 1040 * MIB
BUS = """<busconfig><type>system</type><listen>unix:path={at}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""
SYSTEM = """[system]
compatible=weir-{board}
bootloader=grub
grubenv={at}/boot/grubenv
statusfile={at}/rauc.status
mountprefix={at}/rauc

[keyring]
path={keys}/keyring.pem
check-purpose=codesign

[slot.rootfs.0]
device={at}/system_a
type=raw
bootname=A

[slot.rootfs.1]
device={at}/system_b
type=raw
bootname=B
"""


class Machine:
    """What a board has, here."""

    def __init__(self, place, board):
        self.place, self.board, self.keys, self.loops = place, board, keys.ready(False), {}
        self.image, self.first, self.file = place.path("disk.img"), place.path("first.img"), place.path("exported")
        self.slots = {}
        self.make_slots()
        self.make_disk()
        self.server = Server(self.image, place.path("nbd.sock"))
        self.server.start()
        with open(self.file, "wb"):
            pass
        place.start("disk", ["qemu-storage-daemon", "--blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={self.server.at}",
                             "--export", f"type=fuse,id=file,node-name=disk,mountpoint={self.file},writable=on"])
        wait_until("the disk is there", lambda: os.path.getsize(self.file) == DISK_BYTES, 20)
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={place.path('bus')}",
                            "PATH": f"{ROOT}/boards/overlay/usr/lib/weir/rauc:/usr/sbin:/usr/bin:/sbin:/bin"}
        for name, text in (("bus.conf", BUS.format(at=place.path("bus"))), ("system.conf", SYSTEM.format(board=board, at=place.dir, keys=self.keys))):
            with open(place.path(name), "w", encoding="utf-8") as f:
                f.write(text)
        place.start("bus-daemon", ["dbus-daemon", "--nofork", f"--config-file={place.path('bus.conf')}"])

    def make_slots(self):
        self.old, self.new = os.path.join(ROOT, "build", "boards", self.board, "slot.ext4"), self.place.path("content/slot.ext4")
        os.mkdir(self.place.path("content"))
        subprocess.run(["cp", "--sparse=always", self.old, self.new], check=True)
        with open(self.place.path("version"), "w", encoding="utf-8") as f:
            f.write("0.2.0\n")
        subprocess.run(["debugfs", "-w", "-f", "-", self.new], input=f"rm /etc/weir-version\nwrite {self.place.path('version')} /etc/weir-version\n", text=True,
                       check=True, capture_output=True)
        for path, version in ((self.old, "old"), (self.new, "0.2.0")):
            with open(path, "rb") as f:
                self.slots[hashlib.file_digest(f, "sha256").hexdigest()] = (version, os.path.getsize(path))
        with open(self.place.path("content/manifest.raucm"), "w", encoding="utf-8") as f:
            f.write(f"[update]\ncompatible=weir-{self.board}\nversion=0.2.0\n\n[image.rootfs]\nfilename=slot.ext4\n")
        run("rauc", f"--cert={self.keys}/sign.pem", f"--key={self.keys}/sign.key", "--mksquashfs-args=-comp zstd -Xcompression-level 1 -no-progress -quiet",
            "bundle", self.place.path("content"), self.place.path("update.raucb"))

    def make_disk(self):
        boot, data, files = self.place.path("boot.img"), self.place.path("data.img"), self.place.path("files")
        os.mkdir(files)
        run("grub-editenv", f"{files}/grubenv", "create")
        run("grub-editenv", f"{files}/grubenv", "set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0")
        run("mkfs.ext2", "-q", "-d", files, boot, "8M")
        board_disk.data_filesystem(data, self.board, dict(os.environ))
        with open(data, "r+b") as f:
            f.truncate(PARTS["data"][1])
        run("e2fsck", "-fp", data)
        run("resize2fs", data)
        with open(self.image, "wb") as f:
            f.truncate(DISK_BYTES)
        for name, path in (("boot", boot), ("system_a", self.old), ("data", data)):
            run("dd", f"if={path}", f"of={self.image}", "bs=1M", f"seek={PARTS[name][0] // MIB}", "conv=notrunc,sparse")
        copy_with_holes(self.image, self.first)

    def start(self, slot):
        """GRUB's part, and the system's as far as RAUC and Weir."""
        for name, (at, size) in PARTS.items():
            self.loops[name] = run("losetup", "-f", "--show", "-o", str(at), "--sizelimit", str(size), self.file)
            if name.startswith("system"):
                if os.path.lexists(self.place.path(name)):
                    os.remove(self.place.path(name))
                os.symlink(self.loops[name], self.place.path(name))
        run("e2fsck", "-p", self.loops["data"])
        for name in ("boot", "data"):
            os.makedirs(self.place.path("mounted" if name == "data" else name), exist_ok=True)
        run("mount", "-o", "sync,noatime", self.loops["boot"], self.place.path("boot"))
        run("mount", "-o", "noatime", self.loops["data"], self.place.path("mounted"))
        run("grub-editenv", self.place.path("boot/grubenv"), "set", f"{slot}_TRY=1", env=self.environment)
        os.makedirs(self.place.path("mounted/weir"), exist_ok=True)
        self.place.start_gateway()
        self.place.start("rauc", ["rauc", "service", f"--conf={self.place.path('system.conf')}", f"--override-boot-slot={slot}"], env=self.environment)
        wait_until("RAUC answers", lambda: subprocess.run(["rauc", "status"], env=self.environment, capture_output=True, check=False).returncode == 0, 30)
        self.rauc("status", "mark-good")

    def rauc(self, *words):
        return run("rauc", *words, env=self.environment)

    def stop(self, how=signal.SIGTERM):
        for name in ("rauc", "gateway"):
            self.place.stop(name, signal.SIGTERM if name == "rauc" else how, 60)
        for at in ("boot", "mounted"):
            if os.path.ismount(self.place.path(at)):
                run("umount", self.place.path(at))
        for loop in self.loops.values():
            run("losetup", "-d", loop)
        self.loops = {}


class Looking(Judge):
    def state(self, disk, parts):
        boot = self.place.path("boot.cut")
        copy_with_holes(disk, boot, *PARTS["boot"])
        text = subprocess.run(["debugfs", "-R", "cat /grubenv", boot], capture_output=True, text=True, check=True).stdout
        assert text.startswith("# GRUB Environment Block\n") and len(text) == 1024, "the boot state can't be read"
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def look(self, disk, acknowledged):
        slot = self.chosen(disk, PARTS)
        version = self.version_of(disk, PARTS[f"system_{slot.lower()}"])
        assert version, f"slot {slot} would start, and is no whole image"
        missing = acknowledged - self.held(disk, PARTS)
        assert not missing, f"acknowledged and gone: {sorted(missing)[:10]}"
        return slot, version


def record(place, machine, port):
    sent = 0
    for slot in ("A", "B"):
        machine.start(slot)
        device = Device(port, machine.server.log, sent)
        device.start()
        if slot == "A":
            machine.rauc("install", place.path("update.raucb"))
        time.sleep(6)
        device.ended = True
        device.join(30)
        assert device.sent > sent, "nothing was acknowledged"
        sent = device.sent
        machine.stop()
    return sent


def state_range(first):
    whole, at = read(first, *PARTS["boot"]), 1
    while at % 512 != 0:
        at = whole.index(b"# GRUB Environment Block\n", at + 1)
    return PARTS["boot"][0] + at, PARTS["boot"][0] + at + 1024


def main():
    skip_without("rauc", "debugfs", "losetup", "qemu-storage-daemon", "grub-editenv", "dbus-daemon")
    board = (sys.argv[1:] + ["pc"])[0]
    count, seed = int((sys.argv[2:] + ["60"])[0]), int(os.environ.get("SEED", "1"))
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not os.path.exists(os.path.join(ROOT, "build", "boards", board, "slot.ext4")):
        print("needs root, /dev/fuse, and an image of the board")
        return 77
    with Place() as place:
        port, machine, began = free_port(), Machine(place, board), time.monotonic()
        os.symlink(place.path("mounted/weir"), place.path("data"))  # where write_config looks
        place.write_config(f"clock: {{trust: system}}\nsources:\n  - {{name: devices, listen: 'mqtt://127.0.0.1:{port}', anonymous: true, "
                           "topics: ['telemetry/{device}/{metric}']}\ncommit: {max_age: 200ms}\n")
        try:
            sent = record(place, machine, port)
        finally:
            machine.stop()
            place.stop("disk")  # or its file stays mounted
            if os.path.exists("/run/weir-grubenv"):  # grub-editenv's
                os.remove("/run/weir-grubenv")
        print(f"  recorded in {time.monotonic() - began:.0f} s: {len(machine.server.log.entries)} writes and flushes, {sent} readings; SEED={seed}", flush=True)
        judge(place, machine, count, seed)
    print("ok an update outlives power cuts")
    return 0


def moments(machine, count, chance):
    log = machine.server.log
    slot = log.writes_within(PARTS["system_b"][0], sum(PARTS["system_b"]))
    turns = log.writes_within(*state_range(machine.first))
    near = [min(i + d, len(log.entries)) for i in turns for d in (0, 1, 2)]
    chance.shuffle(near)
    print(f"  {len(slot)} writes of the slot, {len(turns)} of the boot state", flush=True)
    return [(chance.choice(slot), "slot") for _ in range(count // 3)] + [(near[i % len(near)], "state") for i in range(count // 3)] \
        + [(chance.randrange(len(log.entries)), "anywhere") for _ in range(count - 2 * (count // 3))]


def judge(place, machine, count, seed):
    player, looking, cut = Player(machine.server.log, machine.first), Looking(place, {"BOOTLOADER": "grub"}, machine.slots), place.path("cut.img")
    seen, mended = {}, [0, 0, 0]
    for number, (moment, where) in sorted(enumerate(moments(machine, count, random.Random(seed))), key=lambda drawn: drawn[1]):
        loose, through = player.disk_at(moment, seed + number, cut)
        try:
            slot, _ = looking.look(cut, set(range(1, max(machine.server.log.notes_before(moment), default=0) + 1)))
        except AssertionError:
            kept = os.path.join(ROOT, "build", f"slot-cut-seed-{seed}-{number}.img")
            copy_with_holes(cut, kept)
            print(f"  cut {number} ({where}) at {moment}, {through} of {loose} unflushed sectors there, is kept as {kept}", flush=True)
            raise
        seen[where, slot] = seen.get((where, slot), 0) + 1
        mended[looking.mended] += 1
    print("  " + "; ".join(f"{where}: {n} cuts, then slot {slot}" for (where, slot), n in sorted(seen.items())))
    print(f"  all in a whole slot, no acknowledged reading gone; the data came back by its journal {mended[0]} times, checked whole {mended[1]}, twice {mended[2]}")


if __name__ == "__main__":
    sys.exit(main())
