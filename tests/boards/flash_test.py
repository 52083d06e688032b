#!/usr/bin/env python3
"""Goal: the flash tool writes an image and a site's settings onto a medium and knows that they arrived; it refuses whatever
might be somebody's disk. Method: a small image made here, with a board's partitions; plain files, and loop devices where the
machine has them, stand for media."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLASH = os.path.join(ROOT, "boards", "build", "flash.py")
MEDIUM_MB = 2048
TABLE = "label: gpt\nstart=2048, size=2048, name=boot\nstart=4096, size=131072, name=data\n"


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, **more).stdout


class Place:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def medium(self, name, megabytes=MEDIUM_MB):
        with open(self.path(name), "wb") as f:
            f.truncate(megabytes << 20)
        return self.path(name)

    def make_image(self):
        image = self.medium("x.img", 70)
        subprocess.run(["sfdisk", "-q", image], input=TABLE, text=True, check=True)
        with open(image, "r+b") as f:
            f.seek(2048 * 512)
            f.write(bytes(range(256)) * 4096)
        run("bmaptool", "create", "-o", f"{image}.bmap", image)
        run("zstd", "-q", image, "-o", f"{image}.zst")
        return image

    def flash(self, medium, *more, again=None):
        done = subprocess.run([FLASH, "--board", "rpi", "--image", self.path("x.img"), "--dev", medium, "--again", again or medium, *more],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr


def refused(place, medium, words, *more, again=None):
    before = os.path.isfile(medium) and os.stat(medium).st_mtime_ns
    code, said = place.flash(medium, *more, again=again)
    assert code == 1 and words in said and "Traceback" not in said, f"{code}: {said}"
    assert not before or os.stat(medium).st_mtime_ns == before, "it was written to"


def refusals(place):
    medium = place.medium("refused", 64)
    refused(place, medium, "name the medium twice", again="/dev/sdb")
    refused(place, medium, "holds 64 MiB, this board's system needs 2048")
    refused(place, place.path("nothing"), "No such file")
    refused(place, "/dev/null", "is no disk and no file")
    large = place.medium("large")
    refused(place, large, "holds no weir.yaml", "--config", place.folder)
    refused(place, large, "is no public key", "--ssh-key", place.write("private", "-----BEGIN\n"))
    refused(place, large, "8 to 63 characters", "--wifi", f"hall:{place.write('short', 'abc')}")
    refused(place, large, "two letters", "--wifi", f"hall:{place.write('phrase', 'correct horse')}")
    for name in os.listdir("/sys/class/block"):
        if name.startswith(("vd", "nvme", "sd", "xvd")):
            code, said = place.flash(f"/dev/{name}")
            assert code == 1 and ("is not removable" in said or "is a partition" in said or "is in use" in said or "No such" in said), said
    print("  what may be somebody's is refused")


def settings_arrive(place):
    medium = place.medium("medium")
    config = place.path("site")
    os.mkdir(config)
    place.write("site/weir.yaml", "gateway: {name: hall-3}\n")
    place.write("site/ca.pem", "a certificate\n")
    key = place.write("key.pub", "ssh-ed25519 AAAA somebody\n")
    code, said = place.flash(medium, "--config", config, "--ssh-key", key, "--wifi", f"hall:{place.path('phrase')}", "--country", "DE")
    assert code == 0 and os.path.getsize(medium) == MEDIUM_MB << 20, said
    data = place.path("data.ext4")
    run("dd", f"if={medium}", f"of={data}", "bs=1M", "skip=2", "count=64", "status=none")
    run("e2fsck", "-fn", data)

    def cat(path):
        return run("debugfs", "-R", f"cat {path}", data)
    assert cat("/etc/weir/weir.yaml") == "gateway: {name: hall-3}\n" and cat("/etc/weir/ca.pem") == "a certificate\n"
    assert cat("/etc/ssh/authorized_keys") == "ssh-ed25519 AAAA somebody\n"
    wifi = cat("/etc/wpa_supplicant/wpa_supplicant.conf")
    assert "country=DE" in wifi and "ssid=68616c6c" in wifi and "correct horse" not in wifi, wifi
    with open(medium, "rb") as f:
        f.seek(2048 * 512)
        assert f.read(1 << 20) == bytes(range(256)) * 4096
    print("  image and settings are on the medium")


def what_does_not_arrive_is_seen(place):
    """A medium that loses a byte: the check after writing is given one."""
    sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
    import board
    import flash
    medium = place.medium("bad")
    assert place.flash(medium)[0] == 0
    flash.verify(medium, place.path("x.img.bmap"))
    with open(medium, "r+b") as f:
        f.seek(2048 * 512 + 4711)
        f.write(b"\xff\xff")
    try:
        flash.verify(medium, place.path("x.img.bmap"))
    except board.Fault as fault:
        assert "does not hold what was written" in str(fault)
    else:
        raise AssertionError("not seen")
    print("  a byte that does not arrive is seen")


def loop_devices(place):
    """As a card would be: and a mounted one is left alone."""
    if os.geteuid() != 0 or subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode != 0:
        print("  no loop devices here")
        return
    loop = run("losetup", "--show", "-f", place.medium("card")).strip()
    try:
        code, said = place.flash(loop)
        assert code == 0, said
        run("mkfs.ext4", "-q", loop, "1G")
        os.mkdir(place.path("mounted"))
        run("mount", loop, place.path("mounted"))
        try:
            code, said = place.flash(loop)
            assert code == 1 and "is in use" in said, said
        finally:
            run("umount", place.path("mounted"))
    finally:
        run("losetup", "-d", loop)
    print("  a loop device is written, a mounted one is not")


def main():
    for program in ("bmaptool", "zstd", "sfdisk", "mkfs.ext4", "debugfs"):
        if subprocess.run(["which", program], capture_output=True, check=False).returncode != 0:
            print(f"{program} is not installed")
            return 77
    with tempfile.TemporaryDirectory(prefix="weir-flash-") as folder:
        place = Place(folder)
        place.make_image()
        refusals(place)
        settings_arrive(place)
        what_does_not_arrive_is_seen(place)
        loop_devices(place)
    print("ok flash")
    return 0


sys.exit(main())
