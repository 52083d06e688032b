"""By device: ten seconds of temperatures."""
from windows import S, exactly, mean_of, sliding_by

STREAM, KEY = "temperature", ("device",)
FLOODED = True  # it has to show what it does with more than it can take (pressure.py)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.device,), 10 * S, 10 * S, 2 * S, 15 * S)
    rows = {}
    for window, inside in told.items():
        numbers = [e.number for e in inside]
        first, last = min(inside, key=lambda e: e.t_ms), max(reversed(inside), key=lambda e: e.t_ms)  # of equal times, as they came
        rows[window] = {"count": exactly(len(inside)), "mean": mean_of(numbers), "min": exactly(min(numbers)), "max": exactly(max(numbers)),
                        "first": exactly(first.number), "last": exactly(last.number),
                        "delta": (last.number - first.number, abs(last.number) / 10**12)}
    return rows, late


def alarmed(events):
    """Devices that must have an alert: with a spike after a hundred readings that came in its turn (what a detector sees of a device
    goes by event time); those that may; and those with any spike."""
    must, spiked, seen, newest_ms = set(), set(), {}, {}
    for e in events:
        in_turn = e.t_ms > newest_ms.get(e.device, 0)
        newest_ms[e.device] = max(newest_ms.get(e.device, 0), e.t_ms)
        seen[e.device] = seen.get(e.device, 0) + 1
        if e.fields["spike"]:
            spiked.add(e.device)
            if in_turn and seen[e.device] > 150:
                must.add(e.device)
    return must, spiked, spiked
