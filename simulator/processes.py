"""The processes of one folder: each writes a log of its own there, and is ended by its pid. Loopback only.

What runs the whole system, the scenarios and the end-to-end tests is made of this."""
import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR = os.path.join(ROOT, os.environ.get("B", "build"), "weir")
SIM = os.path.join(ROOT, os.environ.get("B", "build"), "weir-sim")

port_locks, our_ports = [], set()  # a file of which a byte a port is locked until this process ends


class Trouble(Exception):
    """Something that the whole needs did not happen."""


def free_port():
    """A port that nobody listens on and nobody else is given here: systems and tests run beside each other. It is below those that the
    kernel gives to connections, one of which could otherwise take it while a gateway restarts."""
    if not port_locks:
        port_locks.append(open(os.path.join(tempfile.gettempdir(), f"weir-ports-{os.getuid()}"), "ab"))
    for port in random.sample(range(20000, 32000), 12000):
        try:
            fcntl.lockf(port_locks[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in our_ports:
            our_ports.add(port)
            return port
    raise Trouble("no port is free")


class Processes:
    def __init__(self, folder, **popen):
        """`popen`: for each of them."""
        self.dir, self.popen = folder, popen
        self.processes, self.logs = {}, {}

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def start(self, name, command, stdin=subprocess.DEVNULL, stdout=None, **popen):
        """Its messages, and its output where `stdout` is not given, go to NAME.log."""
        if name not in self.logs:
            self.logs[name] = open(self.path(name + ".log"), "ab")
        log = self.logs[name]
        self.processes[name] = subprocess.Popen(command, stdin=stdin, stdout=stdout or log, stderr=log, **self.popen, **popen)
        return self.processes[name]

    def stop(self, name, how=signal.SIGTERM, wait_s=25):
        """The exit status; None of what does not run."""
        process = self.processes.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Trouble(f"{name} did not stop within {wait_s} s; its log: {self.log_tail(name)}") from None

    def close_logs(self):
        for log in self.logs.values():
            log.close()

    def log(self, name):
        with open(self.path(name + ".log"), errors="replace") as f:
            return f.read()

    def log_tail(self, name, lines=15):
        return "\n    ".join([""] + self.log(name).splitlines()[-lines:])

    def check_alive(self):
        for name, process in self.processes.items():
            if process.poll() not in (None, 0):
                raise Trouble(f"{name} ended with {process.returncode}; its log: {self.log_tail(name)}")

    def wait_port(self, port, wait_s=10):
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            self.check_alive()
            time.sleep(0.05)
        raise Trouble(f"nothing listens on port {port} after {wait_s} s")
