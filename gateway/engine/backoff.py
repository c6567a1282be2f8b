"""How long to wait before something that keeps failing is tried again."""

FIRST_WAIT = 0.1
"""Seconds before the first new start."""
LONGEST_WAIT = 10.0
STEADY = 60.0
"""Seconds of running after which a failure counts as the first one again."""


class Backoff:
    """Waits between the starts of one thing, each twice as long as the one before."""

    def __init__(self) -> None:
        self._next = FIRST_WAIT

    def after(self, ran: float) -> float:
        """Give the seconds to wait before the next start of what ran for `ran` seconds."""
        wait = FIRST_WAIT if ran >= STEADY else self._next
        self._next = min(2 * wait, LONGEST_WAIT)
        return wait
