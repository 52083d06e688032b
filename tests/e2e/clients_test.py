#!/usr/bin/env python3
"""Goal: stock clients publish to a source that listens and get what the standard says: each QoS, 3.1.1 and 5.0, plain, over
TLS with a password, and with a certificate. Method: mosquitto_pub, the Paho C client (sync and async), paho-mqtt for
Python, and MQTT.js (fetched by npm; skipped where that can't); each says success for every message, and the gateway has
stored each once."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from tls_test import issue  # noqa: E402
from weir_e2e import ROOT, free_port, run_cases, skip_without  # noqa: E402

LIB = os.path.join(ROOT, "tests/lib")
COUNT = 20
VERSIONS = {"3.1.1": 4, "5.0": 5}


class Doors:
    """A gateway with a plain listener and one with TLS; how to come in by each."""

    def __init__(self, place):
        self.place, self.plain, self.tls, self.sent = place, free_port(), free_port(), 0
        place.pki()
        cert, key = issue(place, "device", "/CN=d1")
        pki, rest = place.path("pki"), 'connections: 20, topics: ["t/{device}/{metric}"], payload: {value: /value, sequence: /sequence}'
        place.write_config(f"""clock: {{trust: system}}
sources:
  - {{name: plain, listen: "mqtt://127.0.0.1:{self.plain}", anonymous: true, {rest}}}
  - {{name: tls, listen: "mqtts://127.0.0.1:{self.tls}", cert: {pki}/server.crt, key: {pki}/server.key,
     client_ca: {pki}/ca.crt, {rest}}}
commit: {{max_age: 20ms}}
watchdog: {{timeout: 0}}
""")
        place.start_gateway()
        password = place.weir("device", "add", "d1", "--json").split('"password":"')[1].split('"')[0]
        self.ways = {  # port, then user, password, CA, certificate, key
            "plain": (self.plain, None, None, None, None, None),
            "password": (self.tls, "d1", password, f"{pki}/ca.crt", None, None),
            "certificate": (self.tls, None, None, f"{pki}/ca.crt", cert, key)}

    def each(self, publish):
        """publish(port, version, qos, first, (user, password, ca, cert, key)) for each way, version and QoS."""
        for way, (port, *who) in self.ways.items():
            for version in VERSIONS:
                for qos in (0, 1, 2):
                    done = publish(port, version, qos, self.sent + 1, who)
                    assert done.returncode == 0, (way, version, qos, done.stdout, done.stderr)
                    self.sent += COUNT
                    ledger = self.place.wait_status("all stored", lambda s: s["ledger"]["stored"] >= self.sent)["ledger"]
                    assert ledger["stored"] == self.sent and ledger["duplicate"] == ledger["rejected_total"] == 0, ledger
        print(f"  {self.sent} readings: {', '.join(self.ways)}; {', '.join(VERSIONS)}; QoS 0, 1, 2")


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


def words(values):
    return [str(v) if v is not None else "-" for v in values]


def mosquitto_pub(place):
    def publish(port, version, qos, first, who):
        user, password, ca, cert, key = who
        more = ["-u", user, "-P", password] if user else []
        more += ["--cafile", ca] if ca else []
        more += ["--cert", cert, "--key", key] if cert else []
        lines = "".join(f'{{"value":{n},"sequence":{n}}}\n' for n in range(first, first + COUNT))
        return run(["mosquitto_pub", "-V", "mqttv311" if version == "3.1.1" else "mqttv5", "-q", str(qos), "-h", "localhost",
                    "-p", str(port), "-t", "t/d1/temp", "-l", *more], input=lines)
    Doors(place).each(publish)


def paho_c(place, name, library, *defines):
    program = place.path(name)
    built = run(["cc", "-O1", "-Wall", *defines, "-o", program, os.path.join(LIB, "paho_client.c"), library])
    assert built.returncode == 0, built.stderr

    def publish(port, version, qos, first, who):
        return run([program, f"{'ssl' if who[2] else 'tcp'}://localhost:{port}", str(VERSIONS[version]), str(qos), str(COUNT),
                    str(first), *words(who)])
    Doors(place).each(publish)


def paho_c_sync(place):
    paho_c(place, "sync", "-lpaho-mqtt3cs", "-DSYNC")


def paho_c_async(place):
    paho_c(place, "async", "-lpaho-mqtt3as")


PAHO = """
import sys, paho.mqtt.client as mqtt
port, version, qos, count, first = map(int, sys.argv[1:6])
user, password, ca, cert, key = (None if word == "-" else word for word in sys.argv[6:])
client = mqtt.Client("paho", protocol=version)
if user:
    client.username_pw_set(user, password)
if ca:
    client.tls_set(ca, cert, key)
client.connect("localhost", port)
client.loop_start()
sent = [client.publish("t/d1/temp", '{"value":%d,"sequence":%d}' % (n, n), qos=qos) for n in range(first, first + count)]
for info in sent:
    info.wait_for_publish(30)
    assert info.is_published()
client.disconnect()
client.loop_stop()
"""


def paho_python(place):
    python = next((p for p in (sys.executable, "/usr/bin/python3")
                   if run([p, "-c", "import paho.mqtt.client"]).returncode == 0), None)
    if python is None:
        print("  python3-paho-mqtt is not installed")
        return
    Doors(place).each(lambda port, version, qos, first, who: run(
        [python, "-c", PAHO, *words((port, VERSIONS[version], qos, COUNT, first)), *words(who)]))


def mqtt_js(place):
    if not shutil.which("npm") or not shutil.which("node"):
        print("  skipped: npm is not installed")
        return
    fetched = os.path.join(ROOT, "build/npm")
    os.makedirs(fetched, exist_ok=True)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", fetched, "mqtt@5"]
    try:
        there = os.path.isdir(os.path.join(fetched, "node_modules/mqtt")) or run(install).returncode == 0
    except subprocess.TimeoutExpired:
        there = False
    if not there:
        print("  skipped: npm can't fetch MQTT.js")
        return
    environment = dict(os.environ, NODE_PATH=os.path.join(fetched, "node_modules"))
    Doors(place).each(lambda port, version, qos, first, who: run(
        ["node", os.path.join(LIB, "mqttjs_client.js"), *words((port, VERSIONS[version], qos, COUNT, first)), *words(who)],
        env=environment))


CASES = [mosquitto_pub, paho_c_sync, paho_c_async, paho_python, mqtt_js]


def main():
    skip_without("mosquitto_pub", "openssl", "cc")
    return run_cases(CASES)


if __name__ == "__main__":
    sys.exit(main())
