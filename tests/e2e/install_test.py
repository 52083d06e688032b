#!/usr/bin/env python3
"""Goal: what `make install` puts below PREFIX runs, is whole, and goes again; nothing outside is touched.
Method: an installation into an empty directory (DESTDIR); the program, the unit and the user's file are looked at by the
programs that will read them, where they are there."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, Place, skip_without  # noqa: E402

PREFIX = "/opt/weir"


def make(target, directory):
    subprocess.run(["make", "-s", target, f"DESTDIR={directory}", f"PREFIX={PREFIX}"], check=True, cwd=ROOT, timeout=120,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})


def files_below(directory):
    return {os.path.relpath(os.path.join(at, name), directory) for at, _, names in os.walk(directory) for name in names}


def it_is_whole(directory):
    boards = {f"share/weir/boards/{board}/hal.conf" for board in os.listdir(os.path.join(ROOT, "boards"))
              if os.path.exists(os.path.join(ROOT, "boards", board, "hal.conf"))}
    wanted = boards | {"bin/weir", "lib/systemd/system/weir.service", "lib/sysusers.d/weir.conf", "lib/udev/rules.d/60-weir.rules",
                       "share/weir/minimal.yaml", "share/weir/broker.conf"}
    found = files_below(directory)
    assert found == {f"{PREFIX.lstrip('/')}/{name}" for name in wanted}, found
    for name in wanted:
        mode = os.stat(f"{directory}{PREFIX}/{name}").st_mode & 0o777
        assert mode == (0o755 if name == "bin/weir" else 0o644), f"{name}: {mode:o}"
    print(f"  {len(wanted)} files")


def it_runs(directory):
    weir = f"{directory}{PREFIX}/bin/weir"
    done = subprocess.run([weir, "check", "--no-environment", "-c", f"{directory}{PREFIX}/share/weir/minimal.yaml"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "good" in done.stdout, done.stdout + done.stderr
    with open(f"{directory}{PREFIX}/lib/systemd/system/weir.service") as f:
        unit = f.read()
    assert f"ExecStart={PREFIX}/bin/weir run" in unit and "/usr/local" not in unit, unit


def the_user_is_made(directory):
    if not shutil.which("systemd-sysusers"):
        print("  systemd-sysusers is not installed: the user's file is not checked")
        return
    os.mkdir(f"{directory}/etc")
    subprocess.run(["systemd-sysusers", f"--root={directory}", f"{directory}{PREFIX}/lib/sysusers.d/weir.conf"], check=True, timeout=30,
                   capture_output=True)
    with open(f"{directory}/etc/passwd") as f:
        user = [line for line in f.read().splitlines() if line.startswith("weir:")][0].split(":")
    assert user[5:] == ["/var/lib/weir", "/usr/sbin/nologin"], user
    shutil.rmtree(f"{directory}/etc")


def main():
    skip_without("make", "install")
    with Place() as place:
        directory = place.path("package")
        os.mkdir(directory)
        make("install", directory)
        it_is_whole(directory)
        it_runs(directory)
        the_user_is_made(directory)
        make("install", directory)  # over itself
        it_is_whole(directory)
        make("uninstall", directory)
        assert files_below(directory) == set()
        assert not os.path.exists(f"{directory}{PREFIX}/share/weir")
    print("ok install, uninstall")
    return 0


sys.exit(main())
