#!/usr/bin/env python3
"""image.py BOARD DEB VERSION: a disk image for a board, into build/boards/BOARD. Needs root, for owners and for chroot."""
import os
import shutil
import sys
import time

import board
import debian
import disk
import keys
import rootfs
import sbom
from debian import run, say


def sizes(out, root, image):
    """The list of packages with their sizes, and what the image comes to."""
    packages = sbom.from_dpkg(open(root.path("var/lib/dpkg/status"), encoding="utf-8").read())
    with open(os.path.join(out, "packages.txt"), "w", encoding="utf-8") as f:
        for package in sorted(packages, key=lambda p: -p["bytes"]):
            f.write(f"{package['bytes'] >> 10:8} KiB  {package['name']} {package['version']}\n")
    taken = int(run("du", "-s", "-B", "1", root.folder).split()[0])
    modules = int(run("du", "-s", "-B", "1", root.path("usr/lib/modules")).split()[0])
    say(f"{len(packages)} packages, {taken / 1e6:.0f} MB; of it the kernel {os.path.getsize(root.path('boot/vmlinuz')) / 1e6:.0f}, "
        f"its modules {modules / 1e6:.1f}, initramfs {os.path.getsize(root.path('boot/initrd.img')) / 1e6:.1f}")
    say(f"{image}: {os.path.getsize(image) / 1e6:.0f} MB, compressed {os.path.getsize(image + '.zst') / 1e6:.1f} MB")
    return packages


def build(data, deb, version, keyring):
    out = os.path.join(debian.WORK, data["BOARD"])
    work = os.path.join(out, "work")
    os.makedirs(work, exist_ok=True)
    rootfs.emulator_is_there(data["ARCH"])
    root = rootfs.Root(data, os.path.join(work, "root"), disk.commit_time())
    root.begin()
    root.add_updater()
    root.install(deb)
    root.add_kernel()
    root.add_firmware()
    root.add_grub_tool()
    root.add_initramfs()
    root.add_overlay(version, keyring)
    root.finish()
    disk.slot(root, os.path.join(work, "slot.ext4"))
    image = os.path.join(out, f"{data['BOARD']}.img")
    disk.Disk(root, work).assemble(image)
    disk.compress(image)
    packages = sizes(out, root, image)
    for name in data["BOOT_PACKAGES"].split():
        packages += [p for p in [boot_package(root, name)] if p["name"] not in {q["name"] for q in packages}]
    sbom.write(os.path.join(out, data["BOARD"]), f"weir-{data['BOARD']}", version, packages, root.epoch)
    shutil.copy(os.path.join(work, "slot.ext4"), os.path.join(out, "slot.ext4"))
    shutil.copytree(os.path.join(work, "boot"), os.path.join(out, "boot"), dirs_exist_ok=True)
    shutil.rmtree(work)


def boot_package(root, name):
    control = run("dpkg-deb", "-f", root.shelf.fetch(name))
    head, rest = control.split("\n", 1)
    return sbom.from_dpkg(f"{head}\nStatus: install ok installed\n{rest}")[0]


def main():
    if os.geteuid() != 0:
        raise board.Fault("an image is made as root: its files have owners, and packages are installed in it")
    name, deb, version = sys.argv[1:4]
    keyring = os.path.join(keys.ready(bool(os.environ.get("RELEASE"))), "keyring.pem")
    began = time.monotonic()
    build(board.read_for_image(name), deb, version, keyring)
    say(f"image of {name}: {time.monotonic() - began:.0f} s")
    return 0


board.or_exit(main)
