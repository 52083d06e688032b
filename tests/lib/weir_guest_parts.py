"""An LED and GPIO lines for a board's guest, as the kernel simulates them: `uleds` and `gpio-sim`. Debian's kernels have both switched
off, so they are built here as modules of the image's kernel, out of Debian's own source and headers, which are fetched once and
kept below build/boards. No image holds them.

    parts = Parts(guest)
    parts.pull(("down", BUTTON, 10))
"""
import glob
import os
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "boards", "build"))
import board as boards  # noqa: E402
import debian  # noqa: E402

TAKEN = {"drivers/gpio/gpio-sim.c": "sim.c", "drivers/gpio/gpiolib.h": "gpiolib.h", "kernel/irq/irq_sim.c": "irq_sim.c",
         "drivers/leds/uleds.c": "uleds.c"}
KERNEL_ARCH = {"amd64": "x86_64", "arm64": "arm64", "armhf": "arm"}
CHIP, RELAY, BUTTON = "weir-board", 2, 3  # the chip's label, two of its eight lines
LED = "weir-board"
# What the LED shows, each time that it is another: `blinks ON OFF` in ms, `light` or `dark`.
RECORDER = """#!/bin/sh
exec 3<>/dev/uleds
cat /run/led-device >&3
cat <&3 >/dev/null &
cd /sys/class/leds/@led@
last=
while :; do
    if grep -q '\\[timer\\]' trigger; then now="blinks $(cat delay_on delay_off | tr '\\n' ' ')"
    elif [ "$(cat brightness)" = 0 ]; then now=dark
    else now=light; fi
    [ "$now" = "$last" ] || echo $now >>/run/led
    last=$now
    sleep 0.2
done
"""


def replace(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, f"{path} is not as it was"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


def unpack(shelf, version, folder):
    here = debian.run("dpkg", "--print-architecture").strip()
    # Those run on this machine; but its link checker knows no processor of 32 bits, so there the other's own is run emulated.
    tools = shelf if shelf.arch in (here, "armhf") else debian.Shelf(here)
    headers = [shelf.fetch(f"linux-headers-{version}"), shelf.fetch(f"linux-headers-{version.rsplit('-', 1)[0]}-common")]
    for package in (*headers, tools.fetch("linux-kbuild-6.1")):
        debian.unpack(package, folder)
    inner = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", tools.fetch("linux-source-6.1")], stdout=subprocess.PIPE)
    source = subprocess.Popen(["tar", "-xO", "./usr/src/linux-source-6.1.tar.xz"], stdin=inner.stdout, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-xJ", "-C", folder, *(f"linux-source-6.1/{path}" for path in TAKEN)], stdin=source.stdout, check=True)


def build(data, shelf, version, folder):
    with debian.Step("gpio-sim and uleds, once"):
        debian.clear(folder)
        unpack(shelf, version, folder)
        headers, at = f"{folder}/usr/src/linux-headers-{version}", f"{folder}/module"
        replace(f"{headers}/Makefile", "/usr/src/", f"{folder}/usr/src/")
        os.mkdir(at)
        for path, to in TAKEN.items():
            os.rename(f"{folder}/linux-source-6.1/{path}", f"{at}/{to}")
        replace(f"{at}/irq_sim.c", "handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq(irqnum)")  # that is not for modules
        replace(f"{at}/irq_sim.c", "EXPORT_SYMBOL", "// EXPORT_SYMBOL")
        with open(f"{at}/Kbuild", "w", encoding="utf-8") as f:
            f.write("obj-m := gpio-sim.o uleds.o\ngpio-sim-y := sim.o irq_sim.o\n")
        debian.run("make", "-s", "-C", headers, f"M={at}", f"ARCH={KERNEL_ARCH[data['ARCH']]}", f"CROSS_COMPILE={data['CROSS']}", "modules",
                   env={**{k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "CC")},
                        **({"QEMU_LD_PREFIX": os.path.join(ROOT, data["SYSROOT"])} if data["SYSROOT"] else {})})


def modules(data):
    """Paths of the modules in the order in which they load."""
    shelf = debian.Shelf(data["ARCH"])
    deb, version = shelf.kernel(data["KERNEL"])
    folder = os.path.join(debian.WORK, data["ARCH"], f"simulated-{version}")
    whole = os.path.join(folder, "kernel")
    if not os.path.exists(whole):
        build(data, shelf, version, folder)
        debian.unpack(deb, whole + ".part")
        os.rename(whole + ".part", whole)
    return [glob.glob(f"{whole}/lib/modules/*/kernel/fs/configfs/configfs.ko")[0], f"{folder}/module/gpio-sim.ko", f"{folder}/module/uleds.ko"]


class Parts:
    """In a guest that runs: eight lines of the chip CHIP, the LED of that name, and a record of what it shows."""

    AT = "/sys/kernel/config/gpio-sim/weir"

    def __init__(self, guest):
        self.guest = guest
        paths = modules(guest.board)
        for path in paths:
            with open(path, "rb") as f:
                guest.put(f.read(), f"/run/{os.path.basename(path)}")
        guest.ssh("; ".join(["set -e", *(f"insmod /run/{os.path.basename(path)}" for path in paths),
                             "mount -t configfs none /sys/kernel/config || mountpoint /sys/kernel/config",  # systemd may be the first
                             f"mkdir {self.AT} {self.AT}/bank0", f"echo 8 >{self.AT}/bank0/num_lines", f"echo {CHIP} >{self.AT}/bank0/label",
                             f"echo 1 >{self.AT}/live"]))
        self.chip = guest.ssh("echo /sys/devices/platform/gpio-sim.0/gpiochip*").strip()
        guest.put(RECORDER.replace("@led@", LED).encode(), "/run/record-led")
        guest.put(struct.pack("<64si", LED.encode(), 1), "/run/led-device")
        guest.ssh("systemd-run -q -u record-led sh /run/record-led")
        self.pull(("up", BUTTON, 0))

    def names(self):
        """Lines of a hal.conf."""
        return [f"led = {LED}", f"relay_chip = {CHIP}", f"relay_line = {RELAY}", f"button_chip = {CHIP}", f"button_line = {BUTTON}",
                "button_active_low = true"]

    def shown(self):
        """What the LED has shown, in order."""
        return self.guest.ssh("cat /run/led").splitlines()

    def relay(self):
        return int(self.guest.ssh(f"cat {self.chip}/sim_gpio{RELAY}/value"))

    def pull(self, *steps):
        """("up" or "down", line, seconds until the next), in the guest's time."""
        self.guest.ssh("; ".join(f"echo pull-{way} >{self.chip}/sim_gpio{line}/pull; sleep {seconds}" for way, line, seconds in steps))
