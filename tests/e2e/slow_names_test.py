#!/usr/bin/env python3
"""Goal: while a name server takes its time, and while a broker's machine does not answer, the gateway goes on: it takes
readings of another source, commits them, and answers questions; and it stops when told. The name is still what the
broker's certificate must show.
Method: a network of our own (unshare) with a name server in which every answer takes three seconds, one source over TLS
by that name, one that drops every packet, one beside them that is read all the time."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import SKIP, Place, skip_without  # noqa: E402

ANSWER_S = 3
STALL_MAX_S = 1.0
CONFIG = """
sources:
  - name: slow
    url: mqtts://broker.test:{tls}
    ca: {pki}/ca.crt
    cert: {pki}/gateway.crt
    key: {pki}/gateway.key
    topics: ["slow/{{device}}/{{metric}}"]
  - {{name: deaf, url: "mqtt://127.0.0.1:{deaf}", topics: ["t/{{device}}/{{metric}}"]}}
  - {{name: quick, url: "mqtt://127.0.0.1:{plain}", topics: ["quick/{{device}}/{{metric}}"]}}
clock: {{trust: system}}
commit: {{max_age: 100ms}}
"""


def answer(query):
    """Every name is 127.0.0.1; no name has another address."""
    end = query.index(0, 12) + 5
    asks_a = query[end - 4:end - 2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton("127.0.0.1") if asks_a else b""
    return query[:2] + b"\x81\x80\0\1" + (b"\0\1" if asks_a else b"\0\0") + b"\0\0\0\0" + query[12:end] + record


def serve_names(server, asked):
    while True:
        query, client = server.recvfrom(512)
        asked.append(time.monotonic())
        threading.Timer(ANSWER_S, server.sendto, (answer(query), client)).start()


def deaf_port():
    """Nobody accepts there, and there is no room to wait: the kernel drops whatever knocks."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [listener]
    for _ in range(3):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(listener.getsockname())
    return waiting


def publish(port, number):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "quick/pump/temp", "-m",
                    json.dumps({"value": 20, "sequence": number})], check=True)


def slow_names(place, asked):
    place.pki("gateway")
    place.rename_server("broker.test")
    tls, plain = place.start_broker("far", tls=True), place.start_broker("near")
    deaf = deaf_port()
    place.write_config(CONFIG.format(tls=tls, plain=plain, deaf=deaf[0].getsockname()[1], pki=place.path("pki")))
    place.start_gateway()
    slowest, published, began, connected = 0, 0, time.monotonic(), False
    place.wait_status("the quick one", lambda s: s["sources"][2]["connected"], 2)
    while not connected:
        assert time.monotonic() - began < 40, "the slow one never connects"
        asked_at = time.monotonic()
        status = place.status()
        slowest = max(slowest, time.monotonic() - asked_at)
        connected = status["sources"][0]["connected"]
        assert status["sources"][2]["connected"] and not status["sources"][1]["connected"]
        published += 1
        publish(plain, published)
        place.wait_status("stored", lambda s: s["ledger"]["stored"] == published, STALL_MAX_S)  # noqa: B023
    took = time.monotonic() - began
    print(f"{len(asked)} questions to the name server, connected after {took:.1f} s, meanwhile {published} readings "
          f"stored one by one, the slowest status took {slowest * 1000:.0f} ms")
    assert took > ANSWER_S and asked and slowest < STALL_MAX_S
    began = time.monotonic()
    place.stop("far", signal.SIGKILL)
    place.wait_status("the slow one is lost", lambda s: not s["sources"][0]["connected"])
    assert place.stop("gateway") == 0
    print(f"stopped within {time.monotonic() - began:.1f} s, one source still waiting for the network")


def inside():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as names:
        names.write("nameserver 127.0.0.1\noptions timeout:10 attempts:1\n")
        names.flush()
        subprocess.run(["mount", "--bind", names.name, "/etc/resolv.conf"], check=True)
        server, asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=serve_names, args=(server, asked), daemon=True).start()
        with Place() as place:
            slow_names(place, asked)
    return 0


def main():
    skip_without("mosquitto", "mosquitto_pub", "openssl", "unshare", "ip")
    if "--inside" in sys.argv:
        return inside()
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True).returncode != 0:
        print("no network of our own here (unshare is refused)")
        return SKIP
    return subprocess.run(["unshare", "--mount", "--net", sys.executable, os.path.abspath(__file__), "--inside"],
                          check=False).returncode


sys.exit(main())
