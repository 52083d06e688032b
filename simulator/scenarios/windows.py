"""Windows by the definition, for oracles: every event of a key is kept for ever and every window is looked at by itself,
in exact arithmetic. Slow, and nothing like the gateway's panes and sketches.

An event is what `weir export` has as a reading, in the gateway's order. Of each key the watermark is the greatest event time less
`out_of_orderness`; a window takes an event unless the watermark is `lateness` or more past its end; it has been told when the
watermark has reached its end."""
from fractions import Fraction

S, M, H, D = 1000, 60_000, 3_600_000, 86_400_000


class Event:
    def __init__(self, line):
        self.t_ms, self.device, self.metric, self.sequence = line["event_time_ms"], line["device"], line["metric"], line["sequence"]
        self.value, self.fields = line["value"], line.get("fields", {})
        self.number = Fraction(self.value) if isinstance(self.value, (int, float)) else None


def by_key(events, key):
    keys = {}
    for event in events:
        keys.setdefault(key(event), []).append(event)
    return keys


def sliding_by(events, key, size_ms, slide_ms, out_of_orderness_ms, lateness_ms):
    """{(key, start_ms, end_ms): its events in the gateway's order} of windows that have been told; how many events were too
    late for all of theirs. Tumbling: slide = size."""
    told, late = {}, 0
    for of, all_of_key in by_key(events, key).items():
        windows, watermark_ms = {}, None
        for event in all_of_key:
            taken = False
            start_ms = event.t_ms - event.t_ms % slide_ms
            while start_ms > event.t_ms - size_ms:
                if watermark_ms is None or start_ms + size_ms + lateness_ms > watermark_ms:
                    windows.setdefault(start_ms, []).append(event)
                    taken = True
                start_ms -= slide_ms
            late += not taken
            watermark_ms = max(watermark_ms or 0, event.t_ms - out_of_orderness_ms)
        told.update({(of, start_ms, start_ms + size_ms): inside for start_ms, inside in windows.items()
                     if start_ms + size_ms <= watermark_ms})
    return told, late


def sessions_by(events, key, gap_ms, out_of_orderness_ms, lateness_ms, look=None):
    """The same of sessions: events of which none is `gap` or more after the one before it. An event too late for a session of
    its own still joins one that is open. `look` is shown a key and its session as each event makes it."""
    told, late = {}, 0
    for of, all_of_key in by_key(events, key).items():
        watermark_ms, live, done = None, [], []  # lists of events, by time
        for event in all_of_key:
            if watermark_ms is not None:
                done += [one for one in live if one[-1].t_ms + gap_ms + lateness_ms <= watermark_ms]
                live = [one for one in live if one[-1].t_ms + gap_ms + lateness_ms > watermark_ms]
            near = [one for one in live if one[0].t_ms - gap_ms < event.t_ms < one[-1].t_ms + gap_ms]
            if not near and watermark_ms is not None and event.t_ms + gap_ms + lateness_ms <= watermark_ms:
                late += 1
                continue
            joined = sorted([event] + [e for one in near for e in one], key=lambda e: e.t_ms)
            live = [one for one in live if one not in near] + [joined]
            if look is not None:
                look(of, joined)
            watermark_ms = max(watermark_ms or 0, event.t_ms - out_of_orderness_ms)
        for one in done + live:
            if one[-1].t_ms + gap_ms <= watermark_ms:
                told[of, one[0].t_ms, one[-1].t_ms + gap_ms] = one
    return told, late


# --- what a window comes to: each value, and how far the gateway's may be from it --------------------------------

def exactly(value):
    return value, 0


def nearly(value, absolute_terms):
    """Within 1e-12 of the sum of the absolute terms."""
    return value, Fraction(absolute_terms) / 10**12


def sum_of(numbers):
    return nearly(sum(numbers), sum(abs(n) for n in numbers))


def mean_of(numbers):
    return nearly(sum(numbers) / len(numbers), sum(abs(n) for n in numbers) / len(numbers))


def distinct_of(values):
    """HyperLogLog with 4,096 registers: a standard error of 1.04 / 64, five of them allowed. Of a few, two may share a register, and
    each time one is missing: of eighty about one."""
    count = len(set(values))
    return count, max(Fraction(5, 2), count * 5 * Fraction(104, 6400))
