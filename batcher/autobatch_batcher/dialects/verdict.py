"""What an answer's HTTP status means for the jobs of its call, as far as all upstreams mean the same by it. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from autobatch_shared.contract.errors import (
    AutobatchError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamUnavailable,
)

INPUT_ERRORS = {400, 413, 422}  # the fault of one input, or of all together being too much
PERHAPS_INPUT_ERRORS = {424, 500}  # an outage, or an input on which the model fails
CLOUDFLARE = {520, 521, 522, 523, 524, 525, 526, 527, 530}  # it reached no server, or got no answer of it
OVERLOADED_SERVER = 529  # some paid APIs say it of all their clients together; 429 is about one key
OUTAGES = {
    502,
    503,
    504,
    OVERLOADED_SERVER,
} | CLOUDFLARE  # of the upstream, or of what stands in its place: no input is to blame
OVERLOADED = 429
OURS = {401, 403, 404, 405, 415}  # about how we call, which no client can change
PAYMENT_REQUIRED = 402
UNAUTHORIZED = {401, 403}  # the key: they say nothing of a model
DIGITS_MAX = 15  # of a number of milliseconds
RETRY_PAUSES_S = (0.05, 0.2, 0.8, 2.0)
_is_seconds = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch


class Verdict(Enum):
    """What to do with a call that was answered."""

    CUT = auto()  # a good answer
    PASS_ON = auto()  # the answer to one job, good or bad, is the client's
    TELL = auto()  # the answer to each job: it is about our account there, and has nothing of any request
    SPLIT = auto()  # ask again in halves, so that only the guilty one fails
    RETRY = auto()  # ask again as it is, after a pause
    GIVE_UP = auto()  # an error for all jobs: see `fault`


def by_status(status: int, jobs: int, *, is_verbatim: bool, may_retry: bool) -> Verdict:
    """Return what to do with an answer; the arguments are those of `Dialect.judge`."""
    if status == 200:
        return Verdict.PASS_ON if is_verbatim else Verdict.CUT
    if status in INPUT_ERRORS or (is_verbatim and status in OURS - UNAUTHORIZED):
        return Verdict.PASS_ON if jobs == 1 else Verdict.SPLIT
    if status in OURS or status == PAYMENT_REQUIRED:
        return Verdict.GIVE_UP if status in OURS else Verdict.TELL
    if status >= 500 or status in PERHAPS_INPUT_ERRORS:
        if may_retry:
            return Verdict.RETRY
        if status in PERHAPS_INPUT_ERRORS:
            return Verdict.PASS_ON if jobs == 1 else Verdict.SPLIT
    return Verdict.GIVE_UP


def is_refusal(status: int, retry_after: str | None, *, is_final: bool = False) -> bool:
    """Whether the upstream says that it cannot take the call now: no fault of the call, and no attempt of it."""
    return not is_final and (status == OVERLOADED or (status == 503 and asked_pause_s(retry_after) is not None))


def fault(status: int) -> AutobatchError:
    """Return the error for jobs that are given up after an answer with this status."""
    if status == OVERLOADED:
        return UpstreamOverloaded("Model is overloaded")
    if status in OUTAGES:
        return UpstreamUnavailable(f"The upstream answered {status}")
    return UpstreamProtocolError(f"The upstream answered {status}")


def retry_pause_s(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait after failed attempt number `attempt` (0-based), as the upstream asks or growing."""
    longest = RETRY_PAUSES_S[-1]
    if (asked_s := asked_pause_s(retry_after)) is not None:
        return min(max(asked_s, RETRY_PAUSES_S[0]), longest)
    return RETRY_PAUSES_S[min(attempt, len(RETRY_PAUSES_S) - 1)]


def asked_pause_s(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After; None where it names none."""
    return float(retry_after) if retry_after is not None and _is_seconds(retry_after) else None


def retry_after_said(headers: Mapping[str, str], now: datetime) -> str | None:
    """Return the seconds after which an upstream wants to be asked again, as digits; None where it does not say.

    Args:
        headers: Those of its answer. OpenAI's `retry-after-ms` is finer; a time in Retry-After is one of the clock that `Date` shows.
        now: The time, where there is no `Date`; with a zone.
    """
    asked_ms, asked = headers.get("retry-after-ms", ""), headers.get("Retry-After")
    if asked_ms.isascii() and asked_ms.isdigit():
        return str(int(asked_ms[:DIGITS_MAX]) / 1000)
    if asked is None or asked[:1].isdigit():
        return asked
    try:
        since = parsedate_to_datetime(headers["Date"]) if "Date" in headers else now
        left_s = (parsedate_to_datetime(asked) - since).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no time, or one without a zone
        return None
    return f"{max(left_s, 0.0):.3f}"
