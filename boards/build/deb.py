#!/usr/bin/env python3
"""deb.py BOARD TREE OUT VERSION EPOCH: a Debian package of what `make install` put into TREE (PREFIX=/usr). Same tree, same
bytes: times are EPOCH's. Prints the package's path."""
import gzip
import os
import re
import shutil
import subprocess
import sys

import board
from debian import run

HERE = os.path.join(board.ROOT, "boards", "build", "deb")
SCRIPTS = ("postinst", "prerm", "postrm")
CONTROL = """Package: weir
Version: {version}
Architecture: {arch}
Maintainer: Weir's makers <weir@localhost>
Section: net
Priority: optional
Installed-Size: {kib}
Depends: {depends}, systemd | systemd-standalone-sysusers, passwd
Recommends: chrony
Description: edge anomaly gateway
 Takes devices' readings over MQTT, keeps on disk everything that it has
 acknowledged, finds anomalies within seconds, and tells a cloud over TLS.
"""


def depends(program, cross):
    """The packages of the libraries that the program names, by the list beside this file."""
    with open(os.path.join(HERE, "libraries"), encoding="utf-8") as f:
        known = dict(line.split(None, 1) for line in f.read().splitlines() if line and not line.startswith("#"))
    needed = re.findall(r"NEEDED\s+(\S+)", run(f"{cross}objdump", "-p", program))
    missing = [name for name in needed if name not in known]
    if missing:
        raise board.Fault(f"boards/build/deb/libraries does not know {', '.join(missing)}")
    return ", ".join(sorted({known[name] for name in needed}))


def add(tree, path, text_from, mode=0o644):
    to = os.path.join(tree, path)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copyfile(os.path.join(board.ROOT, text_from), to)
    os.chmod(to, mode)


def add_papers(tree):
    papers = "usr/share/doc/weir"
    add(tree, f"{papers}/copyright", "LICENSE")
    with open(os.path.join(board.ROOT, "CHANGELOG.md"), "rb") as f, open(os.path.join(tree, papers, "changelog.gz"), "wb") as to:
        to.write(gzip.compress(f.read(), mtime=0))
    os.chmod(os.path.join(tree, papers, "changelog.gz"), 0o644)


def files_of(tree):
    return sorted(os.path.relpath(os.path.join(at, name), tree) for at, _, names in os.walk(tree) for name in names)


def write_control(tree, fields):
    os.makedirs(f"{tree}/DEBIAN")
    names = files_of(tree)
    sums = run("md5sum", *[name for name in names if not name.startswith("etc/")], cwd=tree)
    for name, text in (("control", CONTROL.format(**fields)), ("conffiles", "/etc/weir/weir.yaml\n"), ("md5sums", sums)):
        with open(f"{tree}/DEBIAN/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    for name in SCRIPTS:
        add(tree, f"DEBIAN/{name}", f"boards/build/deb/{name}", 0o755)


def main():
    name, tree, out, version, epoch = sys.argv[1:]
    data = board.read(name)
    program = f"{tree}/usr/bin/weir"
    needs = depends(program, data["CROSS"])
    run(f"{data['CROSS']}strip", program)
    add(tree, "etc/weir/weir.yaml", "boards/build/deb/weir.yaml", 0o640)
    add_papers(tree)
    for at, folders, _ in os.walk(tree):
        for folder in folders:
            os.chmod(os.path.join(at, folder), 0o755)
    kib = sum(os.lstat(os.path.join(tree, path)).st_size for path in files_of(tree)) // 1024 + 1
    write_control(tree, {"version": version, "arch": data["ARCH"], "kib": kib, "depends": needs})
    package = os.path.join(out, f"weir_{version}_{data['ARCH']}.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "SOURCE_DATE_EPOCH": epoch})
    print(f"{package}: {os.path.getsize(package) / 1024:.0f} KiB")
    return 0


board.or_exit(main)
