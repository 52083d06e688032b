#!/usr/bin/env python3
"""Goal: devices publish over TLS as themselves and nobody else; who they are is added, revoked and renewed on the running
gateway; who is not let in costs little and hurts nobody. Method: the real gateway on loopback; mosquitto_pub as `weir device
add` prints it, and Python's own TLS for what stock clients never do (clients_test.py has those)."""
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import CONNACK, PUBACK, V3, V5, Client, packet, publish, text  # noqa: E402
from weir_e2e import free_port, run_cases, skip_without, wait_until  # noqa: E402

NOBODY = "0" * 32


def connect(client, version, user=None, password=None, keep_alive=60):
    flags = 2 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    body = text("MQTT") + bytes([version, flags, 0, keep_alive]) + (b"\0" if version == V5 else b"") + text(client)
    body += b"".join(text(t) for t in (user, password) if t is not None)
    return packet(0x10, body)


def context(place, **more):
    made = ssl.create_default_context(cafile=place.path("pki/ca.crt"))
    for key, value in more.items():
        setattr(made, key, value)
    return made


class Secure(Client):
    """One connection over TLS, spoken by hand. `code` is CONNACK's, None for an end without one."""

    def __init__(self, end, user=None, password=None, version=V5, client="c1", tls=None, session=None, source="127.0.0.1",
                 keep_alive=60):
        self.version, self.buffer, self.was_reset, self.code = version, b"", False, None
        plain = socket.create_connection(("127.0.0.1", end.port), 10, (source, 0))
        plain.settimeout(20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = tls or context(end.place)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost", session=session)
        self.send(connect(client, version, user, password, keep_alive))
        kind, body = self.receive()
        if kind is not None:
            self.code = body[1]


class Endpoint:
    def __init__(self, place, more="", limits="", topics='["t/{device}/{metric}"]', listen="mqtts", max_age="50ms"):
        self.place, self.port = place, place.ports.setdefault("devices", free_port())
        place.pki()
        own = f"cert: {place.path('pki/server.crt')}\n    key: {place.path('pki/server.key')}" if listen == "mqtts" else ""
        place.write_config(f"""clock: {{trust: system}}
{limits}
sources:
  - name: devices
    listen: {listen}://127.0.0.1:{self.port}
    {own}
    {more}
    topics: {topics}
    payload: {{value: /value, sequence: /sequence, device: /device}}
commit: {{max_age: {max_age}}}
watchdog: {{timeout: 0}}
""")
        place.start_gateway()

    def add(self, device, verb="add"):
        return json.loads(self.place.weir("device", verb, device, "--json"))["password"]

    def counts(self):
        return self.place.status()["sources"][0]["devices"]

    def wait_counts(self, what, judge):
        self.place.wait_status(what, lambda s: judge(s["sources"][0]["devices"]))

    def stored(self, count):
        return self.place.wait_status(f"{count} stored", lambda s: s["ledger"]["stored"] >= count)["ledger"]


# --- stock clients ---

def pasted_line(place):
    """What `weir device add` prints works as it stands, where ca.crt lies."""
    end = Endpoint(place)
    said = place.weir("device", "add", "it's 1")
    line = next(row.split(None, 1)[1] for row in said.splitlines() if row.strip().startswith("paste "))
    for more in ("", " -V mqttv5", " -V mqttv311 -q 0"):
        subprocess.run(line.replace("127.0.0.1", "localhost") + more, shell=True, check=True, cwd=place.path("pki"), timeout=20)
    assert end.stored(3)["stored"] == 3
    assert place.export()[-1] and {r["device"] for r in place.readings()} == {"it's 1"}
    assert "it's 1" in place.weir("device", "list") and "password" in place.weir("device", "list")
    password = shlex.split(line)[shlex.split(line).index("-P") + 1]
    for file in os.listdir(place.path("data")) + ["../gateway.log"]:
        with open(place.path("data", file), "rb") as f:
            assert password.encode() not in f.read(), f"the password stands in {file}"


# --- who is let in ---

def refused(place):
    end = Endpoint(place)
    password = end.add("d1")
    end.add("d2")
    assert Secure(end, "d1", password).code == 0 and Secure(end, "d1", password, V3).code == 0
    for i, (user, given) in enumerate((("d1", NOBODY), ("d2", password), ("d3", password), ("d1", password[:-1]),
                                       ("d1", None), (None, None), ("", ""), ("d1", password + "0"))):
        source = f"127.0.0.{i + 2}"  # each from elsewhere, or it would be slowed
        assert Secure(end, user, given, source=source).code == 0x86, (user, given)
        assert Secure(end, user, given, V3, source=source).code == 4, (user, given)
    end.wait_counts("all counted", lambda c: c["bad_credentials"] == 16)
    old = context(place, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak = context(place, maximum_version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA256:AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    for tls in (old, weak):
        try:
            Secure(end, "d1", password, tls=tls)
            raise AssertionError("an old version or cipher was taken")
        except ssl.SSLError:
            pass
    plain = Client(end.port, None)
    plain.send(connect("c1", V5, "d1", password))
    kind, _ = plain.receive()
    assert kind != 2, "CONNACK in clear"
    end.wait_counts("handshakes counted", lambda c: c["bad_handshakes"] == 3)
    assert "device_refused" in place.log("gateway") and password not in place.log("gateway")


def own_topics(place):
    """A device speaks for itself alone: by topic, by payload, and by client id."""
    end = Endpoint(place, topics='["t/{device}/{metric}", "anybody/{metric}"]')
    passwords = {name: end.add(name) for name in ("d1", "d2")}
    client = Secure(end, "d1", passwords["d1"])
    table = [  # topic, payload, reason code of v5
        ("t/d1/temp", '{"value":1,"sequence":1}', 0),
        ("t/d1/temp", '{"value":1,"sequence":2,"device":"d1"}', 0),
        ("anybody/temp", '{"value":1,"sequence":3}', 0),
        ("t/d2/temp", '{"value":1,"sequence":4}', 0x87),
        ("t/d1/temp", '{"value":1,"sequence":5,"device":"d2"}', 0x87),
        ("anybody/temp", '{"value":1,"sequence":6,"device":"d2"}', 0x87),
        ("elsewhere", '{"value":1,"sequence":7}', 0x90),
    ]
    for number, (topic, payload, code) in enumerate(table, 1):
        client.publish(number, topic=topic, payload=payload.encode())
        kind, body = client.receive()
        assert kind == PUBACK and (body[2] if len(body) > 2 else 0) == code, (topic, payload, body)
    old = Secure(end, "d1", passwords["d1"], V3, "c2")
    old.publish(8, topic="t/d2/temp")
    assert old.acknowledged(1) == [8], "3.1.1 has no word for it: it is a dead letter, and done"
    ledger = place.status()["ledger"]
    assert ledger["stored"] == 3 and ledger["rejected"] == {"identity_mismatch": 4, "topic_mismatch": 1}, ledger
    assert {r["device"] for r in place.readings()} == {"d1"}
    other = Secure(end, "d2", passwords["d2"], client="c1")  # d1's client id is not d2's to take over
    assert other.code == 0
    client.publish(9, topic="t/d1/temp")
    assert client.acknowledged(1) == [9]
    again = Secure(end, "d1", passwords["d1"], client="c1")
    assert again.code == 0 and client.ended_with() == 0x8E


def changes_at_once(place):
    """What was answered survives kill -9; revoked and rotated end what is open."""
    end = Endpoint(place)
    first = end.add("d1")
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    client, old = Secure(end, "d1", first), Secure(end, "d1", first, V3, "c2")
    assert client.code == 0 and old.code == 0
    other = Secure(end, "d2", end.add("d2"))
    second = end.add("d1", "rotate")
    assert client.ended_with() == 0x87 and old.ended_with() is None
    assert Secure(end, "d1", first).code == 0x86
    client = Secure(end, "d1", second)
    assert client.code == 0
    place.weir("device", "revoke", "d1")
    place.stop("gateway", signal.SIGKILL)
    assert client.ended_with() == 0x87
    place.start_gateway()
    assert Secure(end, "d1", second).code == 0x86
    assert place.weir("device", "revoke", "d1", check=False) == ""
    third = end.add("d1")
    assert third not in (first, second) and Secure(end, "d1", third).code == 0
    other.close()
    done = subprocess.run([os.environ.get("WEIR", "build/weir"), "device", "add", "d9", "hunter2", "-s", place.socket],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "the gateway makes the password" in done.stderr, done
    for name in ("a/b", "", "x" * 65, "x" * 200):
        done = subprocess.run([os.environ.get("WEIR", "build/weir"), "device", "add", name, "-s", place.socket],
                              capture_output=True, text=True)
        assert done.returncode == 1 and "a device's name has 1 to 64 bytes" in done.stderr, done
    with open(place.path("data/credentials"), "a") as f:
        f.write("nonsense\n")
    place.stop("gateway")
    gateway = place.start_gateway(wait=False)
    assert gateway.wait(20) == 1 and "line 4: damaged" in place.log("gateway")


# --- certificates ---

def issue(place, name, subject="/CN=x", alternative="", ca="ca", days=2, use="clientAuth"):
    """A client's certificate; negative days: it has expired."""
    pki, path = place.path("pki"), place.path(name)
    with open(path + ".ext", "w") as f:
        f.write(f"extendedKeyUsage={use}\n" + (f"subjectAltName={alternative}\n" if alternative else ""))
    for command in (["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path + ".key"],
                    ["openssl", "req", "-new", "-key", path + ".key", "-subj", subject, "-out", path + ".csr"],
                    ["openssl", "x509", "-req", "-in", path + ".csr", "-CA", f"{pki}/{ca}.crt", "-CAkey", f"{pki}/{ca}.key",
                     "-CAcreateserial", "-days", str(days), "-extfile", path + ".ext", "-out", path + ".crt"]):
        subprocess.run(command, check=True, capture_output=True)
    return path + ".crt", path + ".key"


def shows(place, files, **more):
    tls = context(place, **more)
    tls.load_cert_chain(*files)
    return tls


def fails(end, tls, **more):
    try:
        return Secure(end, tls=tls, **more).code is None
    except (ssl.SSLError, ConnectionError):
        return True


def client_certificates(place):
    end = Endpoint(place, more=f"client_ca: {place.path('pki/ca.crt')}")
    good = issue(place, "good", "/O=plant/CN=d1")
    tls = shows(place, good, maximum_version=ssl.TLSVersion.TLSv1_2)
    client = Secure(end, tls=tls)
    assert client.code == 0 and Secure(end, "d1", tls=tls, client="c2").code == 0
    client.publish(1, device="d1")
    assert client.acknowledged(1) == [1]
    client.publish(2, device="d2")
    kind, body = client.receive()
    assert kind == PUBACK and body[2] == 0x87, body
    again = Secure(end, tls=tls, client="c3", session=client.socket.session)
    assert again.code == 0 and again.socket.session_reused, "who it is comes with the session"
    again.publish(3, device="d1")
    assert again.acknowledged(1) == [3]
    for version in ("mqttv311", "mqttv5"):
        subprocess.run(["mosquitto_pub", "-V", version, "-q", "1", "-h", "localhost", "-p", str(end.port), "--cafile",
                        place.path("pki/ca.crt"), "--cert", good[0], "--key", good[1], "-t", "t/d1/temp", "-m", '{"value":1}'],
                       check=True, timeout=20)
    assert Secure(end, "d2", end.add("d2")).code == 0, "a password still does"
    assert Secure(end, "d2", NOBODY, tls=tls, source="127.0.0.2").code == 0x86, "another's user name"
    assert Secure(end, tls=shows(place, issue(place, "nobody", "/O=plant")), source="127.0.0.2").code == 0x86
    subprocess.run([os.path.join(os.path.dirname(__file__), "../lib/pki.sh"), place.path("other")], check=True)
    for suffix in ("crt", "key"):
        os.rename(place.path(f"other/ca.{suffix}"), place.path(f"pki/strange.{suffix}"))
    for number, files in enumerate((issue(place, "strange", "/CN=d1", ca="strange"), issue(place, "old", "/CN=d1", days=-1),
                                    issue(place, "server", "/CN=d1", use="serverAuth"))):
        assert fails(end, shows(place, files), source=f"127.0.0.{number + 3}"), files
    for why in ("not signed by client_ca", "has expired", "not one for clients"):
        wait_until(f"the log says {why}", lambda: why in place.log("gateway"))
    assert "no device of this name was known" in place.weir("device", "revoke", "d1"), "a slip of the pen is told"
    assert client.ended_with() == 0x87 and again.ended_with() == 0x87
    for session in (None, client.socket.session):
        assert Secure(end, tls=tls, session=session, source="127.0.0.7").code == 0x86
    end.add("d1")
    assert Secure(end, tls=tls, source="127.0.0.7").code == 0
    assert place.weir("device", "revoke", "d1") == "revoked\n"


def names_in_certificates(place):
    end = Endpoint(place, more=f"client_ca: {place.path('pki/ca.crt')}\n    client_name: \"DNS:{{device}}.plant.example\"")
    names = "DNS:elsewhere.example,URI:urn:d3.plant.example,DNS:d1.plant.example"
    client = Secure(end, tls=shows(place, issue(place, "dns", "/CN=d2", names)))
    assert client.code == 0
    client.publish(1, device="d1")
    assert client.acknowledged(1) == [1]
    for number, name in enumerate(("DNS:.plant.example", "DNS:a/b.plant.example", "DNS:plant.example", "URI:urn:x")):
        assert Secure(end, tls=shows(place, issue(place, "bad", "/CN=d1", name)), source=f"127.0.0.{number + 2}").code == 0x86
    place.stop("gateway")
    with open(place.config) as f:
        text_now = f.read()
    with open(place.config, "w") as f:
        f.write(text_now.replace("DNS:{device}.plant.example", "URI:urn:{device}.plant.example"))
    place.start_gateway()
    client = Secure(end, tls=shows(place, ("%s.crt" % place.path("dns"), "%s.key" % place.path("dns"))))
    client.publish(1, device="d3")
    assert client.code == 0 and client.acknowledged(1) == [1]


def certificate_changed(place):
    """SIGHUP: newcomers see the new certificate, who is connected notices nothing, nonsense changes nothing."""
    end = Endpoint(place)
    password = end.add("d1")
    tls = context(place, maximum_version=ssl.TLSVersion.TLSv1_2)
    client = Secure(end, "d1", password, tls=tls)
    first = client.socket.getpeercert(True)
    for number in range(1, 6):
        place.pki()
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        place.path("pki/server.key")], check=True, capture_output=True)
        place.rename_server("localhost")
        place.processes["gateway"].send_signal(signal.SIGHUP)
        wait_until("read again", lambda: place.log("gateway").count("source_reload source=devices ok=1") == number)
        client.publish(number, device="d1")
        assert client.acknowledged(1) == [number]
        newcomer = Secure(end, "d1", password, tls=tls, client="c2", session=client.socket.session)
        second = newcomer.socket.getpeercert(True)
        assert newcomer.code == 0 and second != first and not newcomer.socket.session_reused
        first = second
    for name, text_now in (("server.crt", "nonsense"), ("server.key", None)):
        if text_now is None:  # a good key, but of another certificate
            place.rename_server("localhost")
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                            place.path("pki/server.key")], check=True, capture_output=True)
        else:
            with open(place.path("pki", name), "w") as f:
                f.write(text_now)
        before = place.log("gateway").count("ok=0 why=")
        place.processes["gateway"].send_signal(signal.SIGHUP)
        wait_until("refused", lambda: place.log("gateway").count("source_reload source=devices ok=0") > 0
                   and place.log("gateway").count("ok=0 why=") > before)
        assert Secure(end, "d1", password, tls=tls, client="c3").socket.getpeercert(True) == first
    assert "is not the key of" in place.log("gateway")
    place.rename_server("localhost")  # all is well again, but for who may read the key
    os.chmod(place.path("pki/server.key"), 0o640)
    before = place.log("gateway").count("source_reload source=devices ok=0")
    place.processes["gateway"].send_signal(signal.SIGHUP)
    wait_until("refused", lambda: place.log("gateway").count("source_reload source=devices ok=0") > before)
    assert "its mode is 0640" in place.log("gateway")
    client.publish(9, device="d1")
    assert client.acknowledged(1) == [9]
    assert "certificate_until" in end.counts()


# --- bytes ---

def records(place):
    """More in a record than a gulp takes, a byte in a record, and records behind acknowledgements that wait."""
    end = Endpoint(place, more="receive_maximum: 20", limits="limits: {payload: 1KiB}", max_age="20ms")
    password = end.add("d1")
    client = Secure(end, "d1", password, V3)
    stream = b"".join(publish(n, V3, device="d1") for n in range(1, 1001))
    for start in range(0, len(stream), 16384):
        client.send(stream[start:start + 16384])
    assert client.acknowledged(1000) == list(range(1, 1001))
    for byte in publish(1001, V3, device="d1"):
        client.send(bytes([byte]))
    assert client.acknowledged(1) == [1001]
    ledger = end.stored(1001)
    assert ledger["stored"] == 1001 and ledger["duplicate"] == 0, ledger
    client.send(b"".join(publish(n, V3, qos=0, device="d1") for n in range(1002, 1202)))  # one record, then nothing
    assert end.stored(1201)["stored"] == 1201
    client.send(packet(0xC0, b""))
    assert client.receive()[0] == 13, "PINGRESP"


def resumed(place):
    end = Endpoint(place)
    password, times = end.add("d1"), []
    tls = context(place, maximum_version=ssl.TLSVersion.TLSv1_2)
    session = None
    for _ in range(3):
        began = time.monotonic()
        client = Secure(end, "d1", password, tls=tls, session=session)
        times.append((time.monotonic() - began) * 1000)
        assert client.code == 0
        assert client.socket.session_reused == (session is not None)
        session = client.socket.session
        assert client.socket.version() == "TLSv1.2" and "ECDHE" in client.socket.cipher()[0]
        client.close()
    print(f"  connected after {times[0]:.1f} ms, resumed after {min(times[1:]):.1f} ms")


# --- those who take more than their part ---

def backs_off(place):
    end = Endpoint(place)
    password = end.add("d1")
    client = Secure(end, "d1", password, source="127.0.0.2")
    for _ in range(60):
        try:
            Secure(end, "d1", NOBODY, client="bad")
        except OSError:
            pass
    counts = end.counts()
    assert counts["slowed"] >= 45 and counts["bad_credentials"] <= 15, counts
    try:
        assert Secure(end, "d1", password).code is None
    except OSError:
        pass
    assert Secure(end, "d1", password, client="c2", source="127.0.0.3").code == 0, "another address is in the way"
    client.publish(1, device="d1")
    assert client.acknowledged(1) == [1]

    def back():
        try:
            return Secure(end, "d1", password).code == 0
        except OSError:
            return False
    began = time.monotonic()
    wait_until("its address is listened to again", back, 40, 0.5)
    print(f"  60 wrong passwords: {counts['slowed']} were not looked at; let in again after {time.monotonic() - began:.1f} s")


def connected_before(place):
    """Who holds many connections before the first of them fails has no more guesses for it."""
    end = Endpoint(place, listen="mqtt")
    password = end.add("d1")
    held = [Client(end.port, None) for _ in range(40)]
    late = Client(end.port, None)
    wait_until("all are let in", lambda: end.counts()["accepted"] >= 41)
    for client in held:
        client.send(connect("bad", V3, "d1", NOBODY))
    codes = [client.receive() for client in held]
    late.send(connect("late", V3, "d1", password))  # at once: the address is slowed for a second
    assert late.receive() == (CONNACK, b"\0\x03"), "the right password, and not now"
    counts = end.counts()
    assert 9 <= counts["bad_credentials"] <= 12 and counts["slowed"] >= 29, counts
    assert sum(body[1:] == b"\x03" for _, body in codes) + 1 == counts["slowed"], codes


def memory(place):
    """What a connection takes of mbedTLS stays under what the budget says of it."""
    end = Endpoint(place, more="connections: 200\n    connections_per_device: 100")
    password = end.add("d1")
    budget = json.loads(subprocess.run(["build/weir", "check", "-c", place.config, "--json"], capture_output=True, text=True,
                                       check=True).stdout)["memory"]["modules"]["mbedTLS"]
    tls = context(place)

    def anonymous():
        return place.status()["memory"]["anon_bytes"]
    warm = [Secure(end, "d1", password, client=f"w{i}", tls=tls) for i in range(10)]
    before = anonymous()
    kept = [Secure(end, "d1", password, client=f"c{i}", tls=tls) for i in range(80)]
    after = anonymous()
    one = (after - before) / len(kept)
    print(f"  {one:.0f} bytes a TLS connection of mbedTLS, of {budget / 264:.0f} in the budget")
    assert 80 * 16384 < after - before < budget
    for client in warm + kept:
        client.close()
    end.wait_counts("all gone", lambda c: c["connected"] == 0)


CASES = [pasted_line, refused, own_topics, changes_at_once, client_certificates, names_in_certificates,
         certificate_changed, records, resumed, backs_off, connected_before, memory]


def main():
    skip_without("mosquitto_pub", "openssl")
    return run_cases(CASES)


if __name__ == "__main__":
    sys.exit(main())
