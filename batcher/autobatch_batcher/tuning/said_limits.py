"""What an upstream's headers say is left of a limit, in the forms that servers have. Pure.

OpenAI and those like it say `x-ratelimit-limit-requests: 60`, `x-ratelimit-remaining-requests: 59` and `x-ratelimit-reset-requests: 1s`, and
the same of `tokens`; gateways say `x-ratelimit-remaining` of requests, and IETF's draft `ratelimit-remaining`. A reset is a duration as Go
prints it (`6m0s`, `20ms`), seconds as a number, or a time: unix seconds or milliseconds, ISO 8601.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from autobatch_shared.contract.capacity import CALLS, TOKENS, SaidLimit

_NAMES = {CALLS: ("x-ratelimit-{}-requests", "x-ratelimit-{}", "ratelimit-{}"), TOKENS: ("x-ratelimit-{}-tokens",)}
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_is_duration = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|us|µs|ns|h|m|s))+").fullmatch
_parts = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|h|m|s)").findall
_is_number = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?").fullmatch
_EPOCH_MIN_S, _EPOCH_MIN_MS = 1e9, 1e12  # a number below is a duration
TEXT_MAX = 64
SKEW_MIN_S = 2.0  # between two clocks


def said_limits(headers: Mapping[str, str], now: datetime) -> dict[str, SaidLimit]:
    """Return what an answer's headers say, by CALLS and TOKENS.

    Args:
        headers: Those of the answer; names of any case, if the mapping finds them so.
        now: The time now, with a zone; a time is one of the clock that `Date` shows, where there is one.
    """
    said = {}
    for kind, names in _NAMES.items():
        for name in names:
            left = _whole(headers.get(name.format("remaining"), ""))
            if left is not None:
                limit = _whole(headers.get(name.format("limit"), "").partition(",")[0])
                reset = headers.get(name.format("reset"), "")
                said[kind] = SaidLimit(left, limit, reset_seconds(reset, _server_clock(headers, now)))
                break
    return said


def reset_seconds(text: str, now: datetime) -> float | None:
    """Return the seconds until a reset, from its header; None where it says none that is understood."""
    text = text.strip()[:TEXT_MAX]
    if _is_number(text):
        number = float(text)
        if number < _EPOCH_MIN_S:
            return number
        return max(0.0, (number / 1000 if number >= _EPOCH_MIN_MS else number) - now.timestamp())
    if _is_duration(text):
        return sum(float(amount) * _UNITS_S[unit] for amount, unit in _parts(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def _server_clock(headers: Mapping[str, str], now: datetime) -> datetime:
    with suppress(ValueError, TypeError, OverflowError, KeyError):
        shown = parsedate_to_datetime(headers["Date"])
        if shown.tzinfo is not None and abs((shown - now).total_seconds()) >= SKEW_MIN_S:
            return shown
    return now  # finer than whole seconds


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(float(text)) if _is_number(text) else None
