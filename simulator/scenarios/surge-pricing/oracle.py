"""By zone: what was asked for and what was free in a minute."""
from windows import M, S, exactly, sliding_by

STREAM, KEY = "demand", ("zone",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.fields["zone"],), M, M, 10 * S, M)
    return {window: {"count": exactly(len(inside)), "requests": exactly(sum(e.metric == "request" for e in inside)),
                     "drivers": exactly(sum(e.metric == "driver" for e in inside))}
            for window, inside in told.items()}, late
