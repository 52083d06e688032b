#!/usr/bin/env python3
"""Goal: a good update installs, passes its gate and is kept; one with a rogue signature, of an older version, or with a flipped byte
changes nothing; one that is never well, and one that hangs, are left for the slot that was good, without hands; and through all of
it no reading that was acknowledged is lost or counted twice.
Method: `update_test.py [BOARD [CASE...]]`: the image in QEMU, bundles made of its slot; stock clients publish numbered readings at QoS 1 all the while and
repeat what was not acknowledged; at the end the journal, the ledger and what was acknowledged are compared."""
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import Place, free_port, skip_without  # noqa: E402
from weir_guest import OUTSIDE, ROOT, Guest  # noqa: E402
import boot_test  # noqa: E402
import bundle  # noqa: E402
import keys  # noqa: E402

DEVICES = ("pump-1", "pump-2", "pump-3")
# Its Weir is there, but is never ready.
NEVER_WELL = {"/etc/systemd/system/weir.service.d/never.conf": "[Service]\nType=simple\nExecStart=\nExecStart=/bin/sleep infinity\n",
              "/etc/systemd/system/weir-confirm.service.d/soon.conf": "[Service]\nEnvironment=WEIR_GATE_S=20\n"}
# Takes both processors for ever, so that nobody feeds the watchdog.
HANGS = {"/etc/systemd/system/weir-data.service.d/hang.conf": "[Service]\nExecStartPre=/usr/bin/hang\n",
         "/usr/bin/hang": "#!/bin/sh\necho 'weir: hanging' >/dev/console\necho -1 >/proc/sys/kernel/sched_rt_runtime_us\n"
                          "for each in 1 2; do chrt -f 99 sh -c 'while :; do :; done' & done\nwait\n"}


class Device(threading.Thread):
    """Numbered readings: the next one when the last was acknowledged."""

    def __init__(self, place, guest, name):
        super().__init__(daemon=True)
        self.place, self.guest, self.name_of, self.acknowledged, self.ended = place, guest, name, 0, threading.Event()
        self.told = lambda: None  # after each that was acknowledged

    def run(self):
        pki, at = self.place.path("pki"), time.time()
        while not self.ended.is_set():
            message = json.dumps({"value": 20 + self.acknowledged % 10 / 10, "time": at, "sequence": self.acknowledged + 1})
            done = subprocess.run(["timeout", "20", "mosquitto_pub", "-h", "localhost", "-p", str(self.guest.ports[8883]), "--cafile",
                                   f"{pki}/ca.crt", "--cert", f"{pki}/{self.name_of}.crt", "--key", f"{pki}/{self.name_of}.key", "-q", "1", "-t",
                                   f"telemetry/{self.name_of}/temperature", "-m", message], capture_output=True, check=False)
            if done.returncode == 0:
                self.acknowledged, at = self.acknowledged + 1, time.time()
                self.told()
            time.sleep(4)  # a handshake costs an emulated machine a second

    def end(self):
        self.ended.set()
        self.join(60)


class Bundles:
    """Updates made of the slot that `make image` left, each with its version, and with what else is put into it."""

    def __init__(self, place, board):
        self.place, self.board = place, board
        self.keys = keys.ready(False)
        self.rogue = place.path("rogue")
        keys.make(self.rogue)
        self.image = place.path("image.ext4")  # while others may make that image anew
        subprocess.run(["cp", "--sparse=always", os.path.join(ROOT, "build", "boards", board, "slot.ext4"), self.image], check=True)

    def slot(self, files):
        path, commands = self.place.path("slot.ext4"), ""
        subprocess.run(["cp", "--sparse=always", self.image, path], check=True)
        for number, (name, text) in enumerate(files.items()):
            local = self.place.path(f"file{number}")
            with open(local, "w", encoding="utf-8") as f:
                f.write(text)
            mode = "0100755" if name.startswith("/usr/bin/") else "0100644"
            commands += f"mkdir {os.path.dirname(name)}\nrm {name}\nwrite {local} {name}\nset_inode_field {name} mode {mode}\n"
        subprocess.run(["debugfs", "-w", "-f", "-", path], input=commands, text=True, check=True, capture_output=True)
        return path

    def make(self, version, files=None, signed_by=None, adaptive=True):
        out = self.place.path(f"{version}.raucb")
        bundle.make(self.board, version, self.slot({"/etc/weir-version": version + "\n", **(files or {})}), out, signed_by or self.keys, adaptive)
        return out

    def flip_a_byte(self, path):
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        return path


def put(guest, path):
    with open(path, "rb") as f:
        subprocess.run([*guest.ssh_command(), "cat >/data/rauc/put.raucb"], stdin=f, check=True, timeout=300)


def install(guest, path):
    """(whether it was taken, what was said). A path of this machine is copied first."""
    where = path
    if os.path.exists(path):
        put(guest, path)
        where = "/data/rauc/put.raucb"
    began = time.monotonic()
    said = guest.ssh(f"weir update install {where} 2>&1; echo status=$?", seconds=1200)
    words = [line for line in said.splitlines() if line.startswith(("weir:", "installed"))]
    return "status=0" in said, f"{' '.join(words)} ({time.monotonic() - began:.0f} s)"


def refused(guest, what, path, words):
    taken, said = install(guest, path)
    why = said + guest.ssh("journalctl -b -u rauc -o cat --no-pager | tail -n 12")
    assert not taken and any(word in why for word in words), f"{what}: {why}"
    state = guest.ssh("weir update status")
    assert "slot A   booted, good, starts next" in state, state
    print(f"  {what}: {said}", flush=True)


def rogue(guest, bundles):
    refused(guest, "rogue signature", bundles.make("0.2.0", signed_by=bundles.rogue), ("signature verification failed",))


def older(guest, bundles):
    refused(guest, "older version", bundles.make("0.0.9"), ("older than what runs",))


def flipped(guest, bundles):
    refused(guest, "a flipped byte", bundles.flip_a_byte(bundles.make("0.2.1", adaptive=False)), ("is corrupted", "Input/output error"))


def good(guest, bundles):
    whole = os.path.getsize(bundles.make("0.2.0"))
    try_update(guest, "good update, by HTTP", f"http://{OUTSIDE}/0.2.0.raucb", ("B", "0.2.0"))
    travelled = Server.travelled(guest.place)
    print(f"  of {whole} bytes {travelled} travelled", flush=True)
    assert travelled * 4 < whole, "what the board has already travelled too"


def never_well(guest, bundles):
    try_update(guest, "never well", bundles.make("0.3.0", NEVER_WELL), ("B", "0.2.0"))


def hangs(guest, bundles):
    try_update(guest, "hangs", bundles.make("0.4.0", HANGS), ("B", "0.2.0"))
    assert "weir: hanging" in guest.console()[guest.began_at:]


def stick(guest, bundles):
    try_update(guest, "good update, off a stick", "stick", ("A", "0.5.0"))


def over_http(guest, bundles):
    """By the gateway's HTTP: refused; installed, with progress; confirmed; and back."""
    bundles.make("0.0.8")
    now = asked(guest, f"check?bundle=http://{OUTSIDE}/0.0.8.raucb")
    assert now["state"] == "failed" and "older than what runs" in now["error"], now
    bundles.make("0.6.0")
    began, runs = time.monotonic(), next(slot["slot"] for slot in now["slots"] if slot["state"] == "booted")
    now = asked(guest, f"install?bundle=http://{OUTSIDE}/0.6.0.raucb")
    assert now["state"] == "done" and now["bundle"] == "0.6.0" and now["percent"] == 100, now
    print(f"  over HTTP: {now['message']} ({time.monotonic() - began:.0f} s; percents seen: {now['seen']})", flush=True)
    restart(guest, "over HTTP", ("B" if runs == "A" else "A", "0.6.0"))
    now = asked(guest, "confirm")
    assert now["state"] == "done" and now["version"] == "0.6.0", now
    now = asked(guest, "rollback")
    assert now["state"] == "done" and [slot["slot"] for slot in now["slots"] if slot["starts_next"]] == [runs], now


CASES = (rogue, older, flipped, good, never_well, hangs, stick, over_http)


def ask(guest, path="", method="GET"):
    return json.loads(guest.ssh(f"curl -s -X {method} --unix-socket /run/weir/weir.sock 'http://weir/api/v1/update{path}'", seconds=60))


def asked(guest, path, seconds=1200):
    """What became of it."""
    said, seen, until = ask(guest, f"/{path}", "POST"), [], time.monotonic() + seconds
    assert said == {"accepted": True}, said
    while (now := ask(guest)).get("state", "running") == "running":
        assert time.monotonic() < until, now
        seen += [now["percent"]] if now.get("percent") not in seen + [None] else []
        time.sleep(3)
    return {**now, "seen": seen}


class Server:
    """Updates by HTTP, with ranges, at this machine's loopback."""

    def __init__(self, place):
        self.place, self.port = place, free_port()
        place.start("http", [sys.executable, os.path.join(ROOT, "tests", "lib", "weir_ranges.py"), place.dir, str(self.port), place.path("travelled")])

    @staticmethod
    def travelled(place):
        """Bytes so far."""
        if not os.path.exists(place.path("travelled")):
            return 0
        with open(place.path("travelled"), encoding="ascii") as f:
            return int(f.read() or 0)


def plug_in_stick(guest, path):
    """A USB disk with FAT and the bundle on it, from the machine's next start on."""
    stick = guest.place.path("stick.img")
    subprocess.run(["mkfs.vfat", "-C", "-n", "STICK", stick, str(256 << 10)], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", stick, path, f"::/weir-{guest.board['BOARD']}-{os.path.basename(path)}"], check=True)
    guest.more = ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,file={stick},format=raw", "-device", "usb-storage,drive=stick"]


def try_update(guest, what, path, runs):
    """Install, restart, and what comes of it."""
    taken, said = install(guest, path)
    assert taken, f"{what}: {said}"
    print(f"  {what}: {said}", flush=True)
    restart(guest, what, runs)


def restart(guest, what, runs):
    """Which slot and version is confirmed at last."""
    began = time.monotonic()
    guest.expects_failures = True
    guest.ssh("systemctl reboot", check=False)
    slot, version = runs
    found = guest.wait_console(r"weir: confirmed slot=([AB]) version=(\S+)", 3000)
    assert found.groups() == runs, f"{what}: slot {found[1]} with {found[2]}"
    state = guest.ssh("weir update status")
    assert f"slot {slot}   booted, good, starts next" in state and f"version  {version}" in state, state
    print(f"  {what}: slot {slot} with {version} is confirmed after {time.monotonic() - began:.0f} s", flush=True)


def nothing_is_lost(guest, fleet):
    for device in fleet:
        device.end()
    kept = [json.loads(line) for line in guest.ssh("weir export", seconds=300).splitlines()]
    total = lost = twice = 0
    for device in fleet:
        numbers = [line["sequence"] for line in kept if line["kind"] == "reading" and line["device"] == device.name_of]
        total += device.acknowledged
        lost += len(set(range(1, device.acknowledged + 1)) - set(numbers))
        twice += len(numbers) - len(set(numbers))
    ledger = json.loads(guest.ssh("weir status --json"))["ledger"]
    print(f"  {total} readings of {len(fleet)} devices acknowledged meanwhile: lost {lost}, duplicates {twice}; "
          f"ledger: received {ledger['received']}, stored {ledger['stored']}, repeats {ledger['duplicate']}, balanced {ledger['balanced']}")
    assert total > 60 and lost == 0 and twice == 0 and ledger["balanced"], ledger


def main():
    skip_without("mosquitto", "rauc", "socat", "ssh")
    board = sys.argv[1] if len(sys.argv) > 1 else "pc"
    wanted = sys.argv[2:] or [case.__name__ for case in CASES]
    if not os.path.exists(os.path.join(ROOT, "build", "boards", board, f"{board}.img.zst")):
        print(f"there is no image: make image BOARD={board}")
        return 77
    with Place() as place:
        guest = Guest(board, place, boot_test.make_config(place, board, DEVICES))
        bundles = Bundles(place, board)
        guest.passed_on = {8883: boot_test.start_cloud(place), 80: Server(place).port}
        with guest:
            guest.flash()
            plug_in_stick(guest, bundles.make("0.5.0"))
            guest.start()
            fleet = [Device(place, guest, name) for name in DEVICES]
            for device in fleet:
                device.start()
            guest.wait_console(r"weir: confirmed slot=A", 900)
            for case in CASES:
                if case.__name__ in wanted:
                    case(guest, bundles)
            nothing_is_lost(guest, fleet)
    print(f"ok updates of {board}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
