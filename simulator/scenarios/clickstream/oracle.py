"""By country: who was active in the last minute, every 5 s."""
from windows import M, S, distinct_of, exactly, sliding_by

STREAM, KEY = "active", ("country",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.fields["country"],), M, 5 * S, 2 * M, M)
    return {window: {"clicks": exactly(len(inside)), "users": distinct_of(e.fields["user"] for e in inside),
                     "paid": exactly(sum(e.fields["page"] == "pay" for e in inside))}
            for window, inside in told.items()}, late
