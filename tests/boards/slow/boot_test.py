#!/usr/bin/env python3
"""Goal: an image that was written with a site's settings starts by itself, takes a reading from a stock client within its
first minute, tells a cloud over TLS of an alert, confirms its slot, and is as closed and as small as promised.
Method: `boot_test.py [BOARD]`, else those that are said to boot: the image that `make image` made, in QEMU; mosquitto's clients and broker are this machine's."""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import Place, skip_without, wait_until  # noqa: E402
from weir_guest import OUTSIDE, ROOT, Guest, boards, issue  # noqa: E402

MEMORY_MAX_MIB = 128
CONFIG = """gateway: {{name: guest, board: /usr/share/weir/boards/{board}/hal.conf}}
sources:
  - name: devices
    listen: mqtts://0.0.0.0:8883
    cert: /etc/weir/server.pem
    key: /etc/weir/server.key
    client_ca: /etc/weir/ca.pem
    topics: ["telemetry/{{device}}/{{metric}}"]
detectors:
  - {{type: limit, name: overheated, metric: temperature, high: 85, severity: critical}}
clock: {{trust: system}}
uplink:
  url: mqtts://{outside}:8883
  ca: /etc/weir/ca.pem
  cert: /etc/weir/guest.pem
  key: /etc/weir/guest.key
  backoff_max: 2s
"""


def make_config(place, board, devices=("pump-1",)):
    place.pki("guest", "cloud-reader", *devices)
    issue(place, "outside", "serverAuth", f"DNS:{OUTSIDE},IP:{OUTSIDE},DNS:localhost")
    folder = place.path("config")
    os.mkdir(folder)
    for source, name in (("ca.crt", "ca.pem"), ("server.crt", "server.pem"), ("server.key", "server.key"), ("guest.crt", "guest.pem"),
                         ("guest.key", "guest.key")):
        shutil.copy(place.path("pki", source), os.path.join(folder, name))
    with open(os.path.join(folder, "weir.yaml"), "w", encoding="utf-8") as f:
        f.write(CONFIG.format(board=board, outside=OUTSIDE))
    return folder


def start_cloud(place):
    """A stock broker with the settings of docs/broker.conf, and who listens for alerts there."""
    pki = place.path("pki")
    for part in ("crt", "key"):
        os.replace(f"{pki}/outside.{part}", f"{pki}/server.{part}")
    port = place.start_broker("cloud", tls=True)
    place.start("alerts", ["mosquitto_sub", "-p", str(port), "--cafile", f"{pki}/ca.crt", "--cert", f"{pki}/cloud-reader.crt", "--key",
                           f"{pki}/cloud-reader.key", "-q", "1", "-t", "weir/guest/alerts"])
    return port


def publish(place, guest, value, seconds=10):
    pki = place.path("pki")
    message = json.dumps({"value": value, "time": time.time()})
    done = subprocess.run(["timeout", str(seconds), "mosquitto_pub", "-h", "localhost", "-p", str(guest.ports[8883]), "--cafile", f"{pki}/ca.crt",
                           "--cert", f"{pki}/pump-1.crt", "--key", f"{pki}/pump-1.key", "-q", "1", "-t", "telemetry/pump-1/temperature", "-m", message],
                          capture_output=True, text=True)
    return done.returncode == 0


def times(place, guest):
    guest.wait_console(r"weir: slot=A", 120)
    print(f"  boot loader chose A      {guest.seconds():6.1f} s")
    wait_until("a reading is acknowledged", lambda: guest.assert_well() or publish(place, guest, 21.5), 900, 0.3)
    print(f"  first reading, PUBACK    {guest.seconds():6.1f} s")
    assert publish(place, guest, 99)
    wait_until("an alert at the cloud", lambda: "overheated" in place.log("alerts"), 60)
    print(f"  alert at the cloud, TLS  {guest.seconds():6.1f} s")
    confirmed = guest.wait_console(r"weir: confirmed slot=A version=(\S+) seconds=(\S+) memory=(\d+)MiB", 300)
    print(f"  slot confirmed           {guest.seconds():6.1f} s ({confirmed[2]} by the guest's clock), memory in use {confirmed[3]} MiB")
    assert int(confirmed[3]) <= MEMORY_MAX_MIB, f"{confirmed[3]} MiB in use"


def it_is_closed(guest):
    assert "/data" in guest.ssh("findmnt", "-no", "TARGET", "/data")
    assert guest.ssh("touch /usr/x 2>&1; true").count("Read-only") == 1, "the slot can be written"
    passwords = [line.split(":")[1] for line in guest.ssh("cat /etc/shadow").splitlines()]
    assert passwords and all(password.startswith(("*", "!")) for password in passwords), passwords
    rules = guest.ssh("nft list chain inet weir in")
    assert "policy drop" in rules and "dport 8883 accept" in rules and "dport 22 accept" in rules, rules
    failed = guest.ssh("systemctl --failed --no-legend --plain").split()
    assert not failed, failed
    size = int(guest.ssh("df --output=size -B1M /data | tail -n 1"))
    assert size > 1500, f"/data was not grown: {size} MiB"


def it_has_a_name(guest):
    name = guest.ssh("cat /proc/sys/kernel/hostname").strip()
    assert name.startswith("weir-"), name
    assert " yes" in guest.ssh("resolvectl mdns | tail -n 1"), "mDNS is off"
    said = guest.ssh(f"resolvectl query --protocol=mdns {name}.local")
    assert f"{name}.local: " in said, said
    print(f"  answers to {name}.local")


def its_clock_is_told(guest):
    """Where a site's own server gives the time, the kernel, and so Weir under its sandbox, knows that it is right."""
    guest.ssh("sed -i 's/^clock:.*/clock: {trust: kernel, wait: 0s}/' /data/etc/weir/weir.yaml; systemctl restart weir")
    wait_until("Weir does not believe the clock", lambda: json.loads(guest.ssh("weir status --json || true") or "{}").get("clock") not in (None, "synced"), 120, 2)
    guest.ssh("printf 'port 1123\nallow 127.0.0.1\nlocal stratum 1\ncmdport 0\npidfile /run/server.pid\nbindcmdaddress /\n' >/run/server.conf; "
              "systemd-run -q -u time-server chronyd -d -x -f /run/server.conf; "
              "echo 'server 127.0.0.1 port 1123 iburst minpoll 0' >/data/etc/chrony/site.conf; systemctl restart chrony")
    wait_until("Weir believes the clock", lambda: json.loads(guest.ssh("weir status --json || true") or "{}").get("clock") == "synced", 120, 2)
    print("  chrony's word on the clock reaches Weir")


def its_led_blinks(place, guest):
    """The unit's user may set the trigger and what the kernel makes of it; a keyboard's light stands for the board's."""
    leds = [name for name in guest.ssh("ls /sys/class/leds").split() if "capslock" in name]
    if not leds:
        print("  there is no LED here")
        return
    guest.ssh(f"sed '$a led = {leds[0]}' /usr/share/weir/boards/{guest.board['BOARD']}/hal.conf >/data/etc/weir/hal.conf; chown root:weir /data/etc/weir/hal.conf; "
              "chmod 0640 /data/etc/weir/hal.conf; sed -i 's,board: [^}]*hal.conf,board: /etc/weir/hal.conf,' /data/etc/weir/weir.yaml; systemctl restart weir")
    at = f"/sys/class/leds/{leds[0]}"

    def shown():
        return guest.ssh(f"grep -o '\\[.*\\]' {at}/trigger; cat {at}/delay_on {at}/delay_off 2>/dev/null; true").split()
    wait_until("the LED is steady", lambda: shown() == ["[none]"], 120, 2)
    place.stop("cloud")
    wait_until("the LED has gaps", lambda: shown() == ["[timer]", "1900", "100"], 120, 2)
    print("  Weir's own user blinks the LED")


def it_runs_as_told(guest):
    status = json.loads(guest.ssh("weir status --json"))
    machine = status["machine"]
    assert machine["board"] == guest.board["BOARD"] and status["ledger"]["stored"] >= 2, status
    if guest.board["QEMU_WATCHDOG"]:
        wait_until("Weir holds the watchdog", lambda: "watchdog" not in json.loads(guest.ssh("weir status --json"))["machine"]["missing"], 60, 2)
        assert "/dev/watchdog0" in guest.ssh("ls -l /proc/$(pidof -s weir)/fd"), "somebody else feeds the watchdog"
    assert guest.ssh("ps -o user= -C weir").strip() == "weir"
    said = guest.ssh("weir device add boiler-1")
    assert "boiler-1" in said, said


def comes_back_from_damage(place, guest):
    """What can't be read is made anew, with settings as they came."""
    begin, size = guest.partition("data")
    with open(guest.medium, "r+b") as f:
        f.seek(begin)
        for _ in range(min(size, 256 << 20) >> 20):
            f.write(os.urandom(1 << 20))
    guest.expects_failures = True
    with guest:
        guest.start()
        guest.wait_console(r"weir-data: nothing in it can be read, made anew", 600)
        guest.wait_console(r"weir: confirmed slot=A", 900)
        wait_until("it listens as it came", lambda: subprocess.run(
            ["openssl", "s_client", "-connect", f"localhost:{guest.ports[8883]}"], input=b"", capture_output=True, timeout=60).stdout.count(b"weir-") > 0, 120, 2)
    print("  a damaged data partition is made anew")


def boot(name):
    image = os.path.join(ROOT, "build", "boards", name, f"{name}.img.zst")
    if not os.path.exists(image):
        print(f"{image} is not there: make image BOARD={name}")
        return 77
    with Place() as place:
        guest = Guest(name, place, make_config(place, name))
        guest.passed_on = {8883: start_cloud(place)}
        with guest:
            guest.flash()
            guest.start()
            times(place, guest)
            it_is_closed(guest)
            it_runs_as_told(guest)
            it_has_a_name(guest)
            its_led_blinks(place, guest)
            its_clock_is_told(guest)
        comes_back_from_damage(place, guest)
    print(f"ok {name} boots")
    return 0


def main():
    skip_without("mosquitto", "socat", "ssh")
    names = sys.argv[1:] or [name for name in boards.names() if boards.read(name)["STATE"] == "booted"]
    return max(boot(name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
