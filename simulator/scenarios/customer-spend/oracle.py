"""By customer: what was spent in fifteen minutes, every 30 s."""
from windows import M, S, exactly, sliding_by, sum_of

STREAM, KEY = "spend", ("customer",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.fields["customer"],), 15 * M, 30 * S, 10 * S, 2 * M)
    return {window: {"purchases": exactly(len(inside)), "spent": sum_of([e.number for e in inside]),
                     "dearest": exactly(max(e.number for e in inside))}
            for window, inside in told.items()}, late
