#!/usr/bin/env python3
"""Goal: the disk that the power is cut of (weir_nbd.py) keeps what was flushed, and of the rest whole sectors by chance, whatever a machine asks
of it; and a data partition whose superblock, two sectors, was torn by a cut is mended by the board's own check, with all that is in it.
Method: a small client of the protocol; the check as it stands in weir-data, over a file."""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import weir_nbd as nbd  # noqa: E402
from weir_e2e import ROOT, skip_without  # noqa: E402

BYTES = 64 * nbd.SECTOR


class Client:
    """What QEMU sends."""

    def __init__(self, at):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(at)
        assert nbd.receive(self.socket, 18)[:8] == b"NBDMAGIC"
        self.socket.sendall(struct.pack(">I", 1) + struct.pack(">QII", nbd.MAGIC_OPTION, nbd.OPTION_GO, 6) + struct.pack(">IH", 0, 0))
        for _ in range(2):
            length = struct.unpack(">QIII", nbd.receive(self.socket, 20))[3]
            info = nbd.receive(self.socket, length)
            if length:
                assert struct.unpack(">HQH", info) == (0, BYTES, nbd.FLAGS)

    def ask(self, what, sector=0, count=0, data=b""):
        self.socket.sendall(struct.pack(">IHHQQI", nbd.MAGIC_REQUEST, 0, what, 7, sector * nbd.SECTOR, count * nbd.SECTOR) + data)
        magic, error, handle = struct.unpack(">IIQ", nbd.receive(self.socket, 16))
        assert (magic, error, handle) == (nbd.MAGIC_ANSWER, 0, 7)
        return nbd.receive(self.socket, count * nbd.SECTOR) if what == nbd.READ else b""

    def write(self, sector, byte, count=1):
        self.ask(nbd.WRITE_IT, sector, count, bytes([byte]) * count * nbd.SECTOR)


def sectors(path):
    """Each one's byte; a torn one is a failure."""
    with open(path, "rb") as f:
        whole = f.read()
    assert len(whole) == BYTES and all(len(set(whole[at:at + nbd.SECTOR])) == 1 for at in range(0, BYTES, nbd.SECTOR)), "a torn sector"
    return [whole[at] for at in range(0, BYTES, nbd.SECTOR)]


def what_was_flushed_is_there(folder):
    first, now, cut = (os.path.join(folder, name) for name in ("first", "now", "cut"))
    for path in (first, now):
        with open(path, "wb") as f:
            f.truncate(BYTES)
    server = nbd.Server(now, os.path.join(folder, "socket"))
    server.start()
    client = Client(server.at)
    client.write(0, 1, 8)
    client.ask(nbd.FLUSH_IT)
    client.write(0, 2, 8)
    client.write(16, 3, 32)
    server.log.add(nbd.NOTE, 0, "told")
    client.ask(nbd.ZEROES, 20, 4)
    assert client.ask(nbd.READ, 0, 1) == bytes([2]) * nbd.SECTOR, "the machine itself sees what it wrote"
    client.ask(nbd.FLUSH_IT)
    log, player, seen = server.log, nbd.Player(server.log, first), set()
    assert [kind for kind, _, _ in log.entries] == [nbd.WRITE, nbd.FLUSH, nbd.WRITE, nbd.WRITE, nbd.NOTE, nbd.WRITE, nbd.FLUSH]
    assert log.notes_before(4) == [] and log.notes_before(5) == ["told"]
    assert log.writes_within(18 * nbd.SECTOR, 19 * nbd.SECTOR) == [3]
    assert player.disk_at(2, 1, cut) == (0, 0) and sectors(cut) == [1] * 8 + [0] * 56
    for seed in range(30):
        loose, through = player.disk_at(6, seed, cut)
        there = sectors(cut)
        assert loose == 8 + 32 + 4 and 0 < through < loose
        assert set(there[:8]) <= {1, 2} and set(there[16:48]) <= {0, 3} and set(there[8:16] + there[48:]) == {0}
        seen.add(tuple(there))
    assert len(seen) > 25, "the same by every seed"
    assert player.disk_at(7, 1, cut) == (0, 0) and sectors(cut) == [2] * 8 + [0] * 8 + [3] * 4 + [0] * 4 + [3] * 24 + [0] * 16
    client.ask(nbd.READ, 63, 1)
    server.close()


def board_check(path):
    """The check of the board's own script."""
    with open(os.path.join(ROOT, "boards/overlay/usr/lib/weir/weir-data"), encoding="utf-8") as f:
        script = f.read()
    functions = re.search(r"^say\(\) .*$", script, re.M)[0] + "\n" + re.search(r"^check\(\) \{$.*?^\}$", script, re.M | re.S)[0]
    return subprocess.run(["sh", "-uc", f"part={path}\n{functions}\ncheck"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]})


def a_torn_superblock_is_mended(folder):
    whole, torn = os.path.join(folder, "data.ext4"), os.path.join(folder, "torn.ext4")
    env = {**os.environ, "PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]}
    subprocess.run(["mkfs.ext4", "-q", "-L", "data", "-m", "1", "-E", "lazy_itable_init=0", whole, "64M"], check=True, capture_output=True, env=env)
    subprocess.run(["debugfs", "-w", "-R", f"write {__file__} kept", whole], check=True, capture_output=True, env=env)
    with open(whole, "rb") as f:
        before = f.read(2048)
    subprocess.run(["tune2fs", "-c", "7", whole], check=True, capture_output=True, env=env)
    for sector in (2, 3):  # of the superblock, as it was before
        subprocess.run(["cp", "--sparse=always", whole, torn], check=True)
        with open(torn, "r+b") as f:
            f.seek(sector * nbd.SECTOR)
            f.write(before[sector * nbd.SECTOR:(sector + 1) * nbd.SECTOR])
        assert subprocess.run(["e2fsck", "-p", torn], capture_output=True, check=False, env=env).returncode >= 4, "it is not torn"
        said = board_check(torn)
        assert "damaged, mending" in said.stdout, said
        assert subprocess.run(["e2fsck", "-fn", torn], capture_output=True, check=False, env=env).returncode == 0, "not mended"
        kept = subprocess.run(["debugfs", "-R", "cat kept", torn], check=True, capture_output=True, env=env).stdout
        with open(__file__, "rb") as f:
            assert kept == f.read()


def main():
    skip_without("mkfs.ext4", "debugfs", "tune2fs")
    with tempfile.TemporaryDirectory() as folder:
        what_was_flushed_is_there(folder)
        a_torn_superblock_is_mended(folder)
    print("ok the disk that is cut, and a torn superblock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
