"""The Ethernet that a guest hangs on, from beside it: QEMU's hub repeats every frame to a socket of ours, and what we send there comes
to the guest as from a neighbour. Enough to ask for a name by mDNS, as no port that is passed on can.

    guest.wire = Wire(place)
    guest.wire.ask("weir-abcdef.local")
"""
import os
import socket
import struct
import time

NEIGHBOUR, GROUP, PORT = "10.0.2.77", "224.0.0.251", 5353  # of the guest's network; mDNS's group and port
GROUP_MAC, OUR_MAC = bytes.fromhex("01005e0000fb"), bytes.fromhex("525400000077")
FRAME_BYTES_MAX = 65536
ANSWER, ADDRESS, INTERNET = 0x8000, 1, 1


class Wire:
    def __init__(self, place):
        self.here, self.there = place.path("wire-here"), place.path("wire-there")

    def options(self, net):
        """Words for QEMU: `net` (without an id) and this wire in one hub, whose third port is the machine's netdev=net."""
        local, remote = f"local.type=unix,local.path={self.there}", f"remote.type=unix,remote.path={self.here}"
        words = ["-netdev", f"{net},id=out", "-netdev", f"dgram,id=wire,{local},{remote}", "-netdev", "hubport,hubid=0,id=net"]
        for name in ("out", "wire"):
            words += ["-netdev", f"hubport,hubid=0,id=to-{name},netdev={name}"]
        return words

    def ask(self, name, seconds=60):
        """The IPv4 address that the name is answered with, asked every second; None: by nobody."""
        if os.path.exists(self.here):
            os.unlink(self.here)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(self.here)  # until now QEMU's frames went nowhere
            s.settimeout(1)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                s.sendto(question(name), self.there)
                asked = time.monotonic()
                while time.monotonic() < asked + 1:
                    try:
                        found = address(s.recv(FRAME_BYTES_MAX), name)
                    except TimeoutError:
                        break
                    if found:
                        return found
        return None


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question(name):
    """A frame (RFC 6762 in UDP in IPv4; a UDP sum of 0 says that there is none)."""
    dns = struct.pack(">6H", 0, 0, 1, 0, 0, 0) + encode(name) + struct.pack(">2H", ADDRESS, INTERNET)
    udp = struct.pack(">4H", PORT, PORT, 8 + len(dns), 0) + dns
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 255, socket.IPPROTO_UDP, 0, socket.inet_aton(NEIGHBOUR), socket.inet_aton(GROUP))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack(">H", 0xffff ^ ((total & 0xffff) + (total >> 16))) + head[12:]
    return GROUP_MAC + OUR_MAC + struct.pack(">H", 0x0800) + head + udp


def address(frame, name):
    """Of an mDNS answer about `name`; None for any other frame. The first record holds the name whole."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    udp = frame[14 + (frame[14] & 15) * 4:]
    if struct.unpack(">H", udp[:2])[0] != PORT or not struct.unpack(">H", udp[10:12])[0] & ANSWER:
        return None
    at = udp.lower().find(encode(name.lower()))
    if at < 0:
        return None
    record = udp[at + len(encode(name)):]
    kind, _, _, length = struct.unpack(">HHIH", record[:10])
    return socket.inet_ntoa(record[10:14]) if kind == ADDRESS and length == 4 else None
