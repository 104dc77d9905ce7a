"""The states of an order, and which may follow which: one table."""

RECEIVED, CHECKED, TRAINING, DRAWING = "received", "checked", "training", "drawing"
PROOF, APPROVED, PRINTING, DELIVERED = "proof", "approved", "printing", "delivered"
FAILED, CANCELLED = "failed", "cancelled"

NEXT: dict[str, frozenset[str]] = {
    RECEIVED: frozenset({CHECKED}),
    CHECKED: frozenset({TRAINING, DRAWING}),
    TRAINING: frozenset({DRAWING}),
    DRAWING: frozenset({PROOF}),
    PROOF: frozenset({APPROVED, PRINTING}),
    APPROVED: frozenset({PRINTING}),
    PRINTING: frozenset({DELIVERED}),
    DELIVERED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""Where work leads from each state. Any open order may also fail or be cancelled, and any order may
be received anew: told again with other content, or after it failed."""

STATES = tuple(NEXT)
CLOSED = (DELIVERED, FAILED, CANCELLED)
OPEN = tuple(state for state in STATES if state not in CLOSED)
SETTLED = (FAILED, CANCELLED)
"""What `retry` takes up again."""


def may_follow(now: str, then: str) -> bool:
    """Whether an order in one state may come into another."""
    if then == RECEIVED:
        return True
    return then in NEXT[now] or (now in OPEN and then in SETTLED)


def is_behind(now: str, then: str) -> bool:
    """Whether a state lies before one that the order has reached already.

    Work that goes on passes through what was done; the order does not go back for it.
    """
    return now in OPEN and then in OPEN and STATES.index(then) <= STATES.index(now)
