#!/usr/bin/env python3
"""Goal: a board's update by HTTP is what `weir update` does: checked, installed with progress, refused with the reason, confirmed, rolled back, one at a
time; for an engineer alone; nothing of a request gets further than it should; without an updater it is said.
Method: the real gateway and the real `weir update serve`, a process for each connection as the image's socket gives it, with a stand-in for RAUC on a bus of
the test's own and bundles from a server of its own."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, UnixConnection, Place, free_port, http_ask, run_cases, skip_without, wait_until  # noqa: E402
from http_test import Secured  # noqa: E402

BUS = """<busconfig><type>system</type><listen>unix:path={at}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""


class Board:
    """What an image has around the gateway: a bus, RAUC, the socket of its updater, and somewhere a server of updates."""

    def __init__(self, place, rauc=True):
        self.place, self.root, self.at = place, place.path("root"), place.path("updater.sock")
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={place.path('bus')}"}
        for folder in ("etc", "data/rauc", "run", "proc", "served"):
            os.makedirs(os.path.join(self.root, folder))
        os.chmod(place.dir, 0o755)
        self.put("etc/weir-version", "0.1.0\n")
        with open(place.path("bus.conf"), "w", encoding="utf-8") as f:
            f.write(BUS.format(at=place.path("bus")))
        place.start("bus-daemon", ["dbus-daemon", "--nofork", "--nopidfile", f"--config-file={place.path('bus.conf')}"])
        wait_until("the bus", lambda: os.path.exists(place.path("bus")))
        if rauc:
            self.start_rauc()
        self.served, self.asked = self.serve(), []
        self.children, self.lines = [], []
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.at)
        self.door.listen(8)
        threading.Thread(target=self.let_in, daemon=True).start()

    def start_rauc(self):
        program = self.place.path("fake_rauc")
        subprocess.run(["cc", "-O1", "-o", program, os.path.join(ROOT, "tests/lib/fake_rauc.c"), "-lsystemd"], check=True)
        self.place.start("rauc", [program, self.root], env=self.environment)
        wait_until("RAUC", lambda: subprocess.run([WEIR, "update", "status"], env=self.environment, capture_output=True).returncode == 0)

    def put(self, name, text):
        with open(os.path.join(self.root, name), "w", encoding="utf-8") as f:
            f.write(text)

    def get(self, name):
        with open(os.path.join(self.root, name), encoding="utf-8") as f:
            return f.read()

    def bundle(self, version, how="good", board="weir-test"):
        """Its URL."""
        self.put(f"served/{version}.raucb", f"{board} {version} {how}\n")
        return f"http://127.0.0.1:{self.served}/{version}.raucb"

    def serve(self):
        port = free_port()
        self.place.start("http", [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", os.path.join(self.root, "served"), str(port)])
        wait_until("the server", lambda: self.place.answers(port))
        return port

    def let_in(self):
        """As systemd does with Accept=yes."""
        while True:
            connection, _ = self.door.accept()
            self.children.append(subprocess.Popen([WEIR, "update", "serve", "--root", self.root, "-s", self.place.socket], stdin=connection,
                                                  stdout=connection, stderr=self.place.logs["http"], env=self.environment))
            connection.close()

    def say(self, line):
        """To the updater itself, past the gateway."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.at)
            s.sendall(line.encode())
            try:
                return s.makefile().read()
            except ConnectionResetError:
                return "it did not even read all that"


def configure(place, more=""):
    place.write_config(f"  updater: {place.path('updater.sock')}\nclock: {{trust: system}}\nsources:\n  - {{name: here, listen: "
                       f"'mqtt://127.0.0.1:{free_port()}', anonymous: true, topics: ['telemetry/{{device}}/{{metric}}']}}\n{more}")


def ask(place, path="", method="GET"):
    status, text = place.get(f"/api/v1/update{path}", method)
    return status, json.loads(text)


def post(place, path):
    return ask(place, path, "POST")


def over(place):
    def ended():
        status, now = ask(place)
        assert status == 200, now
        return now if now["state"] != "running" else None
    return wait_until("it is over", ended, 60, 0.2)


def do(place, path):
    assert post(place, path) == (202, {"accepted": True})
    return over(place)


def an_update_is_installed(place):
    board = Board(place)
    configure(place)
    place.start_gateway()
    status, now = ask(place)
    assert status == 200 and now["state"] == "none" and now["board"] == "weir-test" and now["version"] == "0.1.0" and now["updater"] == "idle", now
    assert now["slots"] == [{"slot": "A", "state": "booted", "boot": "good", "starts_next": True},
                            {"slot": "B", "state": "inactive", "boot": "good", "starts_next": False}], now
    now = do(place, f"/check?bundle={board.bundle('0.2.0', 'slow')}")
    assert now["state"] == "done" and now["verb"] == "check" and now["bundle"] == "0.2.0" and now["error"] is None, now

    url = board.bundle("0.2.0", "slow")
    assert post(place, f"/install?bundle={url}")[0] == 202
    now = wait_until("progress", lambda: ask(place)[1] if ask(place)[1]["percent"] == 40 else None)
    assert now["state"] == "running" and now["message"] == "Copying image to rootfs.1" and now["updater"] == "installing" and not now["slots"], now
    assert now["began"] and now["ended"] is None and now["fetched_bytes"] == len("weir-test 0.2.0 slow\n"), now
    trial = board.get("data/rauc/trial")
    assert "from=0.1.0\nto=0.2.0\n" in trial, trial
    for path in (f"/install?bundle={url}", f"/check?bundle={url}", "/confirm", "/rollback"):
        status, said = post(place, path)
        assert status == 409 and "under way" in said["error"], (path, status, said)
    by_hand = subprocess.run([WEIR, "update", "rollback", "--root", board.root, "-s", place.socket], env=board.environment, capture_output=True, text=True)
    assert by_hand.returncode == 1 and "another update is under way" in by_hand.stderr, by_hand
    assert place.stop("gateway") == 0  # it goes on without the gateway
    place.start_gateway()
    assert ask(place)[1]["state"] == "running"
    board.put("go", "")
    now = over(place)
    assert now["state"] == "done" and now["percent"] == 100 and now["ended"] and "next start" in now["message"], now
    assert [slot["starts_next"] for slot in now["slots"]] == [False, True], now
    assert "update_asked verb=install status=202" in place.log("gateway") and url not in place.log("gateway")

    now = do(place, "/rollback")
    assert now["state"] == "done" and board.get("marks") == "active other\n", now
    board.put("proc/cmdline", "quiet rauc.slot=B\n")  # as if it had started
    now = do(place, f"/install?bundle={url}")
    assert now["state"] == "failed" and "on trial" in now["error"] and "confirm" in now["error"], now
    place.wait_status("a commit", lambda status: status["store"]["commits"] > 0)
    now = do(place, "/confirm")
    assert now["state"] == "done" and now["error"] is None and board.get("marks") == "active other\ngood booted\n", now
    assert not os.path.exists(os.path.join(board.root, "data/rauc/trial")), "it was judged"
    assert json.loads(subprocess.run([WEIR, "update", "status", "--json", "--root", board.root], env=board.environment, capture_output=True,
                                     text=True, check=True).stdout)["slots"] == now["slots"]
    status, text = place.get("/api/update")
    assert status == 200 and json.loads(text)["verb"] == "confirm", "also without the v1"


def what_is_wrong_is_said(place):
    board = Board(place)
    configure(place)
    place.start_gateway()
    secret = f"http://127.0.0.1:{board.served}/none.raucb?token=sesame"
    for path, error in ((f"/install?bundle={board.bundle('0.0.9')}", "0.0.9 is older than what runs"),
                        (f"/install?bundle={board.bundle('0.2.0', 'rogue')}", "no bundle that this board trusts"),
                        (f"/install?bundle={board.bundle('0.2.1', board='weir-other')}", "is for weir-other, this is a weir-test"),
                        (f"/install?bundle={board.bundle('0.2.2', 'broken')}", "Failed updating slot rootfs.1: Input/output error"),
                        (f"/check?bundle={secret}", "404"),
                        ("/install?bundle=stick", "no USB disk")):
        now = do(place, path)
        assert now["state"] == "failed" and error in now["error"] and "sesame" not in json.dumps(now), (path, now)
        assert ask(place)[1]["error"] == now["error"], "it stays to be seen"
    assert not os.path.exists(os.path.join(board.root, "data/rauc/trial")) and not os.path.exists(os.path.join(board.root, "marks"))
    assert now["slots"][0]["starts_next"], now

    # it is refused, where the job's process is gone, and where RAUC is
    os.makedirs(os.path.join(board.root, "run/weir-update"), exist_ok=True)
    board.put("run/weir-update/job", '{"state":"running","verb":"install","percent":40,"began":"2026-01-01T00:00:00.000Z"}')
    time.sleep(1.1)  # an answer is used for a second
    now = ask(place)[1]
    assert now["state"] == "failed" and "interrupted" in now["error"] and now["percent"] == 40, now
    place.stop("rauc")
    time.sleep(1.1)
    for status, said in (ask(place), post(place, "/rollback")):
        assert status == 503 and "no word from the updater" in said["error"], (status, said)


def requests_are_looked_at(place):
    board = Board(place)
    configure(place)
    place.start_gateway()
    touched = place.path("touched")
    for bundle in ("", "x", "file:///etc/passwd", "/etc/passwd", "http://", "http:///x", "http://-o/x", "http://a:b@h/x", "http://h/%0Astatus", "ftp://h/x",
                   f"http://h/%24%28touch%20{touched}%29", "http://h/%60id%60", "http://h/%7Ba,b%7D", "http://h/%5B1-9%5D", "http://[x]/", "http://h/%7F",
                   "http://h/%C3%A4", "http://h/" + 1000 * "a", "sticks"):
        status, said = post(place, f"/install?bundle={bundle}")
        assert status == 400 and "want bundle=" in said["error"], (bundle, status, said)
    assert post(place, "/install")[0] == 400 and post(place, "/confirm?bundle=stick")[0] == 400
    status, said = post(place, f"/install?bundle={board.bundle('0.0.9')}&force=1")
    assert status == 403 and "weir update install BUNDLE --force" in said["error"], said
    assert post(place, "/remove")[0] == 404 and post(place, "/x/install")[0] == 404
    assert ask(place, "/install")[0] == 405 and post(place, "")[0] == 405
    assert ask(place)[1]["state"] == "none", "nothing got that far"
    # nor is the gateway trusted: the updater looks for itself
    for line in ("install /etc/passwd\n", "install http://h/x --force\n", "install http://h/`id`\n", "install\n", "status x\n", "confirm --force\n", "gate\n",
                 "status\nstatus\n", "rollback other\n", " \n", "\n", "install http://h/" + 1000 * "a" + "\n", 3000 * "a"):
        said = board.say(line)
        assert said.startswith("400 ") or (len(line) > 1000 and "did not even" in said), (line, said)
    assert not os.path.exists(touched) and board.say("status\n").startswith("200 ")


def an_engineer_asks(place):
    board, site = Board(place), Secured(place)
    configure(place, f"http: {{listen: 'https://127.0.0.1:{site.port}', tokens: {site.tokens}, cert: {place.path('pki/server.crt')}, "
                     f"key: {place.path('pki/server.key')}}}\n")
    place.start_gateway()
    install = f"/api/v1/update/install?bundle={board.bundle('0.2.0')}"
    for path in (install, "/api/v1/update/rollback", "/api/v1/update/confirm", "/api/update/rollback"):
        assert [site.ask(path, token, "POST")[0] for token in (None, "weir_x", site.viewer)] == [401, 401, 403], path
    assert [site.ask("/api/v1/update", token)[0] for token in (None, site.viewer)] == [401, 200]
    assert ask(place)[1]["state"] == "none"
    assert site.ask(install, site.engineer, "POST")[0] == 202
    assert over(place)["state"] == "done"


def no_updater_is_said(place):
    configure(place)
    place.start_gateway()
    for status, said in (ask(place), post(place, "/install?bundle=stick"), post(place, "/confirm")):
        assert status == 501 and "no updater here" in said["error"], (status, said)
    # one that ends without a word, and one that says what makes no sense
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place.path("updater.sock"))
        door.listen(8)
        for answer in (b"", b"yes\n", b"200\n", b"999 {}\n", 9000 * b"2", b"200 {}"):
            asked = threading.Thread(target=lambda: said.append(post(place, "/confirm")))
            said = []
            asked.start()
            with door.accept()[0] as one:
                assert one.recv(100) == b"confirm\n"
                one.sendall(answer)
            asked.join(20)
            assert said and said[0][0] == 502, (answer, said)
        # whoever asked is gone before the answer: the next is served all the same
        gone = UnixConnection(place.socket)
        gone.request("POST", "/api/v1/update/confirm")
        with door.accept()[0] as one:
            assert one.recv(100) == b"confirm\n"
            gone.close()
            time.sleep(0.2)
            one.sendall(b"202 {}\n")
        asked = threading.Thread(target=lambda: said.append(http_ask(UnixConnection(place.socket), "/api/v1/update")))
        asked.start()
        with door.accept()[0] as one:
            assert one.recv(100) == b"status\n"
            one.sendall(b'200 {"state":"none"}\n')
        asked.join(20)
        assert said[-1] == (200, '{"state":"none"}'), said
    os.remove(place.path("updater.sock"))


def main():
    skip_without("dbus-daemon", "curl", "openssl", "cc")
    if not os.path.exists("/usr/include/systemd/sd-bus.h") or shutil.which("curl") != "/usr/bin/curl":
        print("sd-bus and curl are needed")
        return 77
    return run_cases((an_update_is_installed, what_is_wrong_is_said, requests_are_looked_at, an_engineer_asks, no_updater_is_said))


if __name__ == "__main__":
    sys.exit(main())
