#!/usr/bin/env python3
"""Write a board's image onto a medium, check what was written, and put a site's settings on its data partition.

A medium is a removable disk, a loop device, or a plain file that stands for one. It must be named twice, be in no use, and
be large enough; otherwise nothing is written."""
import argparse
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import xml.etree.ElementTree as xml

import board
import debian
import disk
from debian import Step, run, say

CHUNK = 1 << 20


# --- may it be written? ---

def removable(name):
    """A card, a stick or a loop device; what is built in is not."""
    sys = f"/sys/class/block/{name}"
    path = os.path.realpath(sys)
    with open(f"{sys}/removable", encoding="utf-8") as f:
        flag = f.read().strip() == "1"
    kind = f"{sys}/device/type"
    card = os.path.exists(kind) and open(kind, encoding="utf-8").read().strip() == "SD"
    return flag or card or name.startswith("loop") or "/usb" in path


def in_use(name):
    """What of the disk is mounted, swapped to, or held by a mapping; empty: nothing."""
    sys = f"/sys/class/block/{name}"
    parts = [name] + [part for part in os.listdir(sys) if part.startswith(name)]
    numbers = {open(f"/sys/class/block/{part}/dev", encoding="utf-8").read().strip(): part for part in parts}
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        used = [numbers[line.split()[2]] for line in f if line.split()[2] in numbers]
    with open("/proc/swaps", encoding="utf-8") as f:
        used += [part for part in parts if f"/dev/{part} " in f.read()]
    used += [part for part in parts if os.path.isdir(f"/sys/class/block/{part}/holders") and os.listdir(f"/sys/class/block/{part}/holders")]
    return " ".join(sorted(set(used)))


def check_medium(path, again, bytes_min):
    if path != again:
        raise board.Fault(f"name the medium twice: {path} and {again or 'nothing'} differ")
    try:
        kind = os.stat(path).st_mode
    except OSError as err:
        raise board.Fault(f"{path}: {err.strerror}") from None
    if stat.S_ISBLK(kind):
        name = os.path.basename(os.path.realpath(path))
        if os.path.exists(f"/sys/class/block/{name}/partition"):
            raise board.Fault(f"{path} is a partition, not a whole disk")
        if not removable(name):
            raise board.Fault(f"{path} is not removable")
        if in_use(name):
            raise board.Fault(f"{path} is in use: {in_use(name)}")
    elif not stat.S_ISREG(kind):
        raise board.Fault(f"{path} is no disk and no file")
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
    if size < bytes_min:
        raise board.Fault(f"{path} holds {size >> 20} MiB, this board's system needs {bytes_min >> 20}")


# --- writing ---

def ranges(bmap):
    """(first byte, bytes, SHA-256) of what the image holds."""
    root = xml.parse(bmap).getroot()
    size, total = int(root.find("BlockSize").text), int(root.find("ImageSize").text)
    for each in root.find("BlockMap"):
        first, _, last = each.text.strip().partition("-")
        begin, end = int(first) * size, min((int(last or first) + 1) * size, total)
        yield begin, end - begin, each.get("chksum")


def forget_cache(path):
    """So that what is read next comes from the medium."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def verify(path, bmap):
    forget_cache(path)
    with open(path, "rb") as f:
        for begin, count, wanted in ranges(bmap):
            f.seek(begin)
            digest, left = hashlib.sha256(), count
            while left > 0:
                piece = f.read(min(CHUNK, left))
                if not piece:
                    break
                digest.update(piece)
                left -= len(piece)
            if digest.hexdigest() != wanted:
                raise board.Fault(f"{path} does not hold what was written: {count} bytes from {begin} on")


def write_image(image, path):
    size = os.stat(path).st_size
    with Step(f"writing {os.path.basename(image)} to {path}"):
        done = subprocess.run(["bmaptool", "copy", "--bmap", f"{image}.bmap", f"{image}.zst", path], capture_output=True, text=True)
        if done.returncode != 0:
            raise board.Fault(f"bmaptool: {done.stderr[-500:]}")
        if not stat.S_ISBLK(os.stat(path).st_mode):
            os.truncate(path, size)  # bmaptool cuts a file to the image's length
    with Step("reading it back"):
        verify(path, f"{image}.bmap")


# --- a site's settings ---

def copy_settings(config, to):
    """A weir.yaml, or a folder with one and what it names: certificates, keys, passwords."""
    os.makedirs(to)
    if os.path.isdir(config):
        if not os.path.exists(os.path.join(config, "weir.yaml")):
            raise board.Fault(f"{config} holds no weir.yaml")
        shutil.copytree(config, to, dirs_exist_ok=True)
    else:
        shutil.copy(config, os.path.join(to, "weir.yaml"))


def wifi_settings(wifi, country):
    """NAME:FILE, the file holding the passphrase; only the key made of it is written."""
    name, _, path = wifi.partition(":")
    try:
        with open(path, encoding="utf-8") as f:
            phrase = f.read().rstrip("\n")
    except OSError as err:
        raise board.Fault(f"--wifi NAME:FILE: {path or 'no file'}: {err.strerror}") from None
    if not 8 <= len(phrase) <= 63:
        raise board.Fault("a Wi-Fi passphrase has 8 to 63 characters")
    if not re.fullmatch(r"[A-Z]{2}", country or ""):
        raise board.Fault("--country: two letters say which channels are allowed, such as DE")
    key = hashlib.pbkdf2_hmac("sha1", phrase.encode(), name.encode(), 4096, 32).hex()
    return f"country={country}\nnetwork={{\n\tssid={name.encode().hex()}\n\tpsk={key}\n}}\n"


def settings(arguments, to):
    if arguments.config:
        copy_settings(arguments.config, f"{to}/etc/weir")
    if arguments.ssh_key:
        with open(arguments.ssh_key, encoding="utf-8") as f:
            key = f.read()
        if not re.match(r"(ssh|ecdsa|sk)-\S+ \S+", key):
            raise board.Fault(f"{arguments.ssh_key} is no public key")
        os.makedirs(f"{to}/etc/ssh")
        with open(f"{to}/etc/ssh/authorized_keys", "w", encoding="utf-8") as f:
            f.write(key)
    if arguments.wifi:
        os.makedirs(f"{to}/etc/wpa_supplicant")
        with open(f"{to}/etc/wpa_supplicant/wpa_supplicant.conf", "w", encoding="utf-8") as f:
            f.write(wifi_settings(arguments.wifi, arguments.country))
    return os.listdir(to)


def data_begin(path):
    table = json.loads(run("sfdisk", "--json", path))["partitiontable"]
    return next(part["start"] for part in table["partitions"] if part.get("name") == "data") * table.get("sectorsize", 512)


def write_settings(folder, name, path):
    with tempfile.TemporaryDirectory() as at, Step("the site's settings"):
        for where, _, names in os.walk(folder):
            os.chmod(where, 0o755)
            for each in names:
                os.chmod(os.path.join(where, each), 0o600)
        data = os.path.join(at, "data.ext4")
        disk.data_filesystem(data, name, dict(os.environ), folder)
        with open(data, "rb") as f, open(path, "r+b") as to:
            to.seek(data_begin(path))
            shutil.copyfileobj(f, to, CHUNK)
            os.fsync(to.fileno())
        forget_cache(path)
        with open(data, "rb") as f, open(path, "rb") as written:
            written.seek(data_begin(path))
            while piece := f.read(CHUNK):
                if written.read(len(piece)) != piece:
                    raise board.Fault(f"{path} does not hold the settings that were written")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--board", required=True)
    parser.add_argument("--dev", required=True, help="the medium: /dev/sdX, or a file that stands for one")
    parser.add_argument("--again", default="", help="the medium again, so that no slip of the finger costs a disk")
    parser.add_argument("--image", help="else the one that `make image` made for the board")
    parser.add_argument("--config", help="weir.yaml, or a folder with it and the files it names (as /etc/weir/...)")
    parser.add_argument("--ssh-key", help="public key of those who may log in as root; without one ssh is off")
    parser.add_argument("--wifi", help="NAME:FILE, the file holding the passphrase")
    parser.add_argument("--country", help="with --wifi: two letters")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    data = board.read_for_image(arguments.board)
    image = arguments.image or os.path.join(debian.WORK, arguments.board, f"{arguments.board}.img")
    for path in (f"{image}.zst", f"{image}.bmap"):
        if not os.path.exists(path):
            raise board.Fault(f"{path} is not there: make image BOARD={arguments.board}")
    check_medium(arguments.dev, arguments.again, int(data["DISK_MB_MIN"]) << 20)
    with tempfile.TemporaryDirectory() as folder:
        given = settings(arguments, folder)
        write_image(image, arguments.dev)
        if given:
            write_settings(folder, arguments.board, arguments.dev)
    say(f"{arguments.dev} is ready for {arguments.board}")
    return 0


if __name__ == "__main__":
    board.or_exit(main)
