"""By app: who was there in thirty days, every day at midnight UTC."""
from windows import D, H, distinct_of, exactly, sliding_by

STREAM, KEY = "month", ("app",)


def expected(events):
    told, late = sliding_by(events, lambda e: (e.fields["app"],), 30 * D, D, 6 * H, 2 * D)
    return {window: {"visits": exactly(len(inside)), "users": distinct_of(e.fields["user"] for e in inside)}
            for window, inside in told.items()}, late
