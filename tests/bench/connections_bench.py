#!/usr/bin/env python3
"""What a device's connection takes: so many are held at once, in processes of their own, from 127.0.0.2 and up, each let in
and then silent but for one message at the end; the gateway's memory and the kernel's are printed on the way.

    connections_bench.py [plain|tls] [COUNT]

The most of plain ones is told by `make connections`, which also tries 100,000. COUNT above what files may be open is skipped. Bytes of
the gateway: anonymous memory, over what it took with none, and what is touched of what is set aside for each; of the kernel: its
objects for sockets (slabinfo), both ends of each."""
import json
import multiprocessing
import os
import resource
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import V3, Client  # noqa: E402
from tls_test import Secure, connect  # noqa: E402
from weir_e2e import Place, free_port, skip_without, wait_until  # noqa: E402

EACH = 1000          # connections of one process
WAIT_S = 600


class End:
    def __init__(self, place, port):
        self.place, self.port = place, port


def hold(number, place_dir, port, secure, password, count, ready, end):
    """One process of devices."""
    place = type("P", (), {"path": lambda self, *parts: os.path.join(place_dir, *parts)})()
    tls = ssl.create_default_context(cafile=place.path("pki/ca.crt")) if secure else None
    clients = []
    for n in range(count):
        name, source = f"c{number}-{n}", f"127.0.{number + 1}.{n % 250 + 2}"
        while True:  # as a device does: it comes again
            try:
                if secure:
                    client = Secure(End(place, port), "d1", password, V3, name, tls, None, source, keep_alive=0)
                    assert client.code == 0
                else:
                    client = Client(port, None, V3, source)
                    client.send(connect(name, V3, "d1", password, keep_alive=0))
                    assert client.receive() == (2, b"\0\0")
                break
            except OSError:
                time.sleep(0.2)
        clients.append(client)
        ready.value = n + 1
    end.wait()
    for n, client in enumerate(clients):
        client.publish(number * EACH + n + 1, device="d1")
    for n, client in enumerate(clients):
        assert len(client.acknowledged(1)) == 1
    ready.value = -1
    time.sleep(WAIT_S)  # until the gateway's end, and with it that of all


SLABS = {"TCP", "sock_inode_cache", "filp", "eventpoll_epi"}  # of a connection; its dentries are lost among all others


def kernel_bytes():
    """None where we may not look."""
    try:
        with open("/proc/slabinfo") as f:
            rows = [line.split() for line in f]
    except PermissionError:
        return None
    return sum(int(row[1]) * int(row[3]) for row in rows if row[0] in SLABS)


def measure(place, port, secure, count):
    password = json.loads(place.weir("device", "add", "d1", "--json"))["password"]
    before, kernel = place.status()["memory"]["anon_bytes"], kernel_bytes()
    marks = sorted({n for n in (1000, 5000, count) if n <= count})
    end, workers, began = multiprocessing.Event(), [], time.monotonic()
    for number in range((count + EACH - 1) // EACH):
        ready = multiprocessing.Value("i", 0)
        arguments = (number, place.dir, port, secure, password, min(EACH, count - number * EACH), ready, end)
        workers.append((multiprocessing.Process(target=hold, args=arguments, daemon=True), ready))
    started = 0
    for mark in marks:
        while started * EACH < mark:
            workers[started][0].start()
            started += 1
        until = time.monotonic() + WAIT_S
        while sum(ready.value for _, ready in workers) < mark:
            assert time.monotonic() < until, [ready.value for _, ready in workers]
            time.sleep(0.2)
        assert place.status()["sources"][0]["devices"]["connected"] == mark
        anon = place.status()["memory"]["anon_bytes"]
        of_kernel = f"{(kernel_bytes() - kernel) / mark:.0f}" if kernel is not None else "unknown"
        print(f"  {mark} {'TLS' if secure else 'plain'} connections after {time.monotonic() - began:.0f} s: "
              f"{(anon - before) / mark:.0f} bytes each in the gateway, {of_kernel} in the kernel for both ends", flush=True)
    end.set()
    place.wait_status("a message of each", lambda s: s["ledger"]["stored"] == count, WAIT_S)
    wait_until("each was told so", lambda: all(ready.value == -1 for _, ready in workers), WAIT_S)
    status = place.status()
    counts = status["sources"][0]["devices"]
    assert counts["connected"] == count and counts["silent"] == 0 and status["ledger"]["balanced"], counts
    print(f"  each published one message, and it was stored: {(status['memory']['anon_bytes'] - before) / count:.0f} bytes each "
          "in the gateway")


def main():
    skip_without("openssl")
    secure = "plain" not in sys.argv[1:]
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    count = numbers[0] if numbers else 5000 if secure else 15000
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if count + count // 16 + 200 > limit:
        print(f"skipped: {count} connections, and {limit} files may be open")
        return 77
    with Place() as place:
        place.pki()
        port = free_port()
        own = f"cert: {place.path('pki/server.crt')}, key: {place.path('pki/server.key')}," if secure else ""
        place.write_config(f"""  memory_max: 4GiB
clock: {{trust: system}}
limits: {{payload: 1KiB}}
sources:
  - {{name: devices, listen: "mqtt{'s' if secure else ''}://127.0.0.1:{port}", {own} connections: {count}, connections_per_device: {count},
     receive_maximum: 20, topics: ["t/{{device}}/{{metric}}"], payload: {{value: /value, sequence: /sequence}}}}
watchdog: {{timeout: 0}}
""")
        place.start_gateway()
        measure(place, port, secure, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
