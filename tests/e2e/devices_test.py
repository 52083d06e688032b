#!/usr/bin/env python3
"""Goal: the examples for device makers lose nothing and send nothing twice, and docs/devices.md says what the gateway says.
Method: each example is a device with a password at the real gateway over TLS, which is killed under it; what it measured is
compared with the journal. The MicroPython one runs under this Python, with a stand-in for umqtt.simple. The page's reason
codes are compared with the source."""
import glob
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, free_port, run_cases, skip_without, wait_until  # noqa: E402

EXAMPLES = os.path.join(ROOT, "docs/examples")


class Site:
    """A gateway for devices, with one of them added."""

    def __init__(self, place, name="boiler-1"):
        self.place, self.name, self.port = place, name, free_port()
        place.pki()
        place.write_config(f"""clock: {{trust: system}}
usual: {{all: false}}
commit: {{max_age: 100ms}}
sources:
  - name: devices
    listen: mqtts://127.0.0.1:{self.port}
    cert: {place.path("pki/server.crt")}
    key: {place.path("pki/server.key")}
    topics:
      - telemetry/{{device}}/{{metric}}
      - template: batch/{{device}}
        payload: {{readings: /readings, metric: /m, value: /v, time: /t, sequence: /seq}}
""")
        place.start_gateway()
        self.password = json.loads(place.weir("device", "add", name, "--json"))["password"]
        self.ca = place.path("pki/ca.crt")

    def crash(self):
        self.place.stop("gateway", signal.SIGKILL)

    def wait_stored(self, count, what="stored"):
        self.place.wait_status(what, lambda s: s["ledger"]["stored"] >= count, 60)

    def has_once(self, values):
        readings = [r for r in self.place.readings() if r["device"] == self.name]
        got = sorted(r["value"] for r in readings)
        assert got == sorted(values), f"{len(got)} of {len(values)} values: {got[:20]}..."
        assert self.place.status()["ledger"]["received"] == self.place.status()["ledger"]["stored"] + \
            self.place.status()["ledger"]["duplicate"] + self.place.status()["ledger"]["rejected_total"]


class Program:
    """An example that reads its sensor from a pipe."""

    def __init__(self, place, command, **environment):
        self.log = open(place.path("device.log"), "a+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self.log, text=True,
                                        env=dict(os.environ, **environment))
        place.processes.setdefault("device", self.process)

    def measure(self, *values):
        self.process.stdin.write("".join(f"{value}\n" for value in values))
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)

    def said(self):
        self.log.seek(0)
        return self.log.read()


def the_one_in_c(place):
    site = Site(place)
    program = place.path("device")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", program,
                    os.path.join(EXAMPLES, "device.c"), "-lmosquitto"], check=True)

    def start():
        return Program(place, [program, "localhost", str(site.port), site.name, "temperature", site.ca],
                       DEVICE_PASSWORD=site.password)
    device = start()
    device.measure(*range(100))
    site.wait_stored(1)
    site.crash()
    device.measure(*range(100, 200))  # more than it has room for: it waits
    time.sleep(0.5)
    place.start_gateway()
    device.measure(*range(200, 250), "nan")  # what can't be used is told, and does not stop it
    assert device.end() == 1, device.said()
    assert "published 251, rejected 1" in device.said(), device.said()
    assert "rejected: Payload format invalid (0x99)" in device.said(), device.said()
    site.has_once(range(250))
    again = start()  # it counts from 1 again
    again.measure(*range(250, 300))
    assert again.end() == 0, again.said()
    site.has_once(range(300))
    place.weir("device", "revoke", site.name)
    locked_out = start()
    wait_until("it is told", lambda: "refused:" in locked_out.said())
    time.sleep(3)
    assert locked_out.said().count("refused:") == 1, "it asks again at once"
    assert 'weir_device_auth_failures_total{source="devices"} 1' in place.get("/metrics")[1]
    locked_out.process.kill()


def the_one_in_shell(place):
    site = Site(place)
    with open(place.path("mosquitto_pub"), "w") as f:
        f.write(f"-P {site.password}\n")
    command = [os.path.join(EXAMPLES, "device.sh"), site.name, "temperature", "-h", "localhost", "-p", str(site.port),
               "--cafile", site.ca, "-u", site.name]
    environment = {"XDG_CONFIG_HOME": place.dir, "DEVICE_STATE": place.dir}
    device = Program(place, command, **environment)
    device.measure(*range(10))
    site.wait_stored(3)
    site.crash()
    device.measure(*range(10, 15), "null")
    wait_until("it noticed", lambda: "not yet:" in device.said())
    place.start_gateway()
    assert device.end() == 0
    assert device.said().count("rejected:") == 1 and '{"value": null' in device.said(), device.said()
    site.has_once(range(15))
    again = Program(place, command, **environment)
    again.measure(15)
    assert again.end() == 0
    site.has_once(range(16))
    assert [r["sequence"] for r in place.readings()][-1] == 17, "the number goes on after a restart"


class Umqtt:
    """What umqtt.simple does of MQTT 3.1.1, as far as the example uses it."""

    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None):
        self.client_id, self.server, self.port = client_id, server, port
        self.user, self.password, self.keepalive, self.ssl = user, password, keepalive, ssl
        self.pid = 0

    @staticmethod
    def text(value):
        data = value if isinstance(value, bytes) else value.encode()
        return struct.pack(">H", len(data)) + data

    def send(self, first, body):
        size, length = len(body), b""
        while True:
            length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
            size >>= 7
            if size == 0:
                break
        self.sock.sendall(bytes([first]) + length + body)

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise OSError(-1)
            data += more
        return data

    def connect(self):
        self.sock = socket.create_connection((self.server, self.port), 20)
        self.sock = self.ssl.wrap_socket(self.sock, server_hostname=self.server)
        self.send(0x10, self.text("MQTT") + b"\x04\xc2" + struct.pack(">H", self.keepalive) + self.text(self.client_id) +
                  self.text(self.user) + self.text(self.password))
        answer = self.receive(4)
        assert answer[:2] == b"\x20\x02" and answer[3] == 0, answer

    def publish(self, topic, message, retain=False, qos=0):
        assert qos == 1 and not retain
        self.pid += 1
        self.send(0x32, self.text(topic) + struct.pack(">H", self.pid) + message)
        answer = self.receive(4)
        assert answer == b"\x40\x02" + struct.pack(">H", self.pid), answer


def the_one_in_micropython(place):
    site = Site(place)
    import ssl
    sys.modules["umqtt"] = types.ModuleType("umqtt")
    sys.modules["umqtt.simple"] = types.ModuleType("umqtt.simple")
    sys.modules["umqtt.simple"].MQTTClient = Umqtt
    sys.path.insert(0, EXAMPLES)
    sys.dont_write_bytecode = True
    import device as example
    device = example.Device(site.name, site.password, "localhost", site.port,
                            ssl.create_default_context(cafile=site.ca))
    device.wait_s = 0.5
    for value in range(30):
        device.read("temperature", value)
    assert device.send() and device.send() and device.send()  # 20, 10, nothing
    site.crash()
    for value in range(30, 60):
        device.read("temperature", value)
    assert not device.send() and not device.send()
    place.start_gateway()
    wait_until("all is sent", lambda: device.send() and not device.waiting, 60)
    site.has_once(range(60))
    unheard, heard = example.Device(site.name, site.password, "localhost", 1), example.READINGS_MAX
    for value in range(heard + 5):
        unheard.read("temperature", value)
    assert [r["v"] for r in unheard.waiting] == list(range(5, heard + 5)), "the oldest are lost"


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


# The endpoint takes all of these, and never says so: firmware/listener/listener.c, offer_of.
UNSAID = {"MQTT_RETAIN_NOT_SUPPORTED", "MQTT_WILDCARDS_NOT_SUPPORTED"}


def the_page_has_each_reason_code(_place):
    known = dict(re.findall(r"X\((MQTT_\w+), (0x[0-9a-f]{2}),", read("pipeline/mqtt/reason.h")))
    said = {"MQTT_" + word for word in re.findall(r"X\(\w+, (\w+),", read("pipeline/mqtt/fault.h"))}
    for pattern in ("firmware/listener/*.c", "pipeline/mqtt/connection*.c"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            said.update(re.findall(r"\bMQTT_[A-Z0-9_]+\b", read(path)))
    codes = {known[word] for word in said - UNSAID if word in known}
    page = set(re.findall(r"^\| `(0x[0-9a-f]{2})`", read("docs/devices.md"), re.M))
    assert codes == page, f"not in the page: {sorted(codes - page)}; never said: {sorted(page - codes)}"
    for name in ("device.c", "device.sh", "device.py"):
        assert f"(examples/{name})" in read("docs/devices.md") and "devices.md" in read("docs/examples", name), name


CASES = [the_one_in_c, the_one_in_shell, the_one_in_micropython, the_page_has_each_reason_code]


def main():
    skip_without("mosquitto_pub", "cc")
    return run_cases(CASES)


sys.exit(main())
