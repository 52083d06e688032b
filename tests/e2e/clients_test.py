#!/usr/bin/env python3
"""Goal: stock clients publish at each QoS, in 3.1.1 and 5.0, plain and over TLS, and nothing of it is lost or stored twice.
Method: the real gateway; mosquitto_pub, Paho C by its synchronous and its asynchronous interface, paho-mqtt for Python,
and MQTT.js where npm can fetch it; each publishes numbered readings and ends when all of them are complete."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from tls_test import Endpoint  # noqa: E402
from weir_e2e import ROOT, run_cases, skip_without  # noqa: E402

COUNT = 150
VERSIONS = {4: "mqttv311", 5: "mqttv5"}


class Site:
    """The gateway, and how a client of it is told where and who."""

    def __init__(self, place, tls):
        self.place, self.tls, self.count = place, tls, 0
        self.end = Endpoint(place, listen="mqtts" if tls else "mqtt", more="" if tls else "anonymous: true")
        self.ca = place.path("pki/ca.crt")

    def try_client(self, name, publish):
        """Once for each version; `publish` gets the version, the device and its password."""
        for version in VERSIONS:
            device = f"{name}-{version}"
            publish(version, device, self.end.add(device) if self.tls else None)
            self.count += COUNT
            ledger = self.end.stored(self.count)
            assert ledger["stored"] == self.count and ledger["duplicate"] == 0 and ledger["rejected_total"] == 0, ledger
        counts = self.end.counts()
        assert counts["faults"] == 0 and counts["refused"] == 0 and counts["taken_over"] == 0, counts


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}: {(done.stderr + done.stdout)[-1500:]}"


def mosquitto_pub(site):
    def publish(version, device, password):
        own = ["--cafile", site.ca, "-h", "localhost", "-u", device, "-P", password] if site.tls else ["-h", "127.0.0.1"]
        for qos in range(3):
            lines = "".join(f'{{"value":{n},"sequence":{n}}}\n' for n in range(1, COUNT + 1) if n % 3 == qos)
            run(["mosquitto_pub", "-V", VERSIONS[version], "-q", str(qos), "-p", str(site.end.port), "-i", f"pub-{qos}",
                 "-t", f"t/{device}/temp", "-l", *own], input=lines)
    site.try_client("mosquitto", publish)


def paho_c(site, asynchronous):
    library = "paho-mqtt3as" if asynchronous else "paho-mqtt3cs"
    program = site.place.path("paho_client")
    run([os.environ.get("CC", "cc").split()[-1], "-o", program, os.path.join(ROOT, "tests/lib/paho_client.c"),
         *(["-DASYNC"] if asynchronous else []), f"-l{library}"])

    def publish(version, device, password):
        uri = f"ssl://localhost:{site.end.port}" if site.tls else f"tcp://127.0.0.1:{site.end.port}"
        run([program, uri, str(version), str(COUNT), device, *([site.ca, password] if site.tls else [])])
    site.try_client("paho-async" if asynchronous else "paho-sync", publish)


PYTHON = """
import sys, paho.mqtt.client as mqtt
port, version, count, device, ca, password = sys.argv[1:]
client = mqtt.Client("python", protocol=int(version))
if ca:
    client.tls_set(ca)
    client.username_pw_set(device, password)
client.connect("localhost", int(port))
client.loop_start()
sent = [client.publish("t/%s/temp" % device, '{"value":%d,"sequence":%d}' % (i, i), qos=i % 3)
        for i in range(1, int(count) + 1)]
for info in sent:
    info.wait_for_publish(60)
    assert info.is_published()
client.disconnect()
client.loop_stop()
"""


def paho_python(site):
    python = next((p for p in (sys.executable, "/usr/bin/python3")
                   if subprocess.run([p, "-c", "import paho.mqtt.client"], capture_output=True).returncode == 0), None)
    if python is None:
        print("  skipped: python3-paho-mqtt is not installed")
        return

    def publish(version, device, password):
        run([python, "-c", PYTHON, str(site.end.port), str(version), str(COUNT), device, site.ca if site.tls else "",
             password or ""])
    site.try_client("python", publish)


SCRIPT = """
const [port, version, count, device, ca, password] = process.argv.slice(2);
const mqtt = require('mqtt'), fs = require('fs');
const own = ca ? { ca: fs.readFileSync(ca), username: device, password } : {};
const client = mqtt.connect((ca ? 'mqtts' : 'mqtt') + '://localhost:' + port,
    { protocolVersion: Number(version), clientId: 'js', reconnectPeriod: 0, ...own });
client.on('error', error => { console.error(error); process.exit(1); });
client.on('close', () => { console.error('closed'); process.exit(1); });
client.on('connect', async () => {
  const sent = [];
  for (let i = 1; i <= Number(count); i++)
    sent.push(client.publishAsync(`t/${device}/temp`, JSON.stringify({ value: i, sequence: i }), { qos: i % 3 }));
  await Promise.all(sent);
  client.removeAllListeners('close');
  await client.endAsync();
});
"""


def mqtt_js(site):
    if not shutil.which("npm") or not shutil.which("node"):
        print("  skipped: npm is not installed")
        return
    done = subprocess.run(["npm", "install", "--prefix", site.place.dir, "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0",
                           "--fetch-timeout=20000", "mqtt@5"],
                          capture_output=True, text=True, timeout=100)
    if done.returncode != 0:
        print(f"  skipped: npm can't fetch mqtt: {done.stderr.strip().splitlines()[-1:]}")
        return
    script = site.place.path("client.js")
    with open(script, "w", encoding="ascii") as file:
        file.write(SCRIPT)

    def publish(version, device, password):
        run(["node", script, str(site.end.port), str(version), str(COUNT), device, *([site.ca, password] if site.tls else [])])
    site.try_client("js", publish)


def every_client(place, tls):
    site = Site(place, tls)
    for client in (mosquitto_pub, lambda s: paho_c(s, False), lambda s: paho_c(s, True), paho_python, mqtt_js):
        client(site)
    print(f"  {site.count} readings, v3.1.1 and v5, QoS 0, 1 and 2")


def plain(place):
    every_client(place, False)


def over_tls(place):
    every_client(place, True)


def main():
    skip_without("mosquitto_pub", "cc")
    return run_cases([plain, over_tls])


if __name__ == "__main__":
    sys.exit(main())
