#!/usr/bin/env python3
"""Goal: a full disk is lived with. Filled by a neighbour: acknowledgements stop, alerts still leave, nothing that was
acknowledged is lost, and all goes on by itself once there is room. Filled by Weir's own data: the oldest raw readings
make room, counted, and nothing stops.
Method: the real gateway under load on an ext4 of some MiB of the test's own, loop-mounted in a mount namespace that
ends with the test. What the plant's broker was acknowledged is counted in its log, what the cloud's got by a stock
mosquitto_sub, what is kept by `weir export`."""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from weir_e2e import Place, run_cases, skip_without, wait_until  # noqa: E402
from weir_site import Site  # noqa: E402

MIB = 1 << 20
TEXTS = 15          # in a message; a text of 900 random digits takes 900 bytes on disk
MORE = """commit: {{max_age: 100ms, max_readings: 2000, retry_for: {retry_for}}}
store: {{disk_max: {disk}, wal_max: 1MiB, ballast: {ballast}}}"""


class Disk:
    """A file system of so many MiB where the gateway keeps its data."""

    def __init__(self, place, mib):
        self.path, self.image = place.path("data"), place.path("disk.img")
        self.mib = mib

    def __enter__(self):
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(self.mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)

    def free(self):
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def fill(self):
        """As a neighbour would: all the room that there is now, but none that comes to be meanwhile."""
        room = self.free()
        with open(os.path.join(self.path, "neighbour"), "ab", buffering=0) as f:
            try:
                while room > 0:
                    room -= f.write(b"\xa5" * min(room, MIB))
            except OSError:
                pass  # what was left went to the file system's own blocks

    def clear(self):
        os.remove(os.path.join(self.path, "neighbour"))


class Greedy:
    """A neighbour that takes whatever room there comes to be."""

    def __init__(self, disk):
        self.disk, self.stop = disk, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.wait(0.02):
            self.disk.fill()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.disk.clear()


class Load:
    """Texts, so many messages a second, each with its number, beside what the site publishes."""

    def __init__(self, site, messages_a_second):
        self.site, self.pause_s, self.sent, self.stop = site, 1 / messages_a_second, 0, threading.Event()
        self.publisher = subprocess.Popen(["mosquitto_pub", "-p", str(site.plant), "-q", "1", "-t", "all", "-l"],
                                          stdin=subprocess.PIPE)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.wait(self.pause_s):
            self.publish()

    def publish(self):
        self.sent += 1
        now = int(time.time() * 1000)
        readings = [{"d": "log", "m": f"text-{i}", "v": os.urandom(450).hex(), "t": now, "n": self.sent}
                    for i in range(TEXTS)]
        self.publisher.stdin.write(json.dumps(readings).encode() + b"\n")
        self.publisher.stdin.flush()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.stop.set()
        self.thread.join()
        if self.publisher.poll() is None:
            self.publisher.stdin.close()
        assert self.publisher.wait(60) == 0


def acknowledged(place):
    return place.log("plant").count("Received PUBACK from gw-test")


def arrived(site):
    return len({m.sequence for m in site.seen() if m.lane == "alerts" and not m.gap and "alert" in m.event["type"]})


def held(place):
    """Readings in the journal by (device, metric, sequence); none twice."""
    kept = collections.Counter((r["device"], r["metric"], r["sequence"]) for r in place.readings())
    assert all(count == 1 for count in kept.values()), "a reading twice"
    return kept


def stored(place):
    return place.status()["ledger"]["stored"]


def ledger_of(status, published):
    ledger = status["ledger"]
    removed = ledger["removed"]
    assert ledger["balanced"] and ledger["stored"] == published, ledger
    assert ledger["held"] == published - ledger["removed_total"]
    assert ledger["removed_total"] == removed["space_unforwarded"], removed
    return ledger


def filled_by_a_neighbour(place):
    with Disk(place, 24) as disk:
        site = Site(place, more=MORE.format(disk="16MiB", ballast="4MiB", retry_for="60s"), raw="false")
        site.start()
        gateway, ballast = place.processes["gateway"], place.path("data", "weir.db.ballast")
        load = Load(site, 20)
        with load:
            site.publish(4)
            wait_until("load is stored", lambda: stored(place) >= 300 + site.readings)

            disk.fill()
            wait_until("half the ballast is given up", lambda: os.path.getsize(ballast) == 2 * MIB)
            site.publish(1)
            wait_until("its alerts left on a full disk", lambda: arrived(site) == site.readings)

            site.proxy.open = False
            site.proxy.cut()
            site.publish(1)
            place.wait_status("its alerts wait", lambda s: s["lanes"]["alerts"]["next"] - 1 == site.readings)
            with Greedy(disk):
                wait_until("commits fail", lambda: "commit_failed" in place.log("gateway"))
                assert re.search(r'commit_failed .* why="[^"]*(full|no space)', place.log("gateway")), "in whose words?"
                time.sleep(1)
                before, sent, began = acknowledged(place), load.sent, stored(place)
                site.proxy.open = True
                wait_until("alerts leave", lambda: arrived(site) == site.readings)
                time.sleep(3)
                after = acknowledged(place)
                assert after == before > 0, f"{after - before} acknowledged on a full disk"
                assert load.sent > sent + 20 and stored(place) == began
                assert "disk_full" in place.status()["reasons"], place.status()["reasons"]
                failures = place.log("gateway").count("commit_failed")
            load.end()
            published = site.readings + load.sent * TEXTS
            place.wait_status("all goes on by itself", lambda s: s["ledger"]["stored"] == published)
            wait_until("the ballast is whole again", lambda: site.publish(1) or os.path.getsize(ballast) == 4 * MIB, 60)
        assert place.processes["gateway"] is gateway and gateway.poll() is None
        published = site.readings + load.sent * TEXTS
        _, status = site.arrived(published)
        ledger = ledger_of(status, published)
        assert ledger["removed_total"] == 0 and ledger["duplicate"] == 0 and len(held(place)) == published
        print(f"  {load.sent - sent} messages came while {failures} commits failed, none was acknowledged; then all "
              f"{published} readings are there once, {arrived(site)} alerts arrived")


def lasting(place):
    """Nobody makes room: after commit.retry_for the oldest raw readings do."""
    with Disk(place, 24) as disk:
        site = Site(place, more=MORE.format(disk="16MiB", ballast="1MiB", retry_for="2s"), raw="false")
        site.start()
        load = Load(site, 20)
        with load:
            wait_until("load is stored", lambda: stored(place) >= 1500)
            disk.fill()
            place.wait_status("old readings make room", lambda s: s["ledger"]["removed_total"] > 0, 60)
            site.publish(1)
            wait_until("its alerts left on a full disk", lambda: arrived(site) == site.readings)
            place.stop("gateway", signal.SIGKILL)
            place.start_gateway()
            site.publish(1)
            wait_until("alerts leave after a restart on a full disk", lambda: arrived(site) == site.readings, 60)
        check_tail(site, load, disk)


def filled_by_its_own(place, mib, disk_max):
    """Twice as much as there is room for. Raw readings go, oldest first, and nothing stops."""
    with Disk(place, mib) as disk:
        site = Site(place, more=MORE.format(disk=disk_max, ballast="1MiB", retry_for="2s"), raw="false")
        site.start()
        load = Load(site, 400)
        with load:
            wait_until("enough was published", lambda: site.publish(1) or load.sent > 16 * MIB / (TEXTS * 900), 120)
        check_tail(site, load, disk)
        return sum(os.stat(os.path.join(disk.path, name)).st_size for name in os.listdir(disk.path)
                   if name.startswith("weir.db"))


def check_tail(site, load, disk):
    """What is held is the newest, without a hole, and what went is counted."""
    published = site.readings + load.sent * TEXTS
    _, status = site.arrived(published, seconds=120)
    ledger = ledger_of(status, published)
    texts = collections.Counter(number for device, _, number in held(site.place) if device == "log")
    first = min(texts)
    assert ledger["removed_total"] > 0
    assert sorted(texts) == list(range(first, load.sent + 1)), "a hole in what is held"
    assert all(texts[number] == TEXTS for number in texts if number > first)
    print(f"  {published} readings, the oldest {ledger['removed_total']} removed, {arrived(site)} alerts arrived, "
          f"store {status['store']['disk_bytes'] / MIB:.1f} MiB, commits failed "
          f"{site.place.log('gateway').count('commit_failed')}, free {disk.free() / MIB:.1f} MiB")


def filled_to_its_budget(place):
    taken = filled_by_its_own(place, 24, "8MiB")
    assert "commit_failed" not in place.log("gateway") and taken <= 8 * MIB, f"{taken} bytes of disk"


def filled_below_its_budget(place):
    """The file system is smaller than the budget says."""
    filled_by_its_own(place, 12, "64MiB")


CASES = [filled_by_a_neighbour, lasting, filled_to_its_budget, filled_below_its_budget]


def disks_are_possible():
    try:
        with Place() as place, Disk(place, 8):
            return True
    except subprocess.CalledProcessError:
        return False


def main():
    skip_without("mosquitto", "mosquitto_pub", "mosquitto_sub", "openssl", "mkfs.ext4", "unshare")
    if "WEIR_OWN_MOUNTS" not in os.environ:
        alone = ["unshare", "--mount", "--propagation", "private"]
        if subprocess.run(alone + ["true"], capture_output=True).returncode != 0:
            print("a file system of the test's own needs root")
            return 77
        os.execvpe("unshare", alone + [sys.executable] + sys.argv, dict(os.environ, WEIR_OWN_MOUNTS="1"))
    if not disks_are_possible():
        print("no loop device for a file system of the test's own")
        return 77
    return run_cases(CASES)


sys.exit(main())
