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
    print(f"ok {name} boots")
    return 0


def main():
    skip_without("mosquitto", "socat", "ssh")
    names = sys.argv[1:] or [name for name in boards.names() if boards.read(name)["STATE"] == "booted"]
    return max(boot(name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
