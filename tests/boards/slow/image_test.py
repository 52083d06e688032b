#!/usr/bin/env python3
"""Goal: two builds of an image are the same bytes; its bill of materials names every package that is in it and no other; it is as
small as promised. Method: `image_test.py BOARD`: the image that is there, built once more; the packages are read out of
the slot's file system itself."""
import hashlib
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import board  # noqa: E402
import sbom  # noqa: E402

COMPRESSED_MAX_MB = 120


def digest(path):
    whole = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            whole.update(piece)
    return whole.hexdigest()


def build(name):
    subprocess.run(["make", "-s", "image", f"BOARD={name}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})


def read_slot(folder, path):
    return subprocess.run(["debugfs", "-R", f"cat {path}", os.path.join(folder, "slot.ext4")], capture_output=True, text=True, check=True).stdout


def bills_are_whole(folder, name):
    inside = {p["name"]: p["version"] for p in sbom.from_dpkg(read_slot(folder, "/var/lib/dpkg/status"))}
    before = board.read(name)["BOOT_PACKAGES"].split()
    assert len(inside) > 100 and "weir" in inside and [p for p in inside if p.startswith("linux-image-")], sorted(inside)
    with open(os.path.join(folder, f"{name}.spdx.json"), encoding="utf-8") as f:
        spdx = {p["name"]: p["versionInfo"] for p in json.load(f)["packages"]}
    with open(os.path.join(folder, f"{name}.cdx.json"), encoding="utf-8") as f:
        cyclonedx = {p["name"]: p["version"] for p in json.load(f)["components"]}
    assert spdx == cyclonedx
    assert {p: v for p, v in spdx.items() if p not in before} == inside and set(before) <= set(spdx)
    print(f"  {len(spdx)} packages, in both bills")


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "qemu-arm64"
    folder = os.path.join(ROOT, "build", "boards", name)
    image = os.path.join(folder, f"{name}.img")
    if os.geteuid() != 0:
        print("only root can make an image")
        return 77
    if not os.path.exists(image):
        build(name)
    first = digest(image)
    build(name)
    assert digest(image) == first, "two builds differ"
    bills_are_whole(folder, name)
    compressed = os.path.getsize(f"{image}.zst") / 1e6
    assert compressed <= COMPRESSED_MAX_MB, f"{compressed} MB"
    print(f"ok {name} twice the same, {compressed:.1f} MB compressed")
    return 0


sys.exit(main())
