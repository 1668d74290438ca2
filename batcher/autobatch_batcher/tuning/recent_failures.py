"""How many calls to one upstream failed lately, and why. Pure; times are passed in.

A call that succeeds only adds one to `calls`; all else is done when a call fails, or when it is reported.
"""

from collections import Counter, deque

from autobatch_shared.contract.status import NO_ANSWER, FailedCalls
from autobatch_shared.watching.activity import RECENT_S
from autobatch_shared.watching.upstream_words import kind_of_cause

LOOK_EVERY_S = 1.0
LAST_COUNTS_S = 60.0  # twice the longest pause of a breaker: one that is older is not why it is open


class RecentFailures:
    """Of one upstream.

    Attributes:
        calls: Number of calls that have ended, since the start.
        causes: How many of them failed, by the kind of their cause.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.causes: Counter[str] = Counter()
        self._last, self._last_s, self._waited_s = "", float("-inf"), 0.0
        #: What was known when: the first is about RECENT_S ago.
        self._seen = deque([(float("-inf"), 0, Counter[str]())])

    @property
    def last(self) -> str:
        """The kind of the cause of the last call that failed; empty: none did yet."""
        return self._last

    def failed(self, cause: str, took_s: float, now_s: float) -> None:
        """Take note of a call that failed, and of its cause: see `UpstreamError.cause`."""
        self._last, self._last_s = kind_of_cause(cause), now_s
        self.causes[self._last] += 1
        if self._last == NO_ANSWER:
            self._waited_s = took_s

    def recent(self, now_s: float, *, are_all: bool) -> FailedCalls | None:
        """Return how calls failed in the last RECENT_S seconds; None: none did.

        Args:
            now_s: The time now, in seconds of the loop's clock.
            are_all: Whether calls fail one after the other: then one that was longer ago counts, too.
        """
        seen = self._seen
        if now_s - seen[-1][0] >= LOOK_EVERY_S:
            seen.append((now_s, self.calls, self.causes.copy()))
        while len(seen) > 1 and seen[1][0] <= now_s - RECENT_S:
            seen.popleft()
        _, calls, causes = seen[0]
        lately = self.causes - causes
        if not lately and not (are_all and now_s - self._last_s <= LAST_COUNTS_S):
            return None
        last_ms = int((now_s - self._last_s) * 1000)
        return FailedCalls(self.calls - calls, dict(lately), self._last, last_ms, self._waited_s)
