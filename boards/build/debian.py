"""Debian for a board: its base system as a tar, made once for each processor, and single packages. Sources and settings are
those of this machine's own apt."""
import glob
import hashlib
import os
import shutil
import subprocess
import time

from board import ROOT, Fault

WORK = os.path.join(ROOT, "build", "boards")
PACKAGES = os.path.join(ROOT, "boards", "build", "packages")
# Of the base system: files that came from nowhere in particular. An image's own time is the commit's.
EPOCH = 1767225600
KEEP_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/lintian/*",
            "/usr/share/bash-completion/*", "/usr/share/zsh/*")


def say(text):
    print(f"  {text}", flush=True)


class Step:
    """`with Step("..."):` says what begins, and how long it took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        say(f"{self.what} ...")
        self.began = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            say(f"{self.what}: {time.monotonic() - self.began:.1f} s")


def run(*command, **more):
    """Its output, or a fault with the end of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Fault(f"{' '.join(command)[:200]}: {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def suite():
    with open("/etc/os-release", encoding="utf-8") as f:
        return dict(line.strip().split("=", 1) for line in f if "=" in line)["VERSION_CODENAME"]


def sources(arch, component="main"):
    text = run(os.path.join(ROOT, ".ci", "debian-sources"), arch)
    if component == "main":
        return text
    return text + "".join(line.replace(" main", f" {component}") + "\n" for line in text.splitlines() if line.endswith(" main"))


def settings():
    """How this machine's apt reaches its sources: proxies, time-outs, what it checks."""
    return "".join(line + "\n" for line in run("apt-config", "dump").splitlines()
                   if line.startswith("Acquire::") and not line.startswith("Acquire::IndexTargets"))


def base_packages():
    with open(PACKAGES, encoding="utf-8") as f:
        return [line.split()[0] for line in f if line.strip() and not line.startswith("#")]


def base(arch):
    """Path of the base system's tar. A list that has changed makes a new one; 3 to 6 minutes for another processor."""
    folder = os.path.join(WORK, arch)
    tar, key = os.path.join(folder, "base.tar"), os.path.join(folder, "base.key")
    wanted = hashlib.sha256("\n".join([suite(), *base_packages(), *KEEP_OUT]).encode()).hexdigest()
    if os.path.exists(tar) and os.path.exists(key) and open(key, encoding="utf-8").read() == wanted:
        return tar
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "apt.conf"), "w", encoding="utf-8") as f:
        f.write(settings() + 'APT::Install-Recommends "false";\n')
    for old in (tar, key):
        if os.path.exists(old):
            os.remove(old)
    with Step(f"base system for {arch}, once; some minutes"):
        done = subprocess.run(
            ["nice", "mmdebstrap", f"--arch={arch}", "--variant=essential", "--mode=root", "--format=tar",
             "--include=" + ",".join([*base_packages(), "usr-is-merged"]), "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
             *(f"--dpkgopt=path-exclude={path}" for path in KEEP_OUT), "--dpkgopt=path-include=/usr/share/doc/*/copyright",
             f"--aptopt={folder}/apt.conf", suite(), tar + ".part", "-"],
            input=sources(arch), text=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
        if done.returncode != 0:
            raise Fault(f"the base system for {arch} could not be made")
    os.rename(tar + ".part", tar)
    with open(key, "w", encoding="utf-8") as f:
        f.write(wanted)
    return tar


class Shelf:
    """Packages of one processor, fetched one by one: an apt of its own that knows no installed package."""

    def __init__(self, arch):
        self.arch, self.folder = arch, os.path.join(WORK, arch, "apt")
        for name in ("state/lists/partial", "cache/archives/partial", "etc", "debs"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        for name, text in (("etc/sources.list", self.lists()), ("state/status", ""), ("etc/apt.conf", settings())):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)

    def lists(self):
        return sources(self.arch, "non-free-firmware")

    def _apt(self, program, *arguments):
        at = self.folder
        options = {"Dir::State": f"{at}/state", "Dir::State::status": f"{at}/state/status", "Dir::Cache": f"{at}/cache",
                   "Dir::Etc::SourceList": f"{at}/etc/sources.list", "Dir::Etc::SourceParts": "/dev/null",
                   "APT::Architecture": self.arch, "APT::Architectures": self.arch, "APT::Sandbox::User": "root"}
        return run(program, *(f"-o{key}={value}" for key, value in options.items()), *arguments, cwd=f"{at}/debs",
                   env={**os.environ, "APT_CONFIG": f"{at}/etc/apt.conf"})

    def _known(self, package):
        return self._apt("apt-cache", "show", "--no-all-versions", package)

    def fetch(self, package):
        """Path of the package's file; a kernel's is the one that the named package depends on. Kept for the next time."""
        kept = sorted(glob.glob(f"{self.folder}/debs/{package}_*.deb"))
        if kept:
            return kept[-1]
        if not glob.glob(f"{self.folder}/state/lists/*Packages*"):
            with Step(f"package lists for {self.arch}"):
                self._apt("apt-get", "-qq", "update")
        with Step(f"package {package}"):
            self._apt("apt-get", "-qq", "download", package)
        return sorted(glob.glob(f"{self.folder}/debs/{package}_*.deb"))[-1]

    def kernel(self, package):
        """(file, version): the package that `package` stands for today."""
        meta = self.fetch(package)
        depends = run("dpkg-deb", "-f", meta, "Depends").split()[0].rstrip(",")
        return self.fetch(depends), depends.removeprefix("linux-image-")


def unpack(deb, root):
    """Files of a package without its scripts. Not `dpkg-deb -x`: that replaces /lib, a link, by a folder."""
    os.makedirs(root, exist_ok=True)
    out = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], stdin=out.stdout, check=True)
    if out.wait() != 0:
        raise Fault(f"{deb} can't be unpacked")


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
