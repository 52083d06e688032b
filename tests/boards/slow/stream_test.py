#!/usr/bin/env python3
"""Goal: of an update by HTTP only what the board has not travels, where the server gives ranges, and the slot that is written is the bundle's byte for byte; all of
it travels, once, where it gives none; a check costs next to nothing; a rogue signature changes nothing; and a server that shows one bundle and gives an older one
does not get it started.
Method: the image's own RAUC, built anew with streaming, and `weir update`, under a Linux of user mode (nbd, dm-verity, loop), beside a server that counts.
Needs no root; the program is the amd64's. In the guest this file runs again, as what `init` starts."""
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "lib"))
import weir_ranges  # noqa: E402
from weir_e2e import ROOT, WEIR, Place, skip_without, wait_until  # noqa: E402
from weir_ranges import Files  # noqa: E402

MIB, PORT, TLS_PORT = 1 << 20, 8000, 8443
MODULES = "/usr/lib/uml/modules"
SYSTEM = """[system]
compatible=weir-uml
bootloader=custom
bundle-formats=-plain
data-directory=/run/rauc-data
mountprefix=/run/rauc

[handlers]
bootloader-custom-backend={at}/backend

[streaming]
sandbox-user=nobody
tls-ca=/run/ca.pem

[keyring]
path={at}/keys/keyring.pem
check-purpose=codesign

[slot.rootfs.0]
device=/dev/ubda
type=raw
bootname=A

[slot.rootfs.1]
device=/dev/ubdb
type=raw
bootname=B
"""
BACKEND = """#!/bin/sh
case $1 in
get-primary) cat /run/primary 2>/dev/null || echo A ;;
set-primary) echo "$2" >/run/primary ;;
get-state) cat "/run/state-$2" 2>/dev/null || echo good ;;
set-state) echo "$3" >"/run/state-$2" ;;
esac
"""
BUS = """<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
<include>{root}/boards/overlay/etc/dbus-1/system.d/weir-rauc.conf</include></busconfig>
"""
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
for module in loop nbd dm-verity squashfs; do modprobe -d {at}/kernel $module; done
ip link set lo up
{python} {test} guest {at} || echo "guest failed"
echo o >/proc/sysrq-trigger
sleep 10
"""


# --- in the guest ---


def update(*words):
    """(done, what was said, bytes that travelled)"""
    before = Files.bytes
    done = subprocess.run([WEIR, "update", *words, "--root", "/run/root", "-s", "/run/none"], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode == 0, done.stdout + done.stderr, Files.bytes - before


def slots():
    return {slot["slot"]: slot for slot in json.loads(update("status", "--json")[1])["slots"]}


def same(device, path):
    with open(device, "rb") as a, open(path, "rb") as b:
        while piece := b.read(MIB):
            if a.read(len(piece)) != piece:
                return False
    return True


def empty(device):
    with open(device, "wb") as f:
        for _ in range(16):
            f.write(bytes(MIB))
    shutil.rmtree("/run/rauc-data", ignore_errors=True)
    os.mkdir("/run/rauc-data")


def start_rauc(at):
    empty("/dev/ubdb")
    log = open("/run/rauc.log", "ab")
    rauc = subprocess.Popen([f"{at}/tree/usr/bin/rauc", "service", f"--conf={at}/system.conf", "--override-boot-slot=A"], stdout=log, stderr=log)
    wait_until("RAUC answers", lambda: update("status")[0], 60)
    return rauc


def guest(at):
    os.environ.update({"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/bus", "LD_LIBRARY_PATH": f"{at}/tree/usr/lib/x86_64-linux-gnu:{at}/tree/lib/x86_64-linux-gnu",
                       "TMPDIR": "/run"})
    for folder in ("etc/rauc", "data/rauc", "run", "proc"):
        os.makedirs(f"/run/root/{folder}")
    with open("/run/root/etc/weir-version", "w", encoding="utf-8") as f:
        f.write("0.1.0\n")
    shutil.copy(f"{at}/system.conf", "/run/root/etc/rauc/system.conf")
    os.mkdir("/run/rauc-data")
    subprocess.run(["dbus-daemon", "--fork", f"--config-file={at}/bus.conf"], check=True)
    for port in (PORT, TLS_PORT):
        server = weir_ranges.server(at, port)
        if port == TLS_PORT:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(f"{at}/pki/server.crt", f"{at}/pki/server.key")
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    base, whole = f"http://127.0.0.1:{PORT}", os.path.getsize(f"{at}/0.2.0.raucb")

    def told(what, travelled, began):
        print(f"  {what}: {travelled} of {whole} bytes travelled ({100 * travelled / whole:.1f} %), {time.monotonic() - began:.1f} s", flush=True)

    rauc, began = start_rauc(at), time.monotonic()
    other = subprocess.run([WEIR, "update", "status"], user=65534, group=65534, capture_output=True, text=True, check=False)
    assert other.returncode == 1 and "rejected" in other.stderr.lower(), other
    done, said, travelled = update("check", f"{base}/0.2.0.raucb")
    assert done and travelled < 100000, (said, travelled)
    told("check", travelled, began)
    done, said, _ = update("check", f"https://localhost:{TLS_PORT}/0.2.0.raucb")
    assert not done and "can't be fetched" in said, "nobody said whom to trust"
    shutil.copy(f"{at}/pki/ca.crt", "/run/ca.pem")
    done, said, travelled = update("check", f"https://localhost:{TLS_PORT}/0.2.0.raucb")
    assert done and "on its server" in said and travelled < 100000, (said, travelled)
    began = time.monotonic()
    done, said, travelled = update("install", f"{base}/0.2.0.raucb")
    assert done and "on its server" in said and travelled * 10 < whole, (said, travelled)
    assert same("/dev/ubdb", f"{at}/new.ext4") and slots()["B"]["starts_next"]
    assert not os.path.exists("/run/root/data/rauc/update.raucb"), "nothing was put on the disk"
    told("install, of a server that gives ranges", travelled, began)

    done, said, travelled = update("install", f"{base}/rogue.raucb")
    assert not done and "no bundle that this board trusts" in said, said
    assert same("/dev/ubdb", f"{at}/new.ext4")
    done, said, _ = update("install", f"{base}/none.raucb")
    assert not done and "can't be fetched" in said, said

    rauc.terminate()
    rauc.wait()
    rauc, began = start_rauc(at), time.monotonic()
    done, said, travelled = update("install", f"{base}/whole/0.2.0.raucb")
    assert done and "can't be read piece by piece" in said and whole <= travelled < 2 * whole + MIB, (said, travelled)
    assert same("/dev/ubdb", f"{at}/new.ext4")
    told("install, of a server that gives none", travelled, began)

    os.remove("/run/root/data/rauc/trial")
    threading.Thread(target=swap_soon, daemon=True).start()
    done, said, travelled = update("install", f"{base}/swapped/0.2.0.raucb/0.0.9.raucb")
    now = slots()
    assert not done and "showed version 0.2.0, and gave version 0.0.9" in said, said
    assert now["A"]["starts_next"] and now["B"]["boot"] == "bad" and not os.path.exists("/run/root/data/rauc/trial"), now
    print("  a server that shows 0.2.0 and gives 0.0.9: the slot is left", flush=True)
    print("guest passed", flush=True)


def swap_soon():
    """When the trial is noted it was judged, and is written next."""
    while not os.path.exists("/run/root/data/rauc/trial"):
        time.sleep(0.001)
    Files.swapped = True


# --- here ---

def make_slots(place):
    chance = random.Random(1)
    os.mkdir(place.path("files"))
    for number in range(250):
        with open(place.path("files", str(number)), "wb") as f:
            f.write(chance.randbytes(150000))
    with open(place.path("note"), "w", encoding="utf-8") as f:
        f.write("what is new\n")
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", place.path("files"), place.path("a.img"), "64M"], check=True)
    shutil.copy(place.path("a.img"), place.path("new.ext4"))
    subprocess.run(["debugfs", "-w", "-R", f"write {place.path('note')} note", place.path("new.ext4")], check=True, capture_output=True)
    with open(place.path("b.img"), "wb") as f:
        f.truncate(64 * MIB)


def make_board(place):
    sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
    import bundle
    import debian
    import keys
    import streaming
    for name in ("keys", "rogue"):
        keys.make(place.path(name))
    for name, version, slot, by in (("0.2.0", "0.2.0", "new.ext4", "keys"), ("0.0.9", "0.0.9", "new.ext4", "keys"), ("rogue", "0.3.0", "new.ext4", "rogue")):
        bundle.make("uml", version, place.path(slot), place.path(f"{name}.raucb"), place.path(by))
    shelf = debian.Shelf("amd64")
    for deb in (streaming.rauc("amd64", "", shelf), shelf.fetch("libnl-genl-3-200"), shelf.fetch("libnl-3-200")):
        debian.unpack(deb, place.path("tree"))
    for name, text in (("system.conf", SYSTEM), ("backend", BACKEND), ("bus.conf", BUS), ("init", INIT)):
        with open(place.path(name), "w", encoding="utf-8") as f:
            f.write(text.replace("{at}", place.dir).replace("{root}", ROOT).replace("{python}", sys.executable).replace("{test}", os.path.abspath(__file__)))
        os.chmod(place.path(name), 0o755)
    os.makedirs(place.path("kernel/lib"))
    os.symlink(MODULES, place.path("kernel/lib/modules"))


def main():
    if sys.argv[1:2] == ["guest"]:
        return guest(sys.argv[2])
    skip_without("linux.uml", "rauc", "mksquashfs", "debugfs", "dbus-daemon", "curl", "mmdebstrap")
    with Place() as place:
        os.chmod(place.dir, 0o755)
        place.pki()
        make_slots(place)
        make_board(place)
        place.start("linux", ["linux.uml", "mem=512M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={place.path('init')}", f"ubd0={place.path('a.img')}",
                              f"ubd1={place.path('b.img')}", "con=null", "con0=null,fd:1", f"umid=weir-{os.getpid()}", f"uml_dir={place.dir}/"])
        place.processes["linux"].wait(600)
        said = place.log("linux")
        told = [line for line in said.replace("\r", "").splitlines() if "bytes travelled" in line or "the slot is left" in line]
        print("\n".join(told), flush=True)
        assert "guest passed" in said, said[-4000:]
    print("ok only what the board has not travels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
