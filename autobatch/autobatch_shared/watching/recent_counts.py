"""Counts by kind, kept for the last RECENT_S turns. Pure."""

from collections import Counter, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from autobatch_shared.watching.activity import RECENT_S

CountedKind = TypeVar("CountedKind", bound=Hashable)


class RecentCounts(Generic[CountedKind]):
    """How many there were of each kind."""

    def __init__(self) -> None:
        self._now: Counter[CountedKind] = Counter()
        self._turns: deque[Counter[CountedKind]] = deque(maxlen=RECENT_S)

    def add(self, kind: CountedKind, count: int = 1) -> None:
        """Count so many of this kind."""
        self._now[kind] += count

    def turn(self) -> Counter[CountedKind]:
        """End a turn; return what the last ones have counted."""
        self._turns.append(self._now)
        self._now = Counter()
        return sum(self._turns, Counter())
