"""Why a request shares no upstream call with others, and when so many do not that it is logged. Pure.

Each way out of batching has its name here, is counted under it in `autobatch_unbatched_requests_total`, and is
described in docs/batching.md.
"""

from collections import Counter
from enum import StrEnum

import msgspec

WINDOW_S = 60.0
REQUESTS_MIN = 100  # below that, a share says nothing
SHARE_MAX = 0.05


class Alone(StrEnum):
    """Requests of the first six go unchanged to the upstream's own route; the others become jobs that share no call."""

    ROUTE = "route"  # the route takes no inputs that could share a call
    NOT_JSON = "not_json"  # it does not begin with JSON, or what TEI reads of it is not Unicode
    FIELDS = "fields"  # a field is missing, or has a value that its route does not take
    REPEATED_FIELD = "repeated_field"  # a field of the route is there twice
    INPUTS = "inputs"  # the inputs are not texts or token ids, or there are none
    TOO_LARGE = "too_large"  # the call would be larger than PAYLOAD_LIMIT, which the body is not
    TOKEN_IDS = "token_ids"  # noqa: S105 - ids that decode to nothing can crash the upstream
    EMPTY_TEXT = "empty_text"  # the upstream always refuses it
    TOO_LONG_TO_COUNT = "too_long_to_count"  # the upstream counts tokens of shorter texts only


class Finding(msgspec.Struct, frozen=True):
    """More than SHARE_MAX of a window's requests shared no call.

    Attributes:
        share: Their share of the requests to routes that batch, from 0 to 1.
        reasons: How many requests shared no call for each reason.
    """

    share: float
    reasons: dict[str, int]


class AloneShare:
    """How many of one worker's requests shared no call, over windows of WINDOW_S."""

    def __init__(self) -> None:
        #: Requests of this window that may share a call: added to by the handler itself, once a request.
        self.together = 0
        self._since_s: float | None = None
        self._reasons: Counter[str] = Counter()

    def note(self, alone: Alone) -> None:
        """Count one request that shares no call; one whose route never batches is not counted."""
        if alone is not Alone.ROUTE:
            self._reasons[alone] += 1

    def look(self, now_s: float) -> Finding | None:
        """At the end of a window, return what is to be logged of it, if anything.

        Args:
            now_s: The time now, on a monotonic clock that is the same in every call.
        """
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < WINDOW_S:
            return None
        requests, reasons = self.together + self._reasons.total(), self._reasons
        self._since_s, self.together, self._reasons = now_s, 0, Counter()
        if requests < REQUESTS_MIN or reasons.total() <= SHARE_MAX * requests:
            return None
        return Finding(round(reasons.total() / requests, 3), dict(reasons))
