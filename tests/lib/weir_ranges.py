"""A server of files by HTTP that gives ranges and counts what travels: `weir_ranges.py FOLDER PORT COUNT` at the loopback, with the bytes so far in the file COUNT.
The file NAME is at /NAME; at /whole/NAME without ranges; /swapped/A/B is A until `Files.swapped`, and B from then on."""
import http.server
import os
import re
import sys
import threading

MIB = 1 << 20


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder, count_file, bytes, swapped, lock = "", None, 0, False, threading.Lock()

    def do_GET(self):
        parts = self.path.strip("/").split("/")
        name = parts[2 if Files.swapped else 1] if parts[0] == "swapped" else parts[-1]
        path = os.path.join(self.folder, name)
        if name.startswith(".") or not os.path.isfile(path):
            self.send_error(404)
            return
        size = os.path.getsize(path)
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if parts[0] != "whole" else None
        first, last = (int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)) if wanted else (0, size - 1)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        with open(path, "rb") as f:
            f.seek(first)
            for at in range(first, last + 1, MIB):
                piece = f.read(min(MIB, last + 1 - at))
                try:
                    self.wfile.write(piece)
                except OSError:
                    return  # who has enough hangs up
                self.count(len(piece))

    def count(self, more):
        with self.lock:
            Files.bytes += more
            if self.count_file:
                with open(self.count_file, "w", encoding="ascii") as f:
                    f.write(f"{Files.bytes}\n")

    def log_message(self, *_):
        pass


def server(folder, port, count_file=None):
    Files.folder, Files.count_file = folder, count_file
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Files)


if __name__ == "__main__":
    server(sys.argv[1], int(sys.argv[2]), sys.argv[3]).serve_forever()
