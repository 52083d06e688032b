#!/usr/bin/env python3
"""Goal: whenever the power goes while an update is written, chosen, tried and kept, the machine comes up in a slot that is whole, the boot
state can be read, the data partition mounts, and no reading that was acknowledged is missing.
Method: `power_cut_test.py [BOARD [BOOTS [LOOKS]]]`: one update in QEMU on a disk that remembers each write and flush (weir_nbd.py), while a
stock client publishes. Then LOOKS moments of it are drawn by a seed (SEED, printed), a third within the writing of the slot, a third around
each writing of the boot state, the rest anywhere; for each the disk is made that a cut then leaves, and looked at from here: which
slot the boot loader would take and whether it is byte for byte one of the two, the file system of the data, and Weir itself
started on the store. BOOTS of those, a third each too, are also started in QEMU, until their slot is confirmed."""
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import ROOT, Place, skip_without  # noqa: E402
from weir_guest import Guest  # noqa: E402
from weir_nbd import Player, Server, copy_with_holes  # noqa: E402
import boot_test  # noqa: E402
import update_test  # noqa: E402

DEVICE = "pump-1"


class Watch:
    """Notes in the disk's log how far the device's readings are acknowledged."""

    def __init__(self, device, log):
        self.device, self.log, self.last = device, log, 0

    def look(self):
        if self.device.acknowledged > self.last:
            self.last = self.device.acknowledged
            self.log.add("note", 0, self.last)


def partitions(path):
    table = json.loads(subprocess.run(["sfdisk", "--json", path], capture_output=True, text=True, check=True).stdout)["partitiontable"]
    return {part["name"]: (part["start"] * 512, part["size"] * 512) for part in table["partitions"]}


def record(place, guest, server, bundles):
    """One update from its download to its confirmation, on the remembering disk; where it began in the log."""
    device = update_test.Device(place, guest, DEVICE)
    watch = Watch(device, server.log)
    device.told = watch.look
    guest.start()
    device.start()
    guest.wait_console(r"weir: confirmed slot=A", 1200)
    update_test.put(guest, bundles.make("0.2.0"))
    began = len(server.log.entries)
    said = guest.ssh("weir update install /data/rauc/put.raucb 2>&1; echo status=$?", seconds=1200)
    assert "status=0" in said, said
    guest.expects_failures = True
    guest.ssh("systemctl reboot", check=False)
    guest.wait_console(r"weir: confirmed slot=B version=0.2.0", 1800)
    time.sleep(5)  # some readings more
    device.end()
    guest.stop()
    return began


class Judge:
    """Looks at a disk that a cut left."""

    def __init__(self, place, board, slots):
        self.place, self.board, self.slots = place, board, slots  # digest of a slot's image -> its version
        self.bytes = {size for _, size in slots.values()}
        self.mended = 0

    def look(self, disk, acknowledged):
        parts = partitions(disk)
        slot = self.chosen(disk, parts)
        version = self.version_of(disk, parts[f"system_{slot.lower()}"])
        assert version, f"slot {slot} would start, and is no whole image"
        missing = acknowledged - self.held(disk, parts)
        assert not missing, f"acknowledged and gone: {sorted(missing)[:10]}"
        return slot, version

    def chosen(self, disk, parts):
        state = self.state(disk, parts)
        order = state.get("ORDER", state.get("BOOT_ORDER", "A B")).split()
        for slot in order:
            if self.board["BOOTLOADER"] == "grub":
                if state.get(f"{slot}_OK") == "1" and state.get(f"{slot}_TRY") != "1":
                    return slot
            elif int(state.get(f"BOOT_{slot}_LEFT", "3"), 16) > 0:
                return slot
        return order[0]  # all are tried: the loader counts anew

    def state(self, disk, parts):
        """Unreadable is a failure."""
        if self.board["BOOTLOADER"] == "grub":
            text = subprocess.run(["mtype", "-i", f"{disk}@@{parts['boot'][0]}", "::/grubenv"], capture_output=True, text=True, check=True).stdout
            assert text.startswith("# GRUB Environment Block\n") and len(text) == 1024, "the boot state can't be read"
            lines = text.splitlines()
        else:
            raw = read(disk, parts["bootstate"][0], 512)
            assert int.from_bytes(raw[:4], "little") == zlib.crc32(raw[4:]), "the boot state's sum is wrong"
            lines = raw[4:].decode(errors="replace").split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def version_of(self, disk, part):
        for size in self.bytes:
            digest = hashlib.sha256(read(disk, part[0], size)).hexdigest()
            if digest in self.slots:
                return self.slots[digest][0]
        return None

    def held(self, disk, parts):
        """The numbers of the readings that Weir has, started here on the store of that disk."""
        data, folder = self.place.path("data.ext4"), self.place.path("data")  # where write_config looks
        subprocess.run(["rm", "-rf", folder, data], check=True)
        os.mkdir(folder)
        copy_with_holes(disk, data, *parts["data"])
        self.mend(data)
        for name in ("weir.db", "weir.db-wal"):
            subprocess.run(["debugfs", "-R", f"dump /weir/{name} {folder}/{name}", data], capture_output=True, check=True)
        self.place.write_config("clock: {trust: system}\nsources:\n  - {name: devices, url: 'mqtt://127.0.0.1:1', "
                                "topics: ['telemetry/{device}/{metric}']}\n")
        self.place.start_gateway()
        kept = [json.loads(line) for line in self.place.weir("export").splitlines()]
        self.place.stop("gateway")
        return {line["sequence"] for line in kept if line["kind"] == "reading" and line["device"] == DEVICE}

    def mend(self, data):
        """As boards/overlay/usr/lib/weir/weir-data does at the start; `mended` says how far that had to go."""
        for self.mended, how in enumerate(("-p", "-fy", "-fy")):
            done = subprocess.run(["e2fsck", how, data], capture_output=True, text=True, check=False)
            if done.returncode < 4:
                return
        raise AssertionError(f"the data partition can't be mended: e2fsck says {done.returncode}: {done.stdout[-2000:]}")


def read(path, offset, count):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(count)


def moments(log, began, parts, state, count, chance):
    """[(moment, where)], a third each: the slot's writing, the boot state's, anywhere."""
    slot = [i for i in log.writes_within(parts["system_b"][0], sum(parts["system_b"])) if i >= began]
    turns = [i for i in log.writes_within(*state) if i >= began]
    near = [min(i + d, len(log.entries)) for i in turns for d in (0, 1, 2)]  # before it, after it, and after what follows
    chance.shuffle(near)
    return ([(chance.choice(slot), "slot") for _ in range(count // 3)] + [(near[i % len(near)], "state") for i in range(count // 3)]
            + [(chance.randrange(began, len(log.entries)), "anywhere") for _ in range(count - 2 * (count // 3))]), len(slot), len(turns)


def state_range(board, disk, parts):
    """Where the boot state is, in bytes of the disk."""
    if board["BOOTLOADER"] != "grub":
        return parts["bootstate"][0], parts["bootstate"][0] + 512
    whole, at = read(disk, *parts["boot"]), 1
    while at % 512 != 0:  # GRUB itself holds those words too, but not at the begin of a sector
        at = whole.index(b"# GRUB Environment Block\n", at + 1)
    return parts["boot"][0] + at, parts["boot"][0] + at + 1024


def start(guest, disk, slot, possible):
    """The machine comes up with what the cut left, in the slot that was foreseen or, where that one is not kept, in the other."""
    guest.disk, guest.medium = None, disk
    guest.start()
    chosen = guest.wait_console(r"weir: slot=([AB])", 300)
    assert chosen[1] == slot, f"the boot loader took {chosen[1]}, not {slot}"
    found = guest.wait_console(r"weir: confirmed slot=([AB]) version=(\S+)", 1800)
    guest.stop()
    assert found.groups() in possible, found.groups()
    return f"; started: {found[1]} with {found[2]} confirmed after {guest.seconds():.0f} s"


def main():
    skip_without("mosquitto", "rauc", "socat", "ssh", "mtype", "debugfs")
    name, boots, looks = (sys.argv[1:] + ["pc", "3", "60"][len(sys.argv) - 1:])[:3]
    boots, looks = int(boots), int(looks)
    seed = int(os.environ.get("SEED", "1"))
    folder = os.path.join(ROOT, "build", "boards", name)
    if not os.path.exists(os.path.join(folder, f"{name}.img.zst")):
        print(f"there is no image: make image BOARD={name}")
        return 77
    with Place() as place:
        guest = Guest(name, place, boot_test.make_config(place, name, (DEVICE,)))
        guest.passed_on = {8883: boot_test.start_cloud(place)}
        guest.flash()
        first, medium = place.path("first.img"), guest.medium
        copy_with_holes(medium, first)
        server = Server(medium, place.path("nbd.sock"))
        server.start()
        guest.disk = f"nbd+unix:///?socket={server.at}"
        bundles = update_test.Bundles(place, name)
        with guest:
            began = record(place, guest, server, bundles)
        versions = {}
        for path, version in ((os.path.join(folder, "slot.ext4"), guest.version()), (place.path("slot.ext4"), "0.2.0")):
            with open(path, "rb") as f:
                versions[hashlib.file_digest(f, "sha256").hexdigest()] = (version, os.path.getsize(path))
        judge_all(place, guest, server.log, began, Judge(place, guest.board, versions), first, (boots, looks, seed))
    print(f"ok power cuts of {name}")
    return 0


def keep(disk, place, guest, seed, number):
    kept = os.path.join(ROOT, "build", "boards", guest.board["BOARD"], f"cut-seed-{seed}-{number}.img")
    copy_with_holes(disk, kept)
    print(f"  cut {number} is kept as {kept}", flush=True)


def judge_all(place, guest, log, began, judge, first, how_many):
    boots, looks, seed = how_many
    chance, parts = random.Random(seed), partitions(first)
    drawn, slot_writes, state_writes = moments(log, began, parts, state_range(guest.board, first, parts), looks, chance)
    print(f"  recorded: {len(log.entries)} writes and flushes, from the update on {slot_writes} of the slot, {state_writes} of the boot state; SEED={seed}", flush=True)
    started = {i * looks // boots for i in range(boots)}  # of each third alike
    player, kinds, mended = Player(log, first), {}, [0, 0, 0]
    for number, (moment, where) in sorted(enumerate(drawn), key=lambda cut: cut[1]):
        disk = place.path(f"cut-{number}.img")
        loose, through = player.disk_at(moment, seed + number, disk)
        acknowledged = set(range(1, max(log.notes_before(moment), default=0) + 1))
        try:
            slot, version = judge.look(disk, acknowledged)
            said = start(guest, disk, slot, {("A", guest.version()), ("B", "0.2.0")}) if number in started else ""
        except AssertionError:
            keep(disk, place, guest, seed, number)
            raise
        os.remove(disk)
        mended[judge.mended] += 1
        kinds.setdefault(where, [0, 0])[0] += 1
        kinds[where][1] += bool(said)
        print(f"  cut {number:3} {where:8} at {moment:6}: {through:6} of {loose:6} unflushed sectors there; slot {slot} ({version}), {len(acknowledged)} readings held"
              f"{', mended in ' + str(judge.mended) if judge.mended else ''}{said}", flush=True)
    for where, (looked, booted) in kinds.items():
        print(f"  {where:8}: {looked} cuts looked at, {booted} of them started", flush=True)
    print(f"  the data's file system: {mended[0]} by its journal, {mended[1]} checked whole, {mended[2]} twice")


if __name__ == "__main__":
    sys.exit(main())
