"""By device: ten seconds of temperatures."""
from windows import S, exactly, mean_of, sliding_by

STREAM, KEY = "temperature", ("device",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.device,), 10 * S, 10 * S, 2 * S, 15 * S)
    rows = {}
    for window, inside in told.items():
        numbers = [e.number for e in inside]
        first, last = min(inside, key=lambda e: e.t_ms), max(inside, key=lambda e: e.t_ms)
        rows[window] = {"count": exactly(len(inside)), "mean": mean_of(numbers), "min": exactly(min(numbers)), "max": exactly(max(numbers)),
                        "first": exactly(first.number), "last": exactly(last.number),
                        "delta": (last.number - first.number, abs(last.number) / 10**12)}
    return rows, late
