"""RAUC that streams: Debian's own leaves that out (no libnl), and would fetch a whole bundle into memory. Its source, with Debian's patches, is
built anew for a processor, with what Debian's package lists as needed, and put into Debian's package in the place of its program."""
import glob
import hashlib
import os
import re
import shutil
import subprocess

import debian
from board import Fault
from debian import Step, run

NEEDS = ("libc6-dev", "linux-libc-dev", "libglib2.0-dev", "libcurl4-gnutls-dev", "libdbus-1-dev", "libfdisk-dev", "libjson-glib-dev", "libssl-dev",
         "libnl-genl-3-dev")
SETTINGS = ("--prefix=/usr", "--sysconfdir=/etc", "--localstatedir=/var", "--enable-gpt", "--enable-streaming", "--disable-dependency-tracking")
HARD = "-g -O2 -fstack-protector-strong -Wformat -Werror=format-security -D_FORTIFY_SOURCE=2 -fPIE"
LINKED = "-pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed"
SUFFIX = "+weir1"
# glib's own generator of D-Bus code, out of the folder of libraries, with this machine's Python.
CODEGEN = """#!/bin/sh
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH='{sysroot}/usr/share/glib-2.0' exec python3 -c 'from codegen import codegen_main; codegen_main.codegen_main()' "$@"
"""


class Source(debian.Shelf):
    """Sources, fetched as packages are: by an apt of its own, which checks their signatures."""

    def __init__(self):
        super().__init__("source")

    def lists(self):
        return "".join(line.replace("deb ", "deb-src ", 1) + "\n" for line in debian.sources("amd64").splitlines() if line.startswith("deb "))

    def unpack(self, package, to):
        """The tree, patched as Debian's is; its version."""
        if not glob.glob(f"{self.folder}/state/lists/*Sources*"):
            with Step("lists of sources"):
                self._apt("apt-get", "-qq", "update")
        with Step(f"source of {package}"):
            self._apt("apt-get", "-qq", "source", "--download-only", package)
            dsc = sorted(glob.glob(f"{self.folder}/debs/{package}_*.dsc"))[-1]
            run("dpkg-source", "--no-check", "-x", dsc, to)
        return os.path.basename(dsc).removeprefix(f"{package}_").removesuffix(".dsc")


def libraries(arch, to):
    with Step(f"what RAUC is built with, for {arch}"):
        settings = to + ".conf"
        with open(settings, "w", encoding="utf-8") as f:
            f.write(debian.settings())
        done = subprocess.run(["nice", "mmdebstrap", f"--arch={arch}", "--variant=extract", "--include=" + ",".join(NEEDS), "--quiet",
                               '--aptopt=APT::Install-Recommends "false"', f"--aptopt={settings}", debian.suite(), to, "-"],
                              input=debian.sources(arch), text=True, capture_output=True)
        if done.returncode != 0:
            raise Fault(f"the libraries for {arch} could not be unpacked: {done.stderr[-1000:]}")


def build(source, sysroot, cross, work):
    """The program, stripped."""
    at, host, codegen = os.path.join(work, "build"), run(f"{cross}gcc", "-dumpmachine").strip(), os.path.join(work, "bin", "gdbus-codegen")
    for folder in (at, os.path.dirname(codegen)):
        os.mkdir(folder)
    with open(codegen, "w", encoding="utf-8") as f:
        f.write(CODEGEN.format(sysroot=sysroot))
    os.chmod(codegen, 0o755)
    for folder, _, names in os.walk(source):  # a patch must not make it look as if its makefiles were to be made again
        for name in names:
            os.utime(os.path.join(folder, name), (debian.EPOCH, debian.EPOCH), follow_symlinks=False)
    env = {**{k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CFLAGS")},
           "PATH": f"{os.path.dirname(codegen)}:{os.environ['PATH']}", "PKG_CONFIG_SYSROOT_DIR": sysroot, "SOURCE_DATE_EPOCH": str(debian.EPOCH),
           "PKG_CONFIG_LIBDIR": f"{sysroot}/usr/lib/{triplet(host)}/pkgconfig:{sysroot}/usr/share/pkgconfig"}
    with Step(f"RAUC for {host}"):
        run("nice", "../source/configure", f"--host={host}", *SETTINGS, f"CC={cross}gcc --sysroot={sysroot}", f"CFLAGS={HARD} -ffile-prefix-map={work}=.",
            f"LDFLAGS={LINKED}", cwd=at, env=env)
        run("nice", "make", "-j2", "rauc", cwd=at, env=env)
        run(f"{cross}strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", f"{at}/rauc")
    return f"{at}/rauc"


def triplet(host):
    return re.sub(r"^i[456]86", "i386", host)


def repack(package, program, version, out):
    """Debian's package with that program: its own version, and what it needs besides."""
    tree = os.path.join(os.path.dirname(program), "package")
    run("dpkg-deb", "-R", package, tree)
    shutil.copy(program, f"{tree}/usr/bin/rauc")
    control = f"{tree}/DEBIAN/control"
    with open(control, encoding="utf-8") as f:
        text = re.sub(r"^Version: .*$", f"Version: {version}", f.read(), flags=re.M)
    text = re.sub(r"^Depends: ", "Depends: libnl-3-200 (>= 3.2.7), libnl-genl-3-200 (>= 3.2.7), ", text, flags=re.M)
    with open(control, "w", encoding="utf-8") as f:
        f.write(text)
    sums = f"{tree}/DEBIAN/md5sums"
    with open(sums, encoding="utf-8") as f:
        names = [line.split(maxsplit=1)[1].rstrip("\n") for line in f]
    with open(sums, "w", encoding="utf-8") as f:
        f.write(run("md5sum", *names, cwd=tree))
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            os.utime(os.path.join(folder, name), (debian.EPOCH, debian.EPOCH), follow_symlinks=False)
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, out, env={**os.environ, "SOURCE_DATE_EPOCH": str(debian.EPOCH)})


def rauc(arch, cross, shelf):
    """Path of the package for a processor, made once for each version of Debian's: two to four minutes."""
    package = shelf.fetch("rauc")
    with open(__file__, "rb") as f:
        recipe = hashlib.sha256(f.read()).hexdigest()[:12]
    plain = run("dpkg-deb", "-f", package, "Version").strip()
    version = plain + SUFFIX
    out = os.path.join(debian.WORK, arch, f"rauc_{version}_{arch}.{recipe}.deb")
    if os.path.exists(out):
        return out
    work = os.path.join(debian.WORK, arch, "rauc")
    debian.clear(work)
    found = Source().unpack("rauc", f"{work}/source")
    if found != re.sub(r"\+b[0-9]+$", "", plain):
        raise Fault(f"the package rauc is {plain}, its source {found}: remove build/boards/{arch}/apt and build/boards/source, and try again")
    libraries(arch, f"{work}/sysroot")
    repack(package, build(f"{work}/source", f"{work}/sysroot", cross, work), version, out + ".part")
    os.rename(out + ".part", out)
    shutil.rmtree(work)
    return out
