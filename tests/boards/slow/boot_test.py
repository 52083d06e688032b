#!/usr/bin/env python3
"""Goal: an image that was written with a site's settings starts by itself, takes a reading from a stock client within its
first minute, tells a cloud over TLS of an alert, confirms its slot, and is as closed and as small as promised; it answers to its name,
knows when its clock is right, shows its state by LED and relay, hears its button, and comes back from a factory reset and from a
data partition that was overwritten.
Method: `boot_test.py [BOARD]`, else those that are said to boot: the image that `make image` made, in QEMU; mosquitto's clients and broker are this machine's."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from weir_e2e import Place, skip_without, wait_until  # noqa: E402
from weir_guest import ADDRESS, OUTSIDE, ROOT, UNWANTED, Guest, boards, issue  # noqa: E402
from weir_guest_parts import BUTTON, Parts  # noqa: E402

MEMORY_MAX_MIB = 128  # of MEMORY_MB
CONFIG = """gateway: {{name: guest, board: /usr/share/weir/boards/{board}/hal.conf}}
sources:
  - name: devices
    listen: mqtts://0.0.0.0:8883
    cert: /etc/weir/server.pem
    key: /etc/weir/server.key
    client_ca: /etc/weir/ca.pem
    topics: ["telemetry/{{device}}/{{metric}}"]
detectors:
  - {{type: limit, name: overheated, metric: temperature, high: 85, severity: critical, clear_after: 0s, cooldown: 0s, chatter: false}}
learning: {{readings: 1, time: 0s}}
alerts: {{storm: 0}}
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


def set_clock(guest):
    """As a time server would: a machine without a clock starts somewhere in the past, where no certificate is valid yet."""
    try:
        return guest.ssh("date", "-s", f"@{int(time.time())}", check=False)
    except subprocess.TimeoutExpired:
        return ""


def times(place, guest):
    guest.wait_console(r"weir: slot=A", 120)
    print(f"  boot loader chose A      {guest.seconds():6.1f} s")
    if guest.is_pi:
        wait_until("ssh answers", lambda: guest.assert_well() or set_clock(guest), 1200, 2)
    wait_until("a reading is acknowledged", lambda: guest.assert_well() or publish(place, guest, 21.5), 900, 0.3)
    print(f"  first reading, PUBACK    {guest.seconds():6.1f} s")
    assert publish(place, guest, 99, 60)
    wait_until("an alert at the cloud", lambda: "overheated" in place.log("alerts"), 60)
    print(f"  alert at the cloud, TLS  {guest.seconds():6.1f} s")
    confirmed = guest.wait_console(r"weir: confirmed slot=A version=(\S+) seconds=(\S+) memory=(\d+)MiB", 300)
    print(f"  slot confirmed           {guest.seconds():6.1f} s ({confirmed[2]} by the guest's clock), memory in use {confirmed[3]} MiB")
    assert guest.is_pi or int(confirmed[3]) <= MEMORY_MAX_MIB, f"{confirmed[3]} MiB in use"


def it_is_closed(place, guest):
    assert "/data" in guest.ssh("findmnt", "-no", "TARGET", "/data")
    assert guest.ssh("touch /usr/x 2>&1; true").count("Read-only") == 1, "the slot can be written"
    passwords = [line.split(":")[1] for line in guest.ssh("cat /etc/shadow").splitlines()]
    assert passwords and all(password.startswith(("*", "!")) for password in passwords), passwords
    failed = guest.ssh("systemctl --failed --no-legend --plain").split()
    assert not failed, failed
    size = int(guest.ssh("df --output=size -B1M /data | tail -n 1"))
    assert size > 1500, f"/data was not grown: {size} MiB"
    only_the_key_opens(place, guest)
    only_what_is_configured_is_reached(guest)


def only_the_key_opens(place, guest):
    other = place.path("other-key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    said = subprocess.run([*guest.ssh_command(other), "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert said.returncode == 255 and "Permission denied (publickey)." in said.stderr, said  # no other way is offered
    print("  ssh: the site's key alone")


def said_at(port):
    """What a port of this machine says at once; nothing when it is not answered."""
    with socket.socket() as s:
        s.settimeout(10)
        try:
            s.connect(("127.0.0.1", port))
            return s.recv(100)
        except OSError:
            return b""


def only_what_is_configured_is_reached(guest):
    rules = guest.ssh("nft list chain inet weir in")
    assert "policy drop" in rules and set(re.findall(r"tcp dport (\d+) accept", rules)) == {"22", "8883"}, rules
    guest.ssh(f"systemd-run -q -u unwanted systemd-socket-activate -l {UNWANTED} --inetd -a /bin/echo let in")
    inside = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{UNWANTED}; head -n 1 <&3'"
    wait_until("it answers inside", lambda: "let in" in guest.ssh(inside, check=False), 60, 1)
    assert said_at(guest.ports[22]).startswith(b"SSH-") and said_at(guest.ports[UNWANTED]) == b""
    guest.ssh(f"nft insert rule inet weir in tcp dport {UNWANTED} accept")
    assert said_at(guest.ports[UNWANTED]) == b"let in\n", "the firewall was not what kept it out"
    guest.ssh("systemctl stop unwanted; systemctl restart weir-firewall")
    print("  firewall: 22 and 8883 alone")


def it_has_a_name(guest):
    name = guest.ssh("cat /proc/sys/kernel/hostname").strip()
    assert re.fullmatch("weir-[0-9a-f]{6}", name), name
    found, other = guest.wire.ask(f"{name}.local"), guest.wire.ask("somebody-else.local", 3)
    assert found == ADDRESS and other is None, f"{name}.local is {found}, somebody-else.local is {other}"
    print(f"  answers to {name}.local with {found}")


def status_of(guest):
    return json.loads(guest.ssh("weir status --json || true") or "{}")


def its_clock_is_told(guest):
    """Where a site's own server gives the time, the kernel, and so Weir under its sandbox, knows that it is right."""
    guest.ssh("sed -i 's/^clock:.*/clock: {trust: kernel, wait: 0s}/' /data/etc/weir/weir.yaml; systemctl restart weir")
    wait_until("Weir does not believe the clock", lambda: status_of(guest).get("clock") not in (None, "synced"), 120, 2)
    guest.ssh("printf 'port 1123\nallow 127.0.0.1\nlocal stratum 1\ncmdport 0\npidfile /run/server.pid\nbindcmdaddress /\n' >/run/server.conf; "
              "systemd-run -q -u time-server chronyd -d -x -f /run/server.conf; "
              "echo 'server 127.0.0.1 port 1123 iburst minpoll 0' >/data/etc/chrony/site.conf; systemctl restart chrony")
    wait_until("Weir believes the clock", lambda: status_of(guest).get("clock") == "synced", 120, 2)
    print("  chrony's word on the clock reaches Weir")


def its_parts_work(place, guest):
    """As the unit's user, with a hal.conf of the site's own: LED, relay and button."""
    parts = Parts(guest)
    at, own = f"/usr/share/weir/boards/{guest.board['BOARD']}/hal.conf", "/data/etc/weir/hal.conf"
    guest.put("\n".join(parts.names()).encode() + b"\n", "/run/hal.conf")
    guest.ssh(f"(grep -v -e ^relay -e ^led {at}; cat /run/hal.conf) >{own}; chown root:weir {own}; chmod 0640 {own}; "
              "sed -i 's,board: [^}]*hal.conf,board: /etc/weir/hal.conf,' /data/etc/weir/weir.yaml; systemctl restart weir")

    def wait_for(what, pattern, relay):
        def done():
            return parts.shown()[-1:] == [pattern] and parts.relay() == relay
        try:
            wait_until(what, done, 120, 2)
        except AssertionError:
            print(f"  LED: {parts.shown()}; relay: {parts.relay()}\n{guest.ssh('weir status || true')}")
            raise
    wait_until("starting: even blinking", lambda: "blinks 500 500" in parts.shown(), 120, 2)
    wait_for("the alert outlived the restart", "blinks 100 100", 1)
    wait_until("a reading is acknowledged again", lambda: publish(place, guest, 20), 120, 1)
    wait_for("it is over, all is good: steady", "light", 0)
    assert publish(place, guest, 99, 60)
    wait_for("an alert: fast blinking, and the relay", "blinks 100 100", 1)
    parts.pull(("down", BUTTON, 0.5), ("up", BUTTON, 0))
    wait_until("a short press acknowledges", lambda: json.loads(guest.ssh("weir alerts --json").splitlines()[0])["acknowledged"], 60, 2)
    assert parts.relay() == 1, "acknowledging turned the relay off"
    assert publish(place, guest, 20, 60)
    wait_for("the alert is over", "light", 0)
    place.stop("cloud")
    wait_for("no uplink: a light with gaps", "blinks 1900 100", 0)
    guest.ssh("systemctl stop weir")
    wait_for("stopped in order: dark", "dark", 0)
    guest.ssh("systemctl start weir")
    print("  LED, relay and button: as they should be")
    return parts


def certificate(guest):
    """What it listens with: (whose name it bears, its digest)."""
    ask = ["openssl", "s_client", "-connect", f"localhost:{guest.ports[8883]}"]
    shown = subprocess.run(ask, input="", capture_output=True, text=True, timeout=60).stdout
    told = subprocess.run(["openssl", "x509", "-noout", "-subject", "-fingerprint"], input=shown, capture_output=True, text=True).stdout.split("\n")
    return tuple(told[:2])


def comes_up_as_it_came(guest):
    """Its certificate, which it made itself."""
    guest.wait_console(r"weir: confirmed slot=A", 1200)
    wait_until("it listens with a certificate of its own making", lambda: "CN = weir-" in certificate(guest)[0], 120, 2)
    return certificate(guest)


def ten_seconds_erase_all(guest, parts):
    """Also who may log in: what it says of itself can be had by the certificate alone."""
    parts.pull(("down", BUTTON, 0))
    guest.expects_failures = True
    guest.wait_console(r"weir-reset: starting again", 60)
    guest.wait_console(r"weir-data: erasing keys, settings and data", 300)
    own = comes_up_as_it_came(guest)
    assert said_at(guest.ports[22]) == b"", "ssh is open without a key"
    print(f"  ten seconds on the button: erased, up again as it came after {guest.seconds():.0f} s")
    return own


def overwrite(guest, count):
    begin, size = guest.partition("data")
    with open(guest.medium, "r+b") as f:
        f.seek(begin)
        for _ in range(min(size, count) >> 16):
            f.write(os.urandom(1 << 16))


def comes_back_from_damage(guest, own):
    """Without its superblock the data partition is mended; where nothing can be read it is made anew, with settings as they came."""
    for count, said, kept in ((64 << 10, "damaged, mending", True), (256 << 20, "nothing in it can be read, made anew", False)):
        guest.stop()
        overwrite(guest, count)
        guest.expects_failures = True
        guest.start()
        guest.wait_console(f"weir-data: {said}", 600)
        now = comes_up_as_it_came(guest)
        assert (now == own) == kept, f"{own}, then {now}"
        print(f"  the data partition's first {count >> 10} KiB overwritten: {said}")


def it_runs_as_told(guest):
    status = status_of(guest)
    machine = status["machine"]
    assert machine["board"] == guest.board["BOARD"] and status["ledger"]["stored"] >= 2, status
    if guest.board["QEMU_WATCHDOG"]:
        wait_until("Weir holds the watchdog", lambda: "watchdog" not in status_of(guest)["machine"]["missing"], 60, 2)
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
            it_is_closed(place, guest)
            it_runs_as_told(guest)
            it_has_a_name(guest)
            its_clock_is_told(guest)
            parts = its_parts_work(place, guest)
            own = ten_seconds_erase_all(guest, parts)
            comes_back_from_damage(guest, own)
    print(f"ok {name} boots")
    return 0


def main():
    skip_without("mosquitto", "socat", "ssh")
    names = sys.argv[1:] or [name for name in boards.names() if boards.read(name)["STATE"] == "booted"]
    return max(boot(name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
