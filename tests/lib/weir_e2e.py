"""What end-to-end tests share: brokers, certificates and the gateway, each with its own log in one directory that is
removed afterwards, each stopped by its own pid. Loopback and unusual ports only.

    with Place() as place:
        port = place.start_broker("plant")
        place.write_config(sources=[...])
        place.start_gateway()
"""
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from simulator.processes import ROOT, WEIR, Processes, free_port  # noqa: E402

SKIP = 77


def skip_without(*programs):
    for program in programs:
        if not shutil.which(program):
            print(f"{program} is not installed")
            sys.exit(SKIP)
    if not os.access(WEIR, os.X_OK):
        print(f"{WEIR} is not built")
        sys.exit(SKIP)


def wait_until(what, done, seconds=20, step=0.05):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = done()
        if found:
            return found
        time.sleep(step)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def pin(pid, index):
    """A process and what it begins to one of the cores that we may use, all its threads; -1: the last one."""
    core = sorted(os.sched_getaffinity(0))[index]
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


class Share:
    """How much longer a process's first thread takes than with a core of its own, from here on: others may use the core
    too. 1 where the kernel does not tell."""

    def __init__(self, pid):
        self.path = f"/proc/{pid}/task/{pid}/schedstat"
        self.begin = self.read()

    def read(self):
        try:
            with open(self.path, encoding="ascii") as file:
                ran, waited, _ = file.read().split()
            return int(ran), int(waited)
        except OSError:
            return 0, 0

    def stretch(self):
        ran, waited = (now - begin for now, begin in zip(self.read(), self.begin))
        return 1 + waited / ran if ran > 0 else 1


CASES_AT_ONCE = 4
CASE_TIMEOUT_S = 400


def run_cases(cases):
    """A test of independent cases: those that the command line names, one by one, else all of them, each in a process
    of its own and several at once, since most of their time is waiting."""
    if len(sys.argv) == 1:
        with concurrent.futures.ThreadPoolExecutor(CASES_AT_ONCE) as pool:
            return max(pool.map(run_alone, [case.__name__ for case in cases]))
    for case in cases:
        if case.__name__ not in sys.argv[1:]:
            continue
        began = time.monotonic()
        with Place() as place:
            case(place)
        print(f"ok {case.__name__} {time.monotonic() - began:.1f} s", flush=True)
    return 0


def run_alone(name):
    done = subprocess.run([sys.executable, sys.argv[0], name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=CASE_TIMEOUT_S)
    print(done.stdout, end="", flush=True)
    return abs(done.returncode)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def http_ask(connection, path, method="GET", headers=()):
    connection.request(method, path, headers=dict(headers))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


class Place(Processes):
    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix="weir-e2e-"))
        self.ports, self.commands = {}, {}
        self.config = self.path("weir.yaml")
        self.socket = self.path("weir.sock")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind not in (None, SystemExit):
            for name in self.logs:
                print(f"--- {name}.log\n{self.log(name)[-3000:]}")
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)
        self.close_logs()
        if "WEIR_KEEP" not in os.environ:
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- brokers ---

    def pki(self, *clients):
        subprocess.run([os.path.join(ROOT, "tests/lib/pki.sh"), self.path("pki"), *clients], check=True)

    def rename_server(self, name):
        """From its next start on every TLS broker shows a certificate of our authority for `name`."""
        pki, request, names = self.path("pki"), self.path("server.csr"), self.path("server.ext")
        with open(names, "w") as f:
            f.write(f"extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{name}\n")
        for command in (["openssl", "req", "-new", "-key", f"{pki}/server.key", "-subj", f"/CN={name}", "-out", request],
                        ["openssl", "x509", "-req", "-in", request, "-CA", f"{pki}/ca.crt", "-CAkey", f"{pki}/ca.key",
                         "-CAcreateserial", "-days", "2", "-extfile", names, "-out", f"{pki}/server.crt"]):
            subprocess.run(command, check=True, capture_output=True)

    def start_broker(self, name, tls=False, settings=""):
        """A stock mosquitto with the settings of docs/broker.conf."""
        port = self.ports.setdefault(name, free_port())
        directory = self.path(name)
        os.makedirs(directory, exist_ok=True)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        text = f"""user {user}
listener {port} 127.0.0.1
allow_anonymous true
persistence_location {directory}/
"""
        with open(os.path.join(ROOT, "docs/broker.conf")) as f:
            text += f.read()
        if tls:
            text += f"""cafile {self.path("pki/ca.crt")}
certfile {self.path("pki/server.crt")}
keyfile {self.path("pki/server.key")}
require_certificate true
use_identity_as_username true
"""
        with open(self.path(name + ".conf"), "w") as f:
            f.write(text + settings)
        self.start(name, ["mosquitto", "-c", self.path(name + ".conf")])
        wait_until(f"{name} listens", lambda: self.answers(port))
        return port

    @staticmethod
    def answers(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    # --- gateway ---

    def write_config(self, text):
        with open(self.config, "w") as f:
            f.write(f"gateway:\n  name: gw-test\n  data_dir: {self.path('data')}\n  socket: {self.socket}\n" + text)

    def start_gateway(self, wait=True, **more):
        before = self.log("gateway").count("weir: ready") if "gateway" in self.logs else 0
        process = self.start("gateway", [WEIR, "run", "-c", self.config], **more)

        def ready():
            assert process.poll() is None, f"the gateway ended with {process.returncode}"
            return self.log("gateway").count("weir: ready") > before
        if wait:
            wait_until("the gateway is ready", ready)
        return process

    def weir(self, *arguments, check=True):
        done = subprocess.run([WEIR, *arguments, "-s", self.socket], capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"weir {arguments}: {done.returncode}: {done.stderr}"
        return done.stdout

    def status(self):
        return json.loads(self.weir("status", "--json", check=False))  # a health of "failed" exits 1

    def wait_status(self, what, judge, seconds=20):
        last = {}

        def done():
            nonlocal last
            last = self.status()
            return judge(last)
        try:
            wait_until(what, done, seconds, 0.1)
        except AssertionError:
            print(json.dumps(last, indent=1))
            raise
        return last

    def get(self, path, method="GET", headers=()):
        """Ask over HTTP at the gateway's socket: status and text."""
        return http_ask(UnixConnection(self.socket), path, method, headers)

    def export(self):
        return [json.loads(line) for line in self.weir("export").splitlines()]

    def readings(self):
        return [line for line in self.export() if line["kind"] == "reading"]


def replay(*arguments, code=0):
    """`weir replay`, which has to end with this status."""
    done = subprocess.run([WEIR, "replay", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def replay_json(*arguments, code=0):
    return json.loads(replay(*arguments, "--json", code=code).stdout)


class Proxy:
    """Between a client and a broker: passes bytes on until it is told to cut every connection, or to let none in."""

    def __init__(self, to_port):
        self.to_port, self.pairs, self.open, self.lock = to_port, [], True, threading.Lock()
        self.pause_s = 0.0       # after each 8 KiB: a thin line, so that a cut finds something under way
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                assert self.open
                far = socket.create_connection(("127.0.0.1", self.to_port))
            except (OSError, AssertionError):
                near.close()
                continue
            with self.lock:
                self.connections += 1
                self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(a, b), daemon=True).start()

    def _pass_on(self, a, b):
        try:
            while data := a.recv(8192):
                if self.pause_s > 0:
                    time.sleep(self.pause_s)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """In the middle of whatever is under way: reset, nothing more is delivered."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.cut()
