"""By zone: what was asked for and what was free in a minute."""
from fractions import Fraction

from windows import M, S, exactly, nearly, sliding_by

STREAM, KEY = "demand", ("zone",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.fields["zone"],), M, M, 10 * S, M)
    rows = {}
    for window, inside in told.items():
        requests, drivers = sum(e.metric == "request" for e in inside), sum(e.metric == "driver" for e in inside)
        rows[window] = {"count": exactly(len(inside)), "requests": exactly(requests), "drivers": exactly(drivers),
                        "index": nearly(Fraction(requests, max(drivers, 1)), Fraction(requests, max(drivers, 1)))}
    return rows, late
