#!/usr/bin/env python3
"""bundle.py BOARD VERSION [SLOT [OUT]]: a signed update for a board: the slot's image that `make image` made, as a RAUC bundle of the
verity format, of which a board reads only the blocks that changed when it can."""
import os
import shutil
import sys
import tempfile

import board
import debian
import keys
from debian import Step, run, say

MANIFEST = """[update]
compatible=weir-{board}
version={version}

[bundle]
format=verity

[image.rootfs]
filename=slot.ext4
"""
ADAPTIVE = "adaptive=block-hash-index\n"
SIGNER = """[system]
compatible=weir-{board}
bootloader=noop

[keyring]
path={keyring}
check-purpose=codesign
"""


def make(name, version, slot, out, at, adaptive=True):
    """A bundle at `out`, signed with the keys of the folder `at`; if adaptive, blocks that the board has are not read from it."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as work, Step(f"bundle {version} for {name}"):
        content = os.path.join(work, "content")
        os.mkdir(content)
        run("cp", "--sparse=always", slot, os.path.join(content, "slot.ext4"))
        for path, text in ((os.path.join(content, "manifest.raucm"), MANIFEST + ADAPTIVE * adaptive), (os.path.join(work, "signer.conf"), SIGNER)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.format(board=name, version=version, keyring=os.path.join(at, "keyring.pem")))
        if os.path.exists(out):
            os.remove(out)
        run("rauc", f"--conf={work}/signer.conf", f"--cert={at}/sign.pem", f"--key={at}/sign.key",
            "--mksquashfs-args=-comp zstd -Xcompression-level 6 -b 131072 -no-progress -quiet", "bundle", content, out)


def main():
    name, version = sys.argv[1:3]
    board.read_for_image(name)
    folder = os.path.join(debian.WORK, name)
    slot = sys.argv[3] if len(sys.argv) > 3 else os.path.join(folder, "slot.ext4")
    out = sys.argv[4] if len(sys.argv) > 4 else os.path.join(folder, f"weir-{name}-{version}.raucb")
    if not os.path.exists(slot):
        raise board.Fault(f"{slot} is not there: make image BOARD={name}")
    if not shutil.which("rauc"):
        raise board.Fault("rauc is not installed")
    make(name, version, slot, out, keys.ready(bool(os.environ.get("RELEASE"))))
    say(f"{out}: {os.path.getsize(out) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    board.or_exit(main)
