#!/usr/bin/env python3
"""Goal: as many connections as are configured are held, each served, at a stated cost; and more than the file limit allows are
refused at the start. Method: the real gateway; clients in processes of their own, each from an address of its own
(127.0.0.2 and up), connect until the number is reached, hold on, and publish one reading at QoS 1 each; what the gateway's
anonymous memory and the kernel's memory for sockets have grown by is printed at 1,000, 5,000 and the most.

  connections_test.py [CONNECTIONS]   `make connections N=15000`"""
import os
import re
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_mqtt import CONNACK, PUBACK, V3, Endpoint, connect, packet, publish  # noqa: E402
from weir_e2e import Place, free_port  # noqa: E402

EACH = 2500              # connections of one process
STEPS = (1000, 5000)


def hold(port, address, count):
    """Connect, say so, and publish on the word."""
    import socket
    peers = []
    for i in range(count):
        peer = socket.create_connection(("127.0.0.1", port), 30, (address, 0))
        peer.sendall(connect(f"{address}-{i}", V3, keep_alive=600))
        peers.append(peer)
    for peer in peers:
        peer.settimeout(60)
        assert peer.recv(4)[0] >> 4 == CONNACK
    print("held", flush=True)
    for line in sys.stdin:
        if line == "publish\n":
            for i, peer in enumerate(peers):
                peer.sendall(publish(1, V3, device=f"{address}-{i}"))
            for peer in peers:
                assert peer.recv(4)[0] >> 4 == PUBACK
            print("published", flush=True)
        if line == "ping\n":
            for peer in peers:
                peer.sendall(packet(0xC0, b""))
            for peer in peers:
                assert peer.recv(2)[0] >> 4 == 13
            print("pinged", flush=True)


def number(path, pattern):
    with open(path, encoding="ascii") as file:
        return int(re.search(pattern, file.read()).group(1))


class Memory:
    """Bytes: ours, and what the machine's kernel has for sockets (their queues, and its slabs)."""

    def __init__(self, place):
        self.user = 1024 * number(f"/proc/{place.processes['gateway'].pid}/status", r"RssAnon:\s+(\d+)")
        self.queues = 4096 * number("/proc/net/sockstat", r"TCP: .* mem (\d+)")
        self.slabs = 1024 * number("/proc/meminfo", r"Slab:\s+(\d+)")


def held(place, count, begin):
    now = Memory(place)
    assert place.status()["sources"][0]["devices"]["connected"] == count
    # both ends of a connection are on this machine, and the slabs are those of all its processes
    print(f"  {count} connections: {(now.user - begin.user) / count:.0f} bytes each of the gateway's; kernel, both ends: "
          f"{(now.slabs - begin.slabs) / count:.0f} of slabs, {(now.queues - begin.queues) / count:.0f} of queues", flush=True)


def say(holder, word, answer):
    holder.stdin.write(word + "\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == answer + "\n", f"{word}: a process of clients failed"


class Large(Endpoint):
    def __init__(self, place, most):
        self.place, self.port = place, free_port()
        place.write_config(f"""  memory_max: 4GiB
clock: {{trust: system}}
limits: {{payload: 1KiB, devices: {min(20000, most + 10)}, series: {min(100000, 2 * most)}}}
sources:
  - name: devices
    listen: mqtt://127.0.0.1:{self.port}
    anonymous: true
    connections: {most}
    receive_maximum: 10
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: /value, sequence: /sequence}}
commit: {{max_age: 500ms}}
watchdog: {{timeout: 0}}
""")
        place.start_gateway()


def all_are_held(place, most):
    end = Large(place, most)
    begin, holders, reached = Memory(place), [], 0
    try:
        for step in [s for s in STEPS if s < most] + [most]:
            while reached < step:
                count = min(EACH, step - reached)
                reached += count
                holders.append(subprocess.Popen([sys.executable, os.path.abspath(__file__), "--hold", str(end.port),
                                                 f"127.0.0.{len(holders) + 2}", str(count)], stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, text=True))
                assert holders[-1].stdout.readline() == "held\n", f"not all of {reached} were let in"
            held(place, step, begin)
        for holder in holders:
            say(holder, "publish", "published")
        ledger = end.stored(most, 60)["ledger"]
        assert ledger["stored"] == most and ledger["balanced"], ledger
        for holder in holders:
            say(holder, "ping", "pinged")
        held(place, most, begin)
        counts = end.counts()
        assert counts["refused"] == 0 and counts["silent"] == 0, counts
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
    end.wait_counts("all are gone", lambda c: c["connected"] == 0)


def more_than_files(place):
    place.write_config(f"""sources:
  - name: devices
    listen: mqtt://127.0.0.1:{free_port()}
    anonymous: true
    connections: 5000
    topics: ["t/{{device}}/{{metric}}"]
""")

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    process = place.start_gateway(wait=False, preexec_fn=few_files)
    assert process.wait(20) == 78
    said = place.log("gateway")
    assert "more connections than files may be open" in said and "1024" in said and "LimitNOFILE" in said, said


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--hold":
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        hold(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        return 0
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most + most // 16 + 200 > files:
        print(f"skipped: {most} connections need more than the {files} files that may be open here")
        return 77
    for case in (more_than_files, lambda place: all_are_held(place, most)):
        began = time.monotonic()
        with Place() as place:
            case(place)
        print(f"ok {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
