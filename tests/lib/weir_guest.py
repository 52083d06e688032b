"""A board's image in QEMU, for tests: written by the flash tool onto a file that stands for the medium, started with the
machine that the board's data names, its console in a log, its ports on this machine's loopback. The guest reaches nothing
but what is passed on to it by name.

    with Guest("qemu-arm64", place, config_folder) as guest:
        guest.wait_console(r"weir: confirmed .*")
        guest.ssh("weir", "status")
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import board as boards  # noqa: E402
from weir_e2e import free_port  # noqa: E402
from weir_wire import Wire  # noqa: E402

OUTSIDE = "10.0.2.100"  # the guest's name for what is passed on to this machine
ADDRESS = "10.0.2.15"  # the guest's own
UNWANTED = 7777  # a port that no configuration opens
MEMORY_MB = 512
MEDIUM_MB = 4096  # a power of two: QEMU's cards want that


class Guest:
    def __init__(self, name, place, config=None, passed_on=None, medium=None):
        """`passed_on`: {the guest's port at OUTSIDE: a port of this machine's loopback}."""
        self.board, self.place, self.config = boards.read(name), place, config
        self.passed_on = passed_on or {}
        self.ports = {8883: free_port(), 22: free_port(), UNWANTED: free_port()}
        self.medium = medium or place.path("medium.img")
        self.key = place.path("ssh-key")
        self.seen = self.began_at = 0
        self.expects_failures = False
        self.more = []  # words for QEMU
        self.is_pi = "raspi" in self.board["QEMU"]  # that machine has its own memory, and no clock
        self.wire = Wire(place)
        self.monitor = place.path("monitor")
        self.plugged = self.board["QEMU_NET"].split() if "usb-" in self.board["QEMU_NET"] else None  # what is plugged in later
        self.disk = None  # instead of the medium: what QEMU calls it
        self.began = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # --- the medium ---

    def flash(self, *more):
        if not os.path.exists(self.key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        with open(self.medium, "wb") as f:
            f.truncate(MEDIUM_MB << 20)
        command = [os.path.join(ROOT, "boards/build/flash.py"), "--board", self.board["BOARD"], "--dev", self.medium, "--again", self.medium,
                   "--ssh-key", self.key + ".pub", *(["--config", self.config] if self.config else []), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        if self.board["QEMU_APPEND"]:
            self.append(self.board["QEMU_APPEND"])

    def append(self, words):
        """To the kernel's command line: only of this medium, as only this machine needs it."""
        fat, local = f"{self.medium}@@{self.partition('boot')[0]}", self.place.path("board.txt")
        subprocess.run(["mcopy", "-o", "-i", fat, "::/board.txt", local], check=True)
        with open(local, "a", encoding="utf-8") as f:
            f.write(f"append={words}\n")
        subprocess.run(["mcopy", "-o", "-i", fat, local, "::/board.txt"], check=True)

    def partition(self, name):
        """(begin, length) in bytes."""
        table = json.loads(subprocess.run(["sfdisk", "--json", self.medium], capture_output=True, text=True, check=True).stdout)["partitiontable"]
        return next((part["start"] * 512, part["size"] * 512) for part in table["partitions"] if part.get("name") == name)

    # --- the machine ---

    def command(self):
        net = "user,restrict=on" + "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items())
        net += "".join(f",guestfwd=tcp:{OUTSIDE}:{there}-cmd:socat - TCP:127.0.0.1:{here}" for there, here in self.passed_on.items())
        data = self.board
        memory = [] if self.is_pi else ["-m", str(MEMORY_MB)]
        net_device = [] if self.plugged else data["QEMU_NET"].split()
        return [*data["QEMU"].split(), *memory, "-nographic", "-monitor", f"unix:{self.monitor},server=on,wait=off",
                "-drive", f"if=none,id=disk,file={self.disk or self.medium},format=raw,cache=writeback", *data["QEMU_DISK"].split(),
                *self.wire.options(net), *net_device, *data["QEMU_WATCHDOG"].split(), "-action", "watchdog=reset", *self.more]

    def start(self):
        self.began, self.began_at = time.monotonic(), len(self.console())
        self.seen = self.began_at
        self.place.start("console", self.command(), cwd=ROOT)
        if self.plugged:
            threading.Thread(target=self.plug_in_net, args=(self.place.processes["console"],), daemon=True).start()

    def plug_in_net(self, machine):
        """At each start of the kernel, until the machine ends: QEMU's USB controller that a boot loader has used tells the kernel of
        nothing that was there before."""
        seen, device = self.began_at, self.plugged[1]
        while machine.poll() is None:
            at = self.console().find("Starting kernel ...", seen)
            if at >= 0:
                seen = at + 1
                for command in ("device_del nic", f"device_add {device},id=nic"):
                    self.tell_qemu(command)
            time.sleep(0.5)

    def tell_qemu(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor)
            s.settimeout(30)
            for text in (None, command):
                if text:
                    s.sendall(text.encode() + b"\n")
                said = b""
                while not said.endswith(b"(qemu) "):
                    said += s.recv(4096)
            return said.decode(errors="replace")

    def stop(self):
        self.place.stop("console")

    def version(self):
        """Of the image."""
        slot = os.path.join(ROOT, "build", "boards", self.board["BOARD"], "slot.ext4")
        return subprocess.run(["debugfs", "-R", "cat /etc/weir-version", slot], capture_output=True, text=True, check=True).stdout.strip()

    def seconds(self):
        return time.monotonic() - self.began

    def console(self):
        return self.place.log("console") if "console" in self.place.logs else ""

    def assert_well(self):
        """Not to wait minutes for what has failed: then its own words."""
        assert self.place.processes["console"].poll() is None, "the machine ended"
        if not self.expects_failures and "Failed to start" in self.console()[self.began_at:]:
            print(self.ssh("journalctl -b -o cat --no-pager -p warning; journalctl -b -o cat --no-pager -u weir | tail -n 15", check=False))
            raise AssertionError("a unit failed")

    def wait_console(self, pattern, seconds=300):
        """The match, in what the console said since the last one that was waited for."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            text = self.console()
            found = re.compile(pattern).search(text, self.seen)
            if found:
                self.seen = found.end()
                return found
            self.assert_well()
            time.sleep(0.1)
        raise AssertionError(f"the console did not say {pattern} within {seconds} s")

    def ssh_command(self, key=None):
        return ["ssh", "-p", str(self.ports[22]), "-i", key or self.key, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "root@127.0.0.1"]

    def ssh(self, *command, check=True, seconds=60):
        done = subprocess.run([*self.ssh_command(), *command], capture_output=True, text=True, timeout=seconds + 60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def put(self, data, path):
        subprocess.run([*self.ssh_command(), f"cat >{path}"], input=data, check=True, timeout=120)


def issue(place, name, usage, names):
    """A key and a certificate for a server, of the authority that place.pki() made."""
    pki = place.path("pki")
    extensions = place.path(f"{name}.ext")
    with open(extensions, "w", encoding="utf-8") as f:
        f.write(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\nsubjectAltName={names}\n")
    for command in (["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{pki}/{name}.key"],
                    ["openssl", "req", "-new", "-key", f"{pki}/{name}.key", "-subj", f"/CN={name}", "-out", f"{pki}/{name}.csr"],
                    ["openssl", "x509", "-req", "-in", f"{pki}/{name}.csr", "-CA", f"{pki}/ca.crt", "-CAkey", f"{pki}/ca.key", "-CAcreateserial",
                     "-days", "30", "-extfile", extensions, "-out", f"{pki}/{name}.crt"]):
        subprocess.run(command, check=True, capture_output=True)
