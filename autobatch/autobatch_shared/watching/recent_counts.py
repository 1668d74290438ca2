"""Counts by kind, kept for the last RECENT_S turns. Pure."""

from collections import Counter, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from autobatch_shared.watching.activity import RECENT_S

Kind = TypeVar("Kind", bound=Hashable)


class RecentCounts(Generic[Kind]):
    """How many there were of each kind."""

    def __init__(self) -> None:
        self._now: Counter[Kind] = Counter()
        self._turns: deque[Counter[Kind]] = deque(maxlen=RECENT_S)

    def add(self, kind: Kind, count: int = 1) -> None:
        """Count so many of this kind."""
        self._now[kind] += count

    def turn(self) -> Counter[Kind]:
        """End a turn; return what the last ones have counted."""
        self._turns.append(self._now)
        self._now = Counter()
        return sum(self._turns, Counter())
