"""MQTT spoken by hand, to the gateway itself: packets, a connection that says whatever a test wants, and a gateway that
listens for anybody."""
import socket
import struct
import time

from weir_e2e import free_port

V3, V5 = 4, 5
CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 4, 9, 11, 13, 14


# --- packets ---

def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data


def packet(first, body):
    length, size = b"", len(body)
    while True:
        length += bytes([size % 128 | (0x80 if size > 127 else 0)])
        size //= 128
        if size == 0:
            return bytes([first]) + length + body


def connect(client, version, keep_alive=60, clean=True, expiry=0):
    properties = b"" if version != V5 else b"\0" if expiry == 0 else b"\x05\x11" + struct.pack(">I", expiry)
    return packet(0x10, text("MQTT") + bytes([version, 2 if clean else 0]) + struct.pack(">H", keep_alive) + properties
                  + text(client))


BASE_MS = int(time.time() * 1000)


def publish(number, version, qos=1, device="d1", topic=None, payload=None):
    """A message that says the same each time that it is sent: number and time are what repeats are known by."""
    if payload is None:
        payload = b'{"value":21.5,"sequence":%d,"time":%d}' % (number, BASE_MS + number)
    packet_id = struct.pack(">H", (number - 1) % 65535 + 1) if qos > 0 else b""
    return packet(0x30 | qos << 1, text(topic or f"t/{device}/temp") + packet_id + (b"\0" if version == V5 else b"")
                  + payload)


class Client:
    """One connection, spoken by hand."""

    def __init__(self, port, client="c1", version=V3, source="127.0.0.1", **more):
        self.version, self.buffer, self.was_reset = version, b"", False
        self.socket = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        self.socket.settimeout(20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.code = None
        if client is not None:
            self.send(connect(client, version, **more))
            kind, body = self.receive()
            assert kind == CONNACK, kind
            self.flags, self.code, self.properties = body[0], body[1], body[2:]

    def send(self, data):
        self.socket.sendall(data)

    def publish(self, number, **more):
        self.send(publish(number, self.version, **more))

    def receive(self):
        """The next packet's type and body; (None, b"") at the end of the connection."""
        while True:
            found = self.next_packet()
            if found is not None:
                return found
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data, self.was_reset = b"", True
            if not data:
                return None, b""
            self.buffer += data

    def next_packet(self):
        size, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buffer):
                return None
            byte = self.buffer[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                break
        if len(self.buffer) < at + size:
            return None
        kind, body = self.buffer[0] >> 4, self.buffer[at:at + size]
        self.buffer = self.buffer[at + size:]
        return kind, body

    def acknowledged(self, count):
        """The packet ids of so many PUBACKs."""
        ids = []
        while len(ids) < count:
            kind, body = self.receive()
            assert kind == PUBACK, (kind, body)
            ids.append(struct.unpack(">H", body[:2])[0])
        return ids

    def says_nothing(self, seconds):
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            data = None
        self.socket.settimeout(20)
        return data is None

    def ended_with(self):
        """The reason code of the DISCONNECT, or None for an end without a word."""
        while True:
            kind, body = self.receive()
            if kind is None:
                return None
            if kind == DISCONNECT:
                assert self.receive()[0] is None, "it goes on after a DISCONNECT"
                return body[0]

    def close(self):
        self.socket.close()


class Endpoint:
    def __init__(self, place, max_age="100ms", more="", limits=""):
        self.place, self.port = place, place.ports.setdefault("devices", free_port())
        place.write_config(f"""clock: {{trust: system}}
{limits}
sources:
  - name: devices
    listen: mqtt://127.0.0.1:{self.port}
    anonymous: true
    {more}
    topics: ["t/{{device}}/{{metric}}"]
    payload: {{value: /value, sequence: /sequence}}
commit: {{max_age: {max_age}}}
shed: {{enrichment_lag: 0, optional_lag: 0, sources_lag: 0, qos0_lag: 0}}
watchdog: {{timeout: 0}}
""")
        place.start_gateway()

    def counts(self):
        return self.place.status()["sources"][0]["devices"]

    def stored(self, count, seconds=20):
        return self.place.wait_status(f"{count} stored", lambda s: s["ledger"]["stored"] >= count, seconds)

    def wait_counts(self, what, judge):
        self.place.wait_status(what, lambda s: judge(s["sources"][0]["devices"]))
