"""By card: payments of which none comes ten minutes or more after the one before."""
from windows import M, S, distinct_of, exactly, sessions_by, sum_of

STREAM, KEY = "card", ("card",)


def expected(events):
    told, late = sessions_by(events, lambda e: (e.fields["card"],), 10 * M, 30 * S, 5 * M)
    rows = {}
    for window, inside in told.items():
        numbers = [e.number for e in inside]
        rows[window] = {"payments": exactly(len(inside)), "spent": sum_of(numbers), "dearest": exactly(max(numbers)),
                        "merchants": distinct_of(e.fields["merchant"] for e in inside)}
    return rows, late
