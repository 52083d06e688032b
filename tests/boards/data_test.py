#!/usr/bin/env python3
"""Goal: boards are data, whole, and say the same to make and to the builder; a fault in one is told with its line.
Method: every board.mk and hal.conf of the tree; faults as a table; make's own reading of a board beside the builder's."""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import board  # noqa: E402

WHOLE = {"ARCH": "arm64", "CROSS": "", "SYSROOT": "", "RUNNER": "", "STATE": "built", "KERNEL": "linux-image-arm64",
         "CONSOLE": "ttyS1,115200", "ROOT_MODULES": "mmc_block", "MODULES": "", "BOOTLOADER": "uboot", "BOOT": "booti",
         "LAYOUT": "gpt", "MEMORY_MB_MIN": "256", "DISK_MB_MIN": "1024"}


def text(**changes):
    return "".join(f"{name} := {value}\n" for name, value in {**WHOLE, **changes}.items() if value is not None)


FAULTS = (
    ("all:\n\trm -rf /\n", "x:1: `all:` is not `NAME := value`"),
    ("ARCH = arm64\n", "x:1: `ARCH = arm64` is not `NAME := value`"),
    ("ARCH := $(shell uname -m)\n", "x:1: ARCH calls for something that is not of this file"),
    ("ARCH := arm64\n\n# twice\nARCH := armhf\n", "x:4: ARCH is there twice"),
    ("COLOUR := green\n", "x:1: COLOUR is nothing that a board has"),
    ("MODULES := a \\\n  b \\\n  c\nMODULES := d\n", "x:4: MODULES is there twice"),
    (text(KERNEL=None), "x: KERNEL is missing"),
    (text(STATE="unsupported"), "x: NOTE is missing"),
    (text(STATE="booted"), "x: booted where? QEMU is missing"),
    (text(ARCH="mips"), "x: ARCH can't be `mips`"),
    (text(CONSOLE="ttyS1"), "x: CONSOLE can't be `ttyS1`"),
    (text(RAW_FILES="MLO"), "x: RAW_FILES can't be `MLO`"),
)


def faults_are_told():
    for given, expected in FAULTS:
        try:
            board.check(board.parse(given, "x"), "x")
        except board.Fault as fault:
            assert str(fault) == expected, f"{fault!s}\nnot\n{expected}"
        else:
            raise AssertionError(f"taken: {given}")
    board.check(board.parse(text(), "x"), "x")
    print(f"  {len(FAULTS)} faults are told")


def packages(group):
    with open(os.path.join(ROOT, ".ci", "packages"), encoding="utf-8") as f:
        return {line.split()[1] for line in f if line.split()[:1] == [group]}


def boards_are_whole():
    for name in board.names():
        data = board.read(name)
        files = set(os.listdir(os.path.join(board.BOARDS, name)))
        assert files == {"board.mk", "hal.conf"}, f"{name}: {files}"
        if data["CROSS"]:
            assert f"gcc-{data['CROSS'].rstrip('-')}" in packages("cross"), f"{name}: no compiler in .ci/packages"
        with open(os.path.join(board.BOARDS, name, "hal.conf"), encoding="utf-8") as f:
            parts = dict(re.findall(r"^(\w+) *= *([^#\n]*)", f.read(), re.M))
        limit = int(parts.get("memory_bytes_max", "0"))
        assert data["STATE"] == "unsupported" or limit <= int(data["MEMORY_MB_MIN"]) << 20, f"{name}: {limit} bytes on so small a board"
    print(f"  {len(board.names())} boards")


def no_code_beside_them():
    """Boards' folders hold data; what builds is in boards/build, what goes into an image in boards/overlay."""
    for path in glob.glob(os.path.join(board.BOARDS, "*", "*")):
        folder = os.path.basename(os.path.dirname(path))
        assert folder in ("build", "overlay") or not os.access(path, os.X_OK), path


def make_reads_the_same():
    for name in ("rpi", "pc"):
        done = subprocess.run(["make", "-s", "--no-print-directory", f"BOARD={name}", "board-data"], cwd=ROOT, capture_output=True, text=True,
                              timeout=60, check=True, env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})
        told = dict(line.split("=", 1) for line in done.stdout.splitlines())
        read = board.read(name)
        assert told and all(read[key] == " ".join(value.split()) for key, value in told.items()), (told, read)
    print("  make and the builder read the same")


def an_image_of_nothing_is_refused():
    for name, expected in (("rpi5", "rpi5 is unsupported: Debian"), ("toaster", "no board `toaster`: there are beaglebone,")):
        try:
            board.read_for_image(name)
        except board.Fault as fault:
            assert str(fault).startswith(expected), fault
        else:
            raise AssertionError(name)


def main():
    faults_are_told()
    boards_are_whole()
    no_code_beside_them()
    make_reads_the_same()
    an_image_of_nothing_is_refused()
    print("ok boards' data")
    return 0


sys.exit(main())
