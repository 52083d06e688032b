"""The whole system in one directory: certificates, two brokers, the gateway, the cloud, a fleet.

Every process is stopped when the System is left, whatever happened."""
import getpass
import json
import os
import re
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time

from simulator.processes import ROOT, SIM, WEIR, Processes, Trouble, free_port

SCENARIOS = os.path.join(ROOT, "simulator", "scenarios")


def say(text):
    print(text, flush=True)


def interrupt(_number, _frame):
    raise KeyboardInterrupt


# A series lives here for a minute or so, at ten readings a second: what learns for a day would only tell of learning.
RULES = """\
usual: {all: false}
detectors:
  - {type: spike, cooldown: 1s, chatter: false}
  - {type: shift, cooldown: 1s, severity: major, chatter: false}
  - {type: stuck, cooldown: 1s, severity: minor, chatter: false}
  - {type: silent}
"""


SOURCES = {
    "broker": "url: mqtt://127.0.0.1:{port}\n    backoff_min: 200ms\n    backoff_max: 1s",
    "listener": "listen: mqtt://127.0.0.1:{port}\n    anonymous: true",
    "tls": "listen: mqtts://127.0.0.1:{port}\n    cert: {dir}/pki/server.crt\n    key: {dir}/pki/server.key\n"
           "    connections: 520\n    receive_maximum: 100",
}


class System(Processes):
    def __init__(self, learning_readings=200, learning_time="20s", rules=RULES, source="broker"):
        super().__init__(tempfile.mkdtemp(prefix="weir-"), process_group=0)  # Ctrl-C at the terminal is ours to handle, in our order
        self.source = source     # what devices publish to: a broker in front, or the gateway itself, with TLS and passwords
        self.device_port, self.cloud_port = free_port(), free_port()
        self.names = {"dir": self.dir, "user": getpass.getuser(), "device_port": self.device_port,
                      "device_source": SOURCES[source].format(port=self.device_port, dir=self.dir), "cloud_port": self.cloud_port, "learning_readings": learning_readings,
                      "learning_time": learning_time, "rules": rules}
        self.logins = 0          # devices that have a password, and a connection each while the fleet runs
        self.under = []          # a command that the gateway is run under
        self.keep = "WEIR_KEEP" in os.environ
        self.config = self.path("gateway.yaml")
        self.environment = self.popen["env"] = dict(os.environ, WEIR_CONFIG=self.config)

    def __enter__(self):
        signal.signal(signal.SIGTERM, interrupt)  # nothing may be left behind by that either
        signal.signal(signal.SIGINT, interrupt)   # a shell's background job begins by ignoring it
        for part in ("broker", "gateway"):
            os.mkdir(self.path(part))
        for name in ("broker.conf", "cloud-broker.conf", "gateway.yaml"):
            with open(os.path.join(SCENARIOS, name)) as f:
                text = string.Template(f.read()).substitute(self.names)
            if name == "broker.conf":
                with open(os.path.join(ROOT, "docs", name)) as f:
                    text += f.read()
            with open(self.path(name), "w") as f:
                f.write(text)
        self.make_certificates()
        return self

    def __exit__(self, kind, _value, _trace):
        for name in ("fleet", "gateway", "cloud", "broker", "cloud-broker"):
            try:
                self.stop(name)
            except Trouble as trouble:
                say(str(trouble))
        self.close_logs()
        if kind in (None, KeyboardInterrupt) and not self.keep:
            shutil.rmtree(self.dir)
        else:
            say(f"everything is kept in {self.dir}")

    def log_last(self, name, words):
        """Which of the words the log of a process spoke last."""
        found = re.findall("|".join(re.escape(w) for w in words), self.log(name))
        return found[-1] if found else None

    # --- parts -------------------------------------------------------------------------------------------------

    def start_broker(self):
        self.start("broker", ["mosquitto", "-c", self.path("broker.conf")])
        self.wait_port(self.device_port)

    def start_cloud_broker(self):
        self.start("cloud-broker", ["mosquitto", "-c", self.path("cloud-broker.conf")])
        self.wait_port(self.cloud_port)

    def start_gateway(self):
        self.start("gateway", [*self.under, WEIR, "run"])

    def change_certificate(self):
        """A new one for the server of devices and the cloud's, which takes it at its next start."""
        os.unlink(self.path("pki/server.crt"))
        subprocess.run([os.path.join(ROOT, "tests/lib/pki.sh"), self.path("pki")], check=True)
        self.processes["gateway"].send_signal(signal.SIGHUP)

    def make_certificates(self):
        subprocess.run([os.path.join(ROOT, "tests/lib/pki.sh"), self.path("pki"), "gateway", "cloud"], check=True)

    def start_cloud(self, *options, stdout=None):
        return self.start("cloud", [SIM, "cloud", "--port", str(self.cloud_port), "--ca", self.path("pki/ca.crt"),
                                    "--cert", self.path("pki/cloud.crt"), "--key", self.path("pki/cloud.key"),
                                    "--db", self.path("cloud.db"), *options], stdout=stdout)

    def add_device(self, name):
        """The password that the gateway made for it. As `weir device add` does it, but without a process for each."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path("gateway/weir.sock"))
            s.sendall(f"POST /api/v1/credentials/add?device={name} HTTP/1.1\r\nHost: weir\r\nContent-Length: 0\r\n"
                      "Connection: close\r\n\r\n".encode())
            answer = s.makefile("rb").read().partition(b"\r\n\r\n")[2]
        return json.loads(answer)["password"]

    def add_fleet(self, devices):
        self.logins = devices
        with open(self.path("logins"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            for number in range(devices):
                name = f"dev-{number:05d}"
                f.write(f"{name} {self.add_device(name)}\n")

    def start_fleet(self, *options):
        if self.source == "tls":
            options = ("--host", "localhost", "--ca", self.path("pki/ca.crt"), "--logins", self.path("logins"), *options)
        return self.start("fleet", [SIM, "fleet", "--port", str(self.device_port), "--progress", "--json",
                                    "--truth", self.path("truth.jsonl"), "--acked", self.path("acked.jsonl"),
                                    *options])

    # --- looking -----------------------------------------------------------------------------------------------

    def status(self):
        """The gateway's status, or None while it can't be asked."""
        try:
            done = subprocess.run([WEIR, "status", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env=self.environment, timeout=5)
            return json.loads(done.stdout) if done.returncode == 0 else None
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            return None

    def all_connected(self):
        status = self.status()
        return (status is not None and all(s["connected"] for s in status["sources"])
                and status["uplink"]["connected"]
                and self.log_last("cloud", ["subscribed", "connection lost"]) == "subscribed"
                and ("fleet" not in self.processes
                     # The gateway knows at once that one is gone; the fleet, when it has looked at all of them.
                     or status["sources"][0].get("devices", {}).get("connected", 0) >= self.logins
                     and self.log_last("fleet", ["fleet: connected", "fleet: connection lost"]) == "fleet: connected"))

    def wait(self, what, condition, wait_s):
        until = time.monotonic() + wait_s
        while not condition():
            self.check_alive()
            if time.monotonic() > until:
                raise Trouble(f"{what}: not within {wait_s} s; the gateway's log: {self.log_tail('gateway')}")
            time.sleep(0.1)

    def start_all(self, *cloud_options, cloud_stdout=None):
        if self.source == "broker":
            self.start_broker()
        self.start_cloud_broker()
        self.start_cloud(*cloud_options, stdout=cloud_stdout)
        self.start_gateway()
        self.wait("the gateway is connected", self.all_connected, 60)


def built():
    for program in (WEIR, SIM):
        if not os.access(program, os.X_OK):
            sys.exit(f"{os.path.relpath(program, ROOT)} is missing: run `make` first")
