"""Out of a root file system: the slot's image, and the whole disk's. The same input gives the same bytes."""
import os
import shutil
import subprocess
import uuid

import debian
from board import ROOT
from debian import Step, run
from rootfs import HERE, fill, settle_times

SLOT_MB = 512       # a slot's partition; an update may be as large
DATA_MB = 64        # in the image; grown on the board
BLOCK = 4096
ENTRIES_FREE = 4096
BOOT_MB = 48
GRUB_MODULES = "memdisk tar normal part_gpt fat ext2 search search_label loadenv regexp test echo linux serial terminal reboot sleep boot minicmd"


def same_uuid(*words):
    return str(uuid.uuid5(uuid.UUID("77656972-0000-4000-8000-000000000000"), "/".join(words)))


def slot(root, path):
    """One read-only file system with all of a slot: kernel, initramfs, device trees, everything else."""
    with Step("slot"):
        used = int(run("du", "-s", "--apparent-size", "-B", str(BLOCK), root.folder).split()[0])
        entries = sum(len(folders) + len(names) for _, folders, names in os.walk(root.folder))
        blocks = used + used // 10 + 2048
        if blocks * BLOCK > SLOT_MB << 20:
            raise debian.Fault(f"{blocks * BLOCK >> 20} MiB do not fit into a slot of {SLOT_MB}")
        if os.path.exists(path):
            os.remove(path)
        run("genext2fs", "-B", str(BLOCK), "-b", str(blocks), "-N", str(entries + ENTRIES_FREE), "-L", "weir", "-m", "0", "-f", "-d", root.folder,
            path, env={**os.environ, "SOURCE_DATE_EPOCH": str(root.epoch)})


class Disk:
    def __init__(self, root, work):
        self.root, self.data, self.work = root, root.data, work
        self.env = {**os.environ, "SOURCE_DATE_EPOCH": str(root.epoch), "E2FSPROGS_FAKE_TIME": str(root.epoch), "TZ": "UTC"}

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def write(self, path, text):
        with open(self.path(path), "w", encoding="utf-8") as f:
            f.write(text)

    # --- the boot partition and the state ---

    def boot_files(self):
        debian.clear(self.path("boot"))
        for package in self.data["BOOT_PACKAGES"].split():
            debian.unpack(self.root.shelf.fetch(package), self.path("packages"))
        for pair in self.data["BOOT_FILES"].split():
            source, name = pair.split(":")
            shutil.copy(self.path("packages", source), self.path("boot", name))
        if self.data["BOOT_SETTINGS"]:
            self.write("boot/config.txt", "".join(f"{line}\n" for line in self.data["BOOT_SETTINGS"].split()))
            for tree in self.data["DEVICE_TREES"].split():  # the first stage passes one on
                shutil.copy(self.root.path("boot/dtb", tree), self.path("boot"))
        (self.grub_files if self.data["BOOTLOADER"] == "grub" else self.uboot_files)()
        settle_times(self.path("boot"), self.root.epoch)

    def uboot_files(self):
        run("mkimage", "-A", "arm64" if self.data["ARCH"] == "arm64" else "arm", "-T", "script", "-C", "none", "-n", "weir", "-d", f"{HERE}/uboot.cmd",
            self.path("boot/boot.scr"), env=self.env)
        lines = {"console": self.data["CONSOLE"], "boot": self.data["BOOT"]}
        if self.data["DEVICE_TREES"] and not self.data["BOOT_SETTINGS"]:
            lines["devicetree"] = "yes"  # nobody passes one on
        self.write("boot/board.txt", "".join(f"{key}={value}\n" for key, value in lines.items() if value))
        self.write("state.txt", "BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=0\n")  # B is empty
        run("mkenvimage", "-s", "0x200", "-o", self.path("bootstate.bin"), self.path("state.txt"))

    def grub_files(self):
        os.makedirs(self.path("boot/EFI/BOOT"))
        with open(f"{HERE}/grub.cfg", encoding="utf-8") as f:
            self.write("grub.cfg", fill(f.read(), {"console": self.data["CONSOLE"]}))
        # Not grub-mkstandalone: the archive that it puts the configuration in bears the time of day.
        memdisk = self.path("memdisk.tar")
        run("tar", "-c", "-f", memdisk, f"--mtime=@{self.root.epoch}", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar", "-C", self.work,
            "--transform=s,^,boot/grub/,", "grub.cfg")
        run("grub-mkimage", "-O", "x86_64-efi", "-o", self.path("boot/EFI/BOOT/BOOTX64.EFI"), "-p", "(memdisk)/boot/grub", "-m", memdisk, *GRUB_MODULES.split(),
            env=self.env)
        run("grub-editenv", self.path("boot/grubenv"), "create")
        run("grub-editenv", self.path("boot/grubenv"), "set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0")
        with open(self.path("bootstate.bin"), "wb") as f:
            f.write(bytes(512))

    # --- partitions ---

    def boot_partition(self):
        path = self.path("boot.vfat")
        if os.path.exists(path):
            os.remove(path)
        run("truncate", "-s", f"{BOOT_MB}M", path)
        run("mkfs.vfat", "-F", "32", "-n", "WEIRBOOT", "-i", same_uuid(self.data["BOARD"], "fat")[:8], "--invariant", path, env=self.env)
        for name in sorted(os.listdir(self.path("boot"))):
            run("mcopy", "-s", "-m", "-i", path, self.path("boot", name), f"::/{name}", env=self.env)

    def data_partition(self):
        data_filesystem(self.path("data.ext4"), self.data["BOARD"], self.env)

    def layout(self):
        board = self.data["BOARD"]
        fat = " partition-type = 0x0c" if self.data["LAYOUT"] == "hybrid" else ""

        def partition(name, kind, rest):
            return f'    partition {name} {{ partition-type-uuid = "{kind}" partition-uuid = "{same_uuid(board, name)}" {rest} }}\n'
        raw = "".join(f'    partition raw{i} {{ in-partition-table = false offset = {pair.split("@")[1]} image = "packages/{pair.split("@")[0]}" }}\n'
                      for i, pair in enumerate(self.data["RAW_FILES"].split()))
        return (f'image {board}.img {{\n    hdimage {{ partition-table-type = "{self.data["LAYOUT"]}" disk-uuid = "{same_uuid(board)}" }}\n' + raw
                + partition("boot", "U", f'image = "boot.vfat" bootable = true offset = {"2M" if raw else "1M"}{fat}')
                + partition("bootstate", "3DE21764-95BD-54BD-A5C3-4ABE786F38A8", 'image = "bootstate.bin" size = 1M')
                + partition("system_a", "L", f'image = "slot.ext4" size = {SLOT_MB}M')
                + partition("system_b", "L", f"size = {SLOT_MB}M")
                + partition("data", "L", 'image = "data.ext4"') + "}\n")

    def assemble(self, out):
        with Step("disk"):
            self.boot_files()
            self.boot_partition()
            self.data_partition()
            self.write("genimage.cfg", self.layout())
            empty, scratch = self.path("empty"), self.path("scratch")
            debian.clear(empty)
            shutil.rmtree(scratch, ignore_errors=True)
            run("genimage", "--config", self.path("genimage.cfg"), "--inputpath", self.work, "--outputpath", os.path.dirname(out),
                "--rootpath", empty, "--tmppath", scratch, env=self.env)
            shutil.rmtree(scratch, ignore_errors=True)


def data_filesystem(path, board, env, folder=None):
    """The data partition's file system; with what lies in `folder`."""
    if os.path.exists(path):
        os.remove(path)
    run("mkfs.ext4", "-q", "-L", "data", "-m", "1", "-U", same_uuid(board, "data"), "-E", f"hash_seed={same_uuid(board, 'hash')},lazy_itable_init=0",
        *(["-d", folder] if folder else []), path, f"{DATA_MB}M", env=env)


def compress(image):
    """(zst, bmap): what is shipped; the bmap says which blocks hold something, with their sums."""
    with Step("compressed"):
        run("bmaptool", "create", "-o", f"{image}.bmap", image)
        subprocess.run(["zstd", "-q", "-f", "-T2", "-10", image, "-o", f"{image}.zst"], check=True)
    return f"{image}.zst", f"{image}.bmap"


def commit_time():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", cwd=ROOT))
