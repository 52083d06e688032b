#!/usr/bin/env python3
"""Goal: each reading whose PUBACK or PUBCOMP a device saw is stored once, through kill -9 at any moment.
Method: the real gateway, and devices that publish to it by the standard: two at QoS 1, which send again what had no PUBACK;
four at QoS 2, which send again what had no PUBREC, and release again what had one. Those at QoS 2 number nothing and give no
time, so that only the exchange tells a repeat; and each sleeps or hangs up now and then, so that answers are lost on the
way. The gateway is killed in every round, in every third while it starts. In the end its journal is compared with what each
device was told.

  qos_kill9_test.py [ROUNDS [SEED]]   part of `make kill9 N=1000`"""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from weir_mqtt import BASE_MS, PUBACK, V3, V5, Endpoint  # noqa: E402
from sessions_test import PUBCOMP, PUBREC, Session, packet, text  # noqa: E402
from weir_e2e import WEIR, Place  # noqa: E402

WINDOW, PAUSE_S = 20, 0.02


class Device(threading.Thread):
    def __init__(self, port, number, qos, stop):
        super().__init__()
        self.port, self.number, self.qos, self.stop = port, number, qos, stop
        self.version = V5 if number % 2 else V3
        self.moment = random.Random(number)
        self.open = {}       # packet id: [value, has PUBREC]
        self.told = set()    # values whose PUBACK or PUBCOMP came
        self.value, self.error, self.connections = 0, None, 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.converse()
            except (OSError, AssertionError):
                time.sleep(0.02)  # it is being killed, or not there yet
            except Exception as error:  # noqa: BLE001
                self.error = error
                return

    def send(self, client, packet_id, dup):
        value = self.open[packet_id][0]
        payload = b'{"value":%d}' % value if self.qos == 2 else \
            b'{"value":%d,"sequence":%d,"time":%d}' % (value, value, BASE_MS + value)
        client.send(packet(0x30 | self.qos << 1 | 8 * dup, text(f"t/q{self.number}/temp") + struct.pack(">H", packet_id)
                           + (b"\0" if self.version == V5 else b"") + payload))

    def converse(self):
        client = Session(self.port, f"device-{self.number}", self.version)
        self.connections += 1
        for packet_id, (_, recorded) in sorted(self.open.items(), key=lambda item: item[1][0]):
            if recorded:
                client.release(packet_id)
            else:
                self.send(client, packet_id, True)
        while not self.stop.is_set():
            while len(self.open) < WINDOW:
                self.value += 1
                packet_id = next(p for p in range(1, 2 * WINDOW) if p not in self.open)
                self.open[packet_id] = [self.value, False]
                self.send(client, packet_id, False)
            if self.moment.randrange(60) == 0:
                time.sleep(0.1)  # what it is told now may be lost with the connection
            kind, body = client.receive()
            if kind is None or self.moment.randrange(500) == 0:
                break
            self.hear(client, kind, struct.unpack(">H", body[:2])[0])
        client.close()

    def hear(self, client, kind, packet_id):
        if kind == PUBREC:
            self.open[packet_id][1] = True
            client.release(packet_id)
        elif (kind == PUBCOMP and self.qos == 2) or (kind == PUBACK and self.qos == 1):
            self.told.add(self.open.pop(packet_id)[0])
            time.sleep(PAUSE_S / WINDOW)
        else:
            raise RuntimeError(f"it was told {kind} for {packet_id}")


def stored(place):
    """device: how often each value is in the journal."""
    seen = {}
    export = subprocess.Popen([WEIR, "export", "-s", place.socket], stdout=subprocess.PIPE)
    for line in export.stdout:
        if b'"kind":"reading"' not in line:
            continue
        reading = json.loads(line)
        values = seen.setdefault(reading["device"], {})
        values[int(reading["value"])] = values.get(int(reading["value"]), 0) + 1
    assert export.wait() == 0
    return seen


def kill_and_start(place, chance, starting, wait):
    time.sleep(chance.uniform(0.0, 0.06) if starting else chance.uniform(0.0, 0.8))
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway(wait=wait)


def campaign(place, rounds, seed):
    end = Endpoint(place, max_age="30ms")
    chance, stop = random.Random(seed), threading.Event()
    devices = [Device(end.port, i, 1 if i < 2 else 2, stop) for i in range(6)]
    for device in devices:
        device.start()
    for number in range(1, rounds + 1):  # where the next one is to be killed while it starts, nobody waits for it
        kill_and_start(place, chance, starting=number % 3 == 0, wait=number % 3 != 2)
        errors = [d.error for d in devices if d.error]
        assert not errors, errors
        if number % 100 == 0:
            print(f"  round {number}: told {sum(len(d.told) for d in devices)}", flush=True)
    time.sleep(1)
    stop.set()
    for device in devices:
        device.join(30)
    place.stop("gateway", signal.SIGKILL)
    place.start_gateway()
    return devices, place.status()["ledger"]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
    print(f"  {rounds} rounds, seed {seed}")
    with Place() as place:
        devices, ledger = campaign(place, rounds, seed)
        seen = stored(place)
    assert ledger["balanced"]
    for qos in (1, 2):
        lost = twice = told = connections = 0
        for device in (d for d in devices if d.qos == qos):
            values = seen.get(f"q{device.number}", {})
            # what had a PUBREC is stored too, though it was never over
            owed = device.told | {value for value, recorded in device.open.values() if recorded}
            told, connections = told + len(device.told), connections + device.connections
            lost += sum(value not in values for value in owed)
            twice += sum(times > 1 for times in values.values())
        print(f"  QoS {qos}: {told} told, {connections} connections, lost {lost}, twice {twice}")
        assert lost == 0 and twice == 0 and told > 20 * rounds
    return 0


if __name__ == "__main__":
    sys.exit(main())
