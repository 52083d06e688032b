#!/usr/bin/env python3
"""Goal: over TCP nobody gets more than is his: on the loopback metrics and health, with TLS what his token allows, beyond
this machine nothing without both; and whoever floods that door has a fifth of the loop at most.
Method: the real gateway, asked over plain TCP and over TLS with tokens that `weir token` made; certificates, keys and
tokens are replaced while it runs; wrong configurations are started; connections and handshakes are made as fast as
threads can."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import ROOT, WEIR, free_port, http_ask, run_cases, skip_without, wait_until  # noqa: E402

OPEN_TO_ALL = ("/metrics", "/healthz", "/readyz")


def configure(place, http):
    place.write_config(f"""clock: {{trust: system}}
sources:
  - {{name: devices, listen: "mqtt://127.0.0.1:{free_port()}", anonymous: true, topics: ["t/{{device}}/{{metric}}"]}}
http: {http}
""")


def plain(port, path, method="GET"):
    return http_ask(http.client.HTTPConnection("127.0.0.1", port, timeout=20), path, method)


class Secured:
    """A gateway with HTTP over TLS, a viewer and an engineer."""

    def __init__(self, place):
        self.place, self.port = place, free_port()
        place.pki()
        self.tokens = place.path("http.tokens")
        self.viewer, self.engineer = self.make("viewer", "grafana"), self.make("engineer", "jo")
        configure(place, f"{{listen: 'https://127.0.0.1:{self.port}', tokens: {self.tokens}, "
                         f"cert: {place.path('pki/server.crt')}, key: {place.path('pki/server.key')}}}")

    def make(self, role, name):
        done = subprocess.run([WEIR, "token", role, name, "--to", self.tokens], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def connection(self, **versions):
        tls = ssl.create_default_context(cafile=self.place.path("pki/ca.crt"))
        for name, version in versions.items():
            setattr(tls, name, version)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)

    def ask(self, path, token=None, method="GET", scheme="Bearer"):
        headers = {"Authorization": f"{scheme} {token}"} if token else {}
        return http_ask(self.connection(), path, method, headers)

    def reload(self):
        told = self.place.log("gateway").count("http_reload")
        self.place.processes["gateway"].send_signal(signal.SIGHUP)
        wait_until("read again", lambda: self.place.log("gateway").count("http_reload") > told)
        return self.place.log("gateway").split("http_reload ")[-1].split("\n")[0]


def the_loopback_shows_metrics_and_health_alone(place):
    port = free_port()
    configure(place, f"{{listen: 'http://127.0.0.1:{port}'}}")
    place.start_gateway()
    for path in OPEN_TO_ALL:
        assert plain(port, path)[0] == 200, path
        assert plain(port, path, "HEAD") == (200, ""), path
        assert plain(port, path, "POST")[0] in (403, 405), path
    for path in ("/api/v1/status", "/api/v1/devices", "/api/v1/export", "/metrics/", "/", "//metrics"):
        status, text = plain(port, path)
        assert status == 403 and json.loads(text)["error"], (path, status, text)
    assert plain(port, "/api/v1/inventory/reload", "POST")[0] == 403
    assert plain(port, "/metrics", "DELETE")[0] == 405
    assert place.get("/api/v1/status", "DELETE")[0] == 405
    assert place.get("/api/v1/status")[0] == 200, "the socket gives all"
    assert 'weir_http_refused_total{why="forbidden"} 7' in plain(port, "/metrics")[1]


def each_role_has_what_is_its_own(place):
    site = Secured(place)
    place.start_gateway()
    for path in OPEN_TO_ALL + ("/api/v1/status", "/api/v1/export"):
        assert site.ask(path)[0] == 401, path
        assert site.ask(path, site.viewer)[0] == site.ask(path, site.engineer)[0] == 200, path
    for wrong in (site.viewer[:-1], site.viewer + "0", "x", "weir_"):
        assert site.ask("/metrics", wrong)[0] == 401, wrong
    assert site.ask("/metrics", site.viewer, scheme="Basic")[0] == 401
    assert site.ask("/metrics", site.viewer, scheme="bearer")[0] == 200, "the scheme's case is free (RFC 7235)"
    post = f"/api/v1/alerts/{26 * 'A'}/ack"  # there is no such alert, and an engineer is told so
    assert [site.ask(post, token, "POST")[0] for token in (None, site.viewer, site.engineer)] == [401, 403, 404]
    device = "/api/v1/credentials/add?device=d1"  # would outlive the token
    assert [site.ask(device, token, "POST")[0] for token in (None, site.viewer, site.engineer)] == [401, 403, 403]
    assert place.get(device, "POST")[0] == 409, "at the socket it may be asked for; here no source wants passwords"
    post = "/api/v1/commands?device=d1&payload_hex=61"
    assert [site.ask(post, token, "POST")[0] for token in (None, site.viewer, site.engineer)] == [401, 403, 404]
    log = place.log("gateway")
    assert "http_unauthorized from=127.0.0.1" in log
    assert site.viewer not in log and site.engineer not in log
    with open(site.tokens) as f:
        assert site.viewer not in f.read(), "the file has its digest alone"
    connection = site.connection()
    connection.request("GET", "/metrics")
    assert connection.getresponse().getheader("WWW-Authenticate") == 'Bearer realm="weir"'
    text = site.ask("/metrics", site.viewer)[1]
    assert 'weir_http_refused_total{why="unauthorized"} 14' in text, [x for x in text.splitlines() if "refused" in x]


def old_tls_is_refused(place):
    site = Secured(place)
    place.start_gateway()
    for name in ("TLSv1_2", "TLSv1_3"):
        version = getattr(ssl.TLSVersion, name)
        connection = site.connection(minimum_version=version, maximum_version=version)
        assert http_ask(connection, "/healthz")[0] == 401, name
    for cipher, good in (("ECDHE-ECDSA-AES256-GCM-SHA384", True), ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
                         ("ECDHE-ECDSA-AES128-SHA", False), ("ECDHE-ECDSA-AES128-CCM", False)):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-tls1_2", "-cipher",
                               cipher + ":@SECLEVEL=0"], input="", capture_output=True, text=True, timeout=20)
        assert (f"Cipher is {cipher}" in done.stdout) == good, cipher
    seclevel = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(seclevel, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "Cipher is (NONE)" in done.stdout, done.stdout + done.stderr


def secrets_are_read_again(place):
    site = Secured(place)
    place.start_gateway()
    newcomer = site.make("viewer", "newcomer")
    assert site.ask("/metrics", newcomer)[0] == 401
    assert site.reload() == 'ok=1 why=""'
    assert site.ask("/metrics", newcomer)[0] == 200
    place.rename_server("other.example.org")
    assert site.reload() == 'ok=1 why=""'
    try:
        site.ask("/metrics", newcomer)
        raise AssertionError("the old certificate was shown")
    except ssl.SSLCertVerificationError:
        pass
    place.rename_server("localhost,IP:127.0.0.1")
    assert site.reload() == 'ok=1 why=""'
    with open(place.path("pki/server.crt"), "w") as f:
        f.write("no certificate")
    assert site.reload().startswith('ok=0 why="http.listen: libmicrohttpd did not start')
    assert site.ask("/metrics", newcomer)[0] == 200, "the old ones stay"
    with open(site.tokens, "w") as f:
        f.write("viewer")
    assert 'ok=0 why="line 1' in site.reload()
    assert site.ask("/metrics", newcomer)[0] == 200
    assert place.stop("gateway") == 0


def wrong_settings_are_refused_at_start(place):
    site = Secured(place)

    def refused(said, **more):
        process = place.start_gateway(wait=False, **more)
        assert process.wait(20) in (78,), place.log("gateway")[-500:]
        assert said in place.log("gateway").split("memory budget")[-1], place.log("gateway")
        check = subprocess.run([WEIR, "check", "-c", place.config], capture_output=True, text=True)
        assert check.returncode == 78 and said in check.stdout + check.stderr, check.stdout + check.stderr
    os.chmod(site.tokens, 0o644)
    refused("others than its owner may use it")
    os.chmod(site.tokens, 0o600)
    with open(site.tokens, "w") as f:
        f.write("viewer a " + 64 * "0" + "\n")
    refused("it has no token for the role engineer")
    configure(place, f"{{listen: 'http://0.0.0.0:{site.port}'}}")
    refused("is open to the network")
    configure(place, f"{{listen: 'https://0.0.0.0:{site.port}'}}")
    refused("https:// without `http.tokens`")


def a_token_is_made_once(place):
    site = Secured(place)
    with open(site.tokens) as f:
        lines = f.read()
    with open(site.tokens, "w") as f:
        f.write(lines.rstrip("\n"))  # as an editor may leave it
    done = subprocess.run([WEIR, "token", "viewer", "more", "--to", site.tokens, "--json"], capture_output=True, text=True)
    made = json.loads(done.stdout)
    with open(site.tokens) as f:
        assert f.read() == lines + made["line"] + "\n"
    assert made["token"].startswith("weir_") and made["line"].startswith("viewer more "), made
    done = subprocess.run([WEIR, "token", "viewer", "grafana", "--to", site.tokens], capture_output=True, text=True)
    assert done.returncode == 1 and "the name stands in it already" in done.stderr, done
    assert os.stat(site.tokens).st_mode & 0o777 == 0o600
    assert subprocess.run([WEIR, "token", "root", "x"], capture_output=True).returncode == 2
    assert subprocess.run([WEIR, "token", "viewer", "a b"], capture_output=True).returncode == 2


FLOOD_S, FLOODERS, HANDSHAKERS = 4, 6, 6


def a_flood_has_a_fifth_of_the_loop(place):
    site = Secured(place)
    process = place.start_gateway()
    until, done = time.monotonic() + FLOOD_S, [0, 0]

    def flood():
        connection = site.connection()
        while time.monotonic() < until:
            try:
                connection.request("GET", "/metrics", headers={"Authorization": "Bearer " + site.viewer})
                connection.getresponse().read()
                done[0] += 1
            except (OSError, http.client.HTTPException):
                connection.close()

    def shake_hands():
        while time.monotonic() < until:
            try:
                site.ask("/healthz")
                done[1] += 1
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)

    def processor_s():
        with open(f"/proc/{process.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, began = processor_s(), time.monotonic()
    threads = [threading.Thread(target=what) for what, count in ((flood, FLOODERS), (shake_hands, HANDSHAKERS))
               for _ in range(count)]
    for thread in threads:
        thread.start()
    longest = 0
    while time.monotonic() < until:
        asked = time.monotonic()
        assert place.get("/readyz")[0] == 200
        longest = max(longest, time.monotonic() - asked)
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    share = (processor_s() - before) / (time.monotonic() - began)
    print(f"  {done[0]} scrapes, {done[1]} handshakes; {100 * share:.0f} % of a core; the socket within {longest:.2f} s")
    assert done[0] > 10 and done[1] > 5
    assert share < 0.25, "a fifth, and what the socket's answers cost (without the rests: a third)"


def the_slow_give_way(place):
    """All connections are taken by those who send a byte now and then: the next is answered at once all the same; and
    nobody keeps his for long."""
    port = free_port()
    configure(place, f"{{listen: 'http://127.0.0.1:{port}'}}")
    place.start_gateway()

    def dribble(source):
        peer = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
        peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
        return peer

    def ended(peer):
        try:
            peer.sendall(b"x")
            return peer.recv(1, socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=20)  # as Prometheus has it
    kept.request("GET", "/metrics")
    assert kept.getresponse().read()
    came = time.monotonic()
    slow = [dribble(f"127.0.0.{2 + i % 4}") for i in range(16)]
    time.sleep(0.5)
    for _ in range(3):
        asked = time.monotonic()
        assert plain(port, "/metrics")[0] == 200
        assert time.monotonic() - asked < 3
    wait_until("they are hung up on", lambda: all([ended(peer) for peer in slow]), 25, 0.5)
    assert time.monotonic() - came > 10, "a slow line is not too slow"
    assert 'weir_http_refused_total{why="slow"} 16' in plain(port, "/metrics")[1]


def a_file_in_the_sockets_place_stays(place):
    with open(place.socket, "w") as f:
        f.write("somebody's")
    configure(place, f"{{listen: 'http://127.0.0.1:{free_port()}'}}")
    done = subprocess.run([WEIR, "run", "-c", place.config], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "no socket" in done.stderr, done.stderr
    with open(place.socket) as f:
        assert f.read() == "somebody's"


def files_are_for_their_owner(place):
    """Whatever the umask of whoever starts it."""
    configure(place, f"{{listen: 'http://127.0.0.1:{free_port()}'}}")
    place.start_gateway(umask=0)
    modes = {name: os.stat(place.path("data", name)).st_mode & 0o7777 for name in os.listdir(place.path("data"))}
    assert "weir.db" in modes and not any(mode & 0o027 for mode in modes.values()), modes
    assert os.stat(place.socket).st_mode & 0o777 == 0o660 and os.stat(place.path("data")).st_mode & 0o7777 == 0o750


def prometheus_scrapes_it(place):
    """With the example's configuration and rules: only the target, the files and the pace are the test's."""
    site, port = Secured(place), free_port()
    place.start_gateway()
    with open(place.path("weir.token"), "w") as f:
        f.write(site.viewer)
    with open(os.path.join(ROOT, "docs/prometheus/prometheus.yml")) as f:
        text = f.read()
    for was, now in (("gateway-7.example.org:9464", f"localhost:{site.port}"), ("ca.crt", site.place.path("pki/ca.crt")),
                     ("30s", "1s"), ("weir-alerts.yml", os.path.join(ROOT, "docs/prometheus/weir-alerts.yml"))):
        assert was in text, was
        text = text.replace(was, now)
    with open(place.path("prometheus.yml"), "w") as f:
        f.write(text)
    place.start("prometheus", ["prometheus", f"--config.file={place.path('prometheus.yml')}", "--log.level=warn",
                               f"--storage.tsdb.path={place.path('tsdb')}", f"--web.listen-address=127.0.0.1:{port}"])

    def value(expression):
        try:
            text = plain(port, "/api/v1/query?query=" + urllib.parse.quote(expression))[1]
            return [float(found["value"][1]) for found in json.loads(text)["data"]["result"]]
        except (OSError, ValueError, http.client.HTTPException):
            return []
    wait_until("it is up", lambda: value('up{job="weir"}') == [1])
    assert value("weir_ledger_balanced") == [1] and value("count(weir_readings_rejected_total)")[0] > 20
    rules = json.loads(plain(port, "/api/v1/rules")[1])["data"]["groups"][0]["rules"]
    assert len(rules) > 20 and all(rule["health"] != "err" for rule in rules)


CASES = [the_loopback_shows_metrics_and_health_alone, each_role_has_what_is_its_own, old_tls_is_refused,
         secrets_are_read_again, wrong_settings_are_refused_at_start, a_token_is_made_once,
         a_flood_has_a_fifth_of_the_loop, the_slow_give_way, a_file_in_the_sockets_place_stays,
         files_are_for_their_owner,
         prometheus_scrapes_it]


def main():
    skip_without("openssl", "prometheus")
    return run_cases(CASES)


if __name__ == "__main__":
    sys.exit(main())
