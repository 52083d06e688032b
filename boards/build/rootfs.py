"""A board's root file system as a folder: base, Weir's package, kernel with the modules it needs, initramfs, overlay."""
import glob
import os
import re
import shutil
import subprocess

import debian
import streaming
from board import ROOT, Fault
from debian import Step, run

HERE = os.path.join(ROOT, "boards", "build")
OVERLAY = os.path.join(ROOT, "boards", "overlay")
ENABLED = ("weir-data", "weir-firewall", "weir-confirm", "weir-reset.path", "weir", "weir-update.socket", "ssh", "chrony", "systemd-networkd",
           "systemd-resolved", "rauc")
# What can't work on a read-only root, or what nobody is there for.
MASKED = ("getty@tty1.service", "serial-getty@.service", "e2scrub_reap.service", "e2scrub_all.timer", "dpkg-db-backup.timer", "fstrim.timer",
          "systemd-pstore.service", "systemd-journal-flush.service", "systemd-random-seed.service", "wpa_supplicant.service",
          "systemd-machine-id-commit.service", "systemd-update-done.service", "ldconfig.service", "getty.target",
          "systemd-growfs-root.service", "systemd-remount-fs.service", "ifupdown-pre.service")
TRIMMED = ("var/cache", "var/log", "var/lib/apt", "var/backups", "usr/lib/*/gconv", "usr/lib/udev/hwdb.d", "usr/lib/networkd-dispatcher",
           "usr/lib/NetworkManager", "usr/lib/pm-utils", "usr/share/doc-base", "usr/share/lintian", "usr/share/polkit-1", "usr/share/zsh",
           "usr/share/fish", "usr/share/bug", "usr/share/pixmaps", "usr/games", "usr/include", "usr/share/common-licenses.old",
           "etc/ssh/ssh_host_*", "etc/ssh/moduli", "etc/apt", "etc/cron.*", "etc/weir", "var/lib/dpkg/*-old", "root/.*")
FIRST_FILES = ("var/cache", "var/log", "root")


class Root:
    def __init__(self, data, folder, epoch):
        self.data, self.folder, self.epoch = data, folder, epoch
        self.shelf = debian.Shelf(data["ARCH"])
        self.version = ""  # the kernel's
        self.packages = []  # (name, version) of those that dpkg in the image does not list

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(path), mode)

    def chroot(self, *command):
        return run("chroot", self.folder, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root",
                                                         "DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": str(self.epoch)})

    # --- packages ---

    def begin(self):
        with Step("base system"):
            debian.clear(self.folder)
            run("tar", "-xf", debian.base(self.data["ARCH"]), "-C", self.folder)

    def install(self, *debs):
        with Step("packages: " + ", ".join(os.path.basename(deb) for deb in debs)):
            for deb in debs:
                shutil.copy(deb, self.path("tmp"))
            try:
                self.chroot("dpkg", "-i", *(f"/tmp/{os.path.basename(deb)}" for deb in debs))
            finally:
                for deb in debs:
                    os.remove(self.path("tmp", os.path.basename(deb)))

    def register(self, deb):
        """A package that was unpacked here, not installed: dpkg of the image shall know it."""
        control = run("dpkg-deb", "-f", deb)
        with open(self.path("var/lib/dpkg/status"), "a", encoding="utf-8") as f:
            head, rest = control.split("\n", 1)
            f.write(f"{head}\nStatus: install ok installed\n{rest.rstrip()}\n\n")

    def add_updater(self):
        """In the place of Debian's, which does not stream."""
        self.install(streaming.rauc(self.data["ARCH"], self.data["CROSS"], self.shelf))

    # --- kernel ---

    def add_kernel(self):
        deb, self.version = self.shelf.kernel(self.data["KERNEL"])
        with Step(f"kernel {self.version}"):
            whole = os.path.join(os.path.dirname(self.folder), "kernel")
            debian.clear(whole)
            debian.unpack(deb, whole)
            os.makedirs(f"{whole}/usr", exist_ok=True)
            if not os.path.exists(f"{whole}/usr/lib"):
                os.symlink("../lib", f"{whole}/usr/lib")
            run("depmod", "-b", whole, self.version)
            self._take_modules(whole)
            shutil.copy(f"{whole}/boot/vmlinuz-{self.version}", self.path("boot/vmlinuz"))
            for tree in self.data["DEVICE_TREES"].split():
                to = self.path("boot/dtb", tree)
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copy(f"{whole}/usr/lib/linux-image-{self.version}/{tree}", to)
            self.register(deb)
            shutil.rmtree(whole)

    def _closure(self, whole, names):
        """Paths below lib/modules of the modules and what they depend on, in the order in which they load."""
        paths = []
        for name in names:
            done = subprocess.run(["modprobe", "-S", self.version, "-d", whole, "--show-depends", name], capture_output=True, text=True)
            paths += [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod")]
        return list(dict.fromkeys(path.split(f"/modules/{self.version}/", 1)[1] for path in paths))

    def _take_modules(self, whole):
        with open(os.path.join(HERE, "modules"), encoding="utf-8") as f:
            common = [line.split()[0] for line in f if line.strip() and not line.startswith("#")]
        at, to = f"{whole}/lib/modules/{self.version}", self.path("usr/lib/modules", self.version)
        wanted = self.data["ROOT_MODULES"].split() + self.data["MODULES"].split() + common
        for path in self._closure(whole, wanted):
            os.makedirs(os.path.dirname(f"{to}/{path}"), exist_ok=True)
            shutil.copy(f"{at}/{path}", f"{to}/{path}")
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(f"{at}/{name}", to)
        run("depmod", "-b", self.folder, self.version)

    def add_initramfs(self):
        with Step("initramfs"):
            top = os.path.join(os.path.dirname(self.folder), "initramfs")
            debian.clear(top)
            for folder in ("bin", "dev", "proc", "sys", "root"):
                os.mkdir(f"{top}/{folder}")
            shutil.copy(self.path("usr/bin/busybox"), f"{top}/bin/busybox")
            shutil.copy(os.path.join(HERE, "init"), f"{top}/init")
            names = [*self.data["ROOT_MODULES"].split(), "ext4", "overlay", *self._watchdogs()]
            modules = self._closure(self.folder, names)
            for path in modules:
                os.makedirs(f"{top}/{os.path.dirname(path)}", exist_ok=True)
                shutil.copy(self.path("usr/lib/modules", self.version, path), f"{top}/{path}")
            with open(f"{top}/modules", "w", encoding="utf-8") as f:
                f.write("".join(f"/{path}\n" for path in modules))
            settle_times(top, self.epoch)
            run("sh", "-c", f"cd '{top}' && find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc --quiet --reproducible -R 0:0 "
                f"| zstd -q -19 -T1 >'{self.path('boot/initrd.img')}'")
            shutil.rmtree(top)

    def _watchdogs(self):
        return [name for name in self.data["MODULES"].split() if name.endswith("_wdt") or name == "i6300esb"]

    # --- what makes it ours ---

    def add_grub_tool(self):
        """RAUC keeps GRUB's state through this one program; the rest of its package would bring fonts and languages along."""
        if self.data["BOOTLOADER"] != "grub":
            return
        deb, aside = self.shelf.fetch("grub-common"), os.path.join(os.path.dirname(self.folder), "grub")
        debian.unpack(deb, aside)
        shutil.copy(f"{aside}/usr/bin/grub-editenv", self.path("usr/bin"))
        shutil.rmtree(aside)
        self.register(deb)

    def add_firmware(self):
        for package in self.data["FIRMWARE"].split():
            deb = self.shelf.fetch(package)
            with Step(f"firmware {package}"):
                debian.unpack(deb, self.folder)
                self.register(deb)

    def add_overlay(self, version, keyring):
        with Step("overlay"):
            subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{OVERLAY}/.", self.folder], check=True)
            first = self.path("usr/share/weir/first.yaml")
            self._replace(first, {"board": self.data["BOARD"]})
            with open(os.path.join(HERE, "rauc.conf"), encoding="utf-8") as f:
                grub = self.data["BOOTLOADER"] == "grub"
                self.write("etc/rauc/system.conf", fill(f.read(), {
                    "board": self.data["BOARD"], "bootloader": self.data["BOOTLOADER"], "more": "grubenv=/boot/efi/grubenv\n" if grub else ""}))
            shutil.copy(keyring, self.path("etc/rauc/keyring.pem"))
            self.write("etc/weir-version", version + "\n")
            self.write("etc/hostname", "weir\n")
            self.write("etc/machine-id", "")
            for name in ("data", "boot/efi"):
                os.makedirs(self.path(name), exist_ok=True)
            self._link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
            self._link("etc/mtab", "../proc/self/mounts")

    def _replace(self, path, words):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(fill(text, words))

    def _link(self, path, to):
        if os.path.lexists(self.path(path)):
            os.remove(self.path(path))
        os.symlink(to, self.path(path))

    def finish(self):
        with Step("trimmed"):
            for pattern in TRIMMED:
                for path in glob.glob(self.path(pattern)):
                    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
            for path in FIRST_FILES:
                os.makedirs(self.path(path), exist_ok=True)
            self._link("etc/weir", "../data/etc/weir")
            run("systemctl", "--root", self.folder, "--quiet", "enable", *ENABLED)
            for unit in MASKED:
                self._mask(unit)
            if self.data["BOOTLOADER"] == "grub":
                with open(self.path("etc/fstab"), "a", encoding="utf-8") as f:
                    f.write("PARTLABEL=boot /boot/efi vfat umask=077,sync,noatime 0 0\n")
            settle_times(self.folder, self.epoch)

    def _mask(self, unit):
        path = self.path("etc/systemd/system", unit)
        if os.path.lexists(path):
            os.remove(path)
        os.symlink("/dev/null", path)


def fill(text, words):
    return re.sub(r"@([a-z]+)@", lambda m: words.get(m[1], m[0]), text)


def settle_times(folder, epoch):
    """Nothing is younger than the commit, so that the same commit makes the same bytes."""
    for at, folders, names in os.walk(folder, topdown=False):
        for name in folders + names:
            os.utime(os.path.join(at, name), (epoch, epoch), follow_symlinks=False)
    os.utime(folder, (epoch, epoch))


def emulator_is_there(arch):
    """Another processor's packages run their scripts under qemu-user, which the kernel must know of."""
    if arch == run("dpkg", "--print-architecture").strip():
        return
    at = "/proc/sys/fs/binfmt_misc"
    if not os.path.exists(f"{at}/register"):
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", at], check=False)
    name = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}[arch]
    if not os.path.exists(f"{at}/{name}"):
        subprocess.run(["update-binfmts", "--enable", name], check=False, capture_output=True)
    if not os.path.exists(f"{at}/{name}"):
        raise Fault(f"this kernel does not run {arch} programs (binfmt_misc, {name})")
