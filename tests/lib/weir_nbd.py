"""A disk for QEMU that remembers, served over NBD at a Unix socket (the protocol's document: doc/proto.md of NBD). Writes go to a file at
once, so that the machine goes on, and into a log with the flushes between them. From the log, `Log.disk_at` makes the disk as a
power cut at any moment leaves it: what was flushed is there; of what was written since, each sector is there or not, by a seed. A
sector of 512 bytes is whole or as it was."""
import os
import random
import socket
import struct
import threading

SECTOR = 512
WRITE, FLUSH, NOTE = "write", "flush", "note"

MAGIC_OPTION, MAGIC_REPLY = 0x49484156454F5054, 0x0003E889045565A9
MAGIC_REQUEST, MAGIC_ANSWER = 0x25609513, 0x67446698
OPTION_EXPORT_NAME, OPTION_ABORT, OPTION_GO = 1, 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 0x80000001
FLAGS = 1 | 4 | 64  # it has flags, it flushes, it writes zeroes
READ, WRITE_IT, DISCONNECT, FLUSH_IT, ZEROES = 0, 1, 2, 3, 6


class Log:
    """(kind, offset, bytes) in the order in which they were done; a note's third is what somebody wanted to remember."""

    def __init__(self):
        self.entries, self.lock = [], threading.Lock()

    def add(self, kind, offset=0, what=b""):
        with self.lock:
            self.entries.append((kind, offset, what))

    def writes_within(self, begin, end):
        """Indexes of the writes that touch bytes from begin to end."""
        return [i for i, (kind, offset, data) in enumerate(self.entries) if kind == WRITE and offset < end and offset + len(data) > begin]

    def notes_before(self, moment):
        return [what for kind, _, what in self.entries[:moment] if kind == NOTE]


class Player:
    """Disks of one log at moments that only grow: `first` is the disk as it was before the log began, and is changed."""

    def __init__(self, log, first):
        self.log, self.first, self.flushed = log, first, 0

    def disk_at(self, moment, seed, to):
        """Copy to `to` as a cut before entry `moment` leaves it. How many sectors were there unflushed, and how many got through."""
        entries = self.log.entries
        last = max((i + 1 for i in range(self.flushed, moment) if entries[i][0] == FLUSH), default=self.flushed)
        with open(self.first, "r+b") as disk:
            for kind, offset, data in entries[self.flushed:last]:
                if kind == WRITE:
                    disk.seek(offset)
                    disk.write(data)
        self.flushed = last
        copy_with_holes(self.first, to)
        chance, loose, through = random.Random(seed), 0, 0
        with open(to, "r+b") as disk:
            for kind, offset, data in entries[last:moment]:
                for at in range(0, len(data) if kind == WRITE else 0, SECTOR):
                    loose += 1
                    if chance.random() < 0.5:
                        through += 1
                        disk.seek(offset + at)
                        disk.write(data[at:at + SECTOR])
        return loose, through


def copy_with_holes(source, to, begin=0, size=None):
    """A file, or `size` bytes of it from `begin`; holes stay holes."""
    with open(source, "rb") as f, open(to, "wb") as t:
        size = os.fstat(f.fileno()).st_size - begin if size is None else size
        t.truncate(size)
        at = begin
        while at < begin + size:
            try:
                data = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:  # holes to the end
                return
            at = min(os.lseek(f.fileno(), data, os.SEEK_HOLE), begin + size)
            while data < at:
                os.lseek(t.fileno(), data - begin, os.SEEK_SET)
                data += os.sendfile(t.fileno(), f.fileno(), data, at - data)


class Server(threading.Thread):
    """Serves the file at `path` at a Unix socket, one machine after the other, until close()."""

    def __init__(self, path, at):
        super().__init__(daemon=True)
        self.path, self.at, self.log, self.file = path, at, Log(), os.open(path, os.O_RDWR)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(at)
        self.listener.listen()

    def close(self):
        os.close(self.file)
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    if self.negotiate(connection):
                        self.serve(connection)
                except (ConnectionError, EOFError):
                    pass  # the machine is gone

    # --- the beginning ---

    def negotiate(self, c):
        size = os.fstat(self.file).st_size
        c.sendall(b"NBDMAGIC" + struct.pack(">QH", MAGIC_OPTION, 1))
        receive(c, 4)
        while True:
            _, option, length = struct.unpack(">QII", receive(c, 16))
            receive(c, length)
            if option == OPTION_EXPORT_NAME:
                c.sendall(struct.pack(">QH", size, FLAGS) + bytes(124))
                return True
            if option == OPTION_GO:
                answer(c, option, REPLY_INFO, struct.pack(">HQH", 0, size, FLAGS))
                answer(c, option, REPLY_ACK)
                return True
            answer(c, option, REPLY_ACK if option == OPTION_ABORT else REPLY_UNSUPPORTED)
            if option == OPTION_ABORT:
                return False

    # --- what is asked ---

    def serve(self, c):
        while True:
            _, _, what, handle, offset, length = struct.unpack(">IHHQQI", receive(c, 28))
            data = b""
            if what == DISCONNECT:
                return
            if what == READ:
                data = os.pread(self.file, length, offset)
            elif what in (WRITE_IT, ZEROES):
                self.write(offset, receive(c, length) if what == WRITE_IT else bytes(length))
            elif what == FLUSH_IT:
                self.log.add(FLUSH)
            c.sendall(struct.pack(">IIQ", MAGIC_ANSWER, 0, handle) + data)

    def write(self, offset, data):
        os.pwrite(self.file, data, offset)
        self.log.add(WRITE, offset, data)


def receive(c, count):
    data = bytearray()
    while len(data) < count:
        piece = c.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def answer(c, option, reply, data=b""):
    c.sendall(struct.pack(">QIII", MAGIC_REPLY, option, reply, len(data)) + data)
