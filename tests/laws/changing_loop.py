"""Traffic whose clients are replaced by others."""

from collections.abc import Iterator

from autobatch_batcher.simulating.clients import ClosedLoop, SimulatedRequest


class ChangingLoop:
    """A closed loop whose clients are replaced by those of another one.

    Args:
        before: The loop until then; it has no bulk clients.
        after: The loop from then on.
        changes_at_s: When, in seconds from the beginning.
    """

    is_open = False

    def __init__(self, before: ClosedLoop, after: ClosedLoop, changes_at_s: float) -> None:
        self._before = before
        self._after = after
        self._changes_at_s = changes_at_s

    def arrivals(self) -> Iterator[tuple[float, SimulatedRequest]]:
        """Yield the first request of each client; those of the later loop have negative numbers."""
        yield from self._before.arrivals()
        for at_s, asked in self._after.arrivals():
            yield self._changes_at_s + at_s, _renumbered(asked)

    def follows(self, asked: SimulatedRequest, now_s: float) -> SimulatedRequest | None:
        """Return its client's next request, unless the client has been replaced."""
        if asked.client < 0:
            return _renumbered(self._after.follows(_renumbered(asked), now_s))
        return self._before.follows(asked, now_s) if now_s < self._changes_at_s else None


def _renumbered(asked: SimulatedRequest) -> SimulatedRequest:
    """The same with a client's number of the later loop for one of its own, or the other way round."""
    return asked._replace(client=-1 - asked.client)
