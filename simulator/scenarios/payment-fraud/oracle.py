"""By card: payments of which none comes ten minutes or more after the one before; and which cards look stolen."""
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


def alarmed(events):
    """Cards that must have an alert, those that may (a distinct count may be one off), and how the rule does: of the cards
    that were stolen, how many it finds."""
    must, may = set(), set()

    def look(of, session):
        merchants = len({e.fields["merchant"] for e in session})
        if len(session) < 5 or merchants < 4 or max(e.value for e in session) <= 300:
            return
        may.add(of[0])
        if merchants > 4:
            must.add(of[0])

    sessions_by(events, lambda e: (e.fields["card"],), 10 * M, 30 * S, 5 * M, look)
    stolen = {e.fields["card"] for e in events if e.fields["stolen"]}
    return must, may, stolen
