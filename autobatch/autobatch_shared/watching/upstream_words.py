"""Why calls to an upstream fail, and what its tuner does, in words of ours. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

from autobatch_shared.contract.status import NO_ANSWER, FailedCalls, LearntCalls, UpstreamStatus
from autobatch_shared.watching.activity import RECENT_S, TuningNow

LAWS = {"padded": "pads", "summed": "does not pad", "counted": "costs by number"}
REFUSED = "HTTP 429"  # of an upstream that is full: no failure of it
CAUSES_SHOWN = 2
INVALID_ANSWER = "invalid answer"  # of status 200, and not as many rows of one length as were asked for
ANOTHER_CAUSE = "no connection"
#: What begins the cause of an error, as `UpstreamError.cause` has it, and what that means.
CAUSES = {
    "ECONNREFUSED": "connection refused",
    "ECONNRESET": "connection reset",
    "EPIPE": "connection reset",
    "ETIMEDOUT": "no connection in time",
    "EHOSTUNREACH": "host unreachable",
    "ENETUNREACH": "network unreachable",
    "dns": "name not found",
    "tls": "TLS failed",
    "closed before an answer": "closed before an answer",
    "closed in mid-answer": "closed in mid-answer",
    "answer too large": "answer too large",
    NO_ANSWER: NO_ANSWER,
    INVALID_ANSWER: INVALID_ANSWER,
}
_STATUS = re.compile(r"(?:status|it answers) ([1-5][0-9][0-9])(?: |$)")


def kind_of_cause(cause: str) -> str:
    """Return a cause without anything that the upstream said, one of a few: for the label of a metric, and a line."""
    if status := _STATUS.match(cause):
        return f"HTTP {status[1]}"
    if "connection refused" in cause.lower():  # gRPC's own words
        return CAUSES["ECONNREFUSED"]
    return CAUSES.get(cause.partition(":")[0], ANOTHER_CAUSE)


def obstacle_words(upstream: UpstreamStatus) -> str:
    """Return why an upstream cannot be called, by its last probe and calls; empty where it can."""
    return upstream.reason or words_of(upstream.fault)


def words_of(fault: str) -> str:
    """Return a cause in words, where it has others than its own."""
    return CAUSES.get(fault, fault)


def failure_words(seen: Sequence[FailedCalls]) -> str:
    """Return why calls of all these batchers failed lately, and how many did; empty where none did."""
    causes = sum((Counter(each.causes) for each in seen), Counter[str]())
    waited_s = max((each.waited_s for each in seen), default=0.0)
    if not causes:
        last = min(seen, key=lambda each: each.last_ms, default=None)
        return "" if last is None else f"{_told(last.last, waited_s)} in the last call, {last.last_ms // 1000} s ago"
    counted = [(_told(cause, waited_s), count) for cause, count in causes.most_common(CAUSES_SHOWN)]
    kinds = counted[0][0] if len(causes) == 1 else " and ".join(f"{cause} ({count:,})" for cause, count in counted)
    calls = sum(each.calls for each in seen)
    failed = causes.total()
    how_many = (
        f"{failed:,} of {calls:,} calls" if failed < calls else f"all {calls:,} calls" if calls > 1 else "the only call"
    )
    return f"{kinds} in {how_many} of the last {RECENT_S} s"


def _told(cause: str, waited_s: float) -> str:
    seconds = f"{waited_s:.0f}" if waited_s >= 10 else f"{waited_s:.1f}"
    return f"no answer within {seconds} s" if cause == NO_ANSWER and waited_s else cause


def refused_share(seen: FailedCalls | None) -> float:
    """Return the share of the last calls that an upstream refused because it was full, or asked for too much."""
    return 0.0 if seen is None or not seen.calls else seen.causes.get(REFUSED, 0) / seen.calls


def failing_share(seen: FailedCalls | None) -> float:
    """Return the share of the last calls that failed in another way."""
    return 0.0 if seen is None or not seen.calls else sum(seen.causes.values()) / seen.calls - refused_share(seen)


def tuner_words(learnt: LearntCalls | None, tuning: TuningNow | None, inputs_max: int | None) -> str:
    """Return how an upstream is called, what is tried beside that, and what its calls have shown.

    Args:
        learnt: What its calls have taught; None: nothing yet.
        tuning: How it is called now; None: as configured.
        inputs_max: The most inputs of one call; None: not known.
    """
    at_most = f", up to {inputs_max} texts" if inputs_max is not None else ""
    if tuning is None:
        return f"as configured{at_most}"
    words = f"{_calls(tuning.calls)}{at_most}"
    tried = _tried(tuning)
    if tried:
        words += f"; tries {tried}"
    return words if learnt is None else f"{words}; {_cost(learnt)}"


def _calls(calls: int) -> str:
    return "1 call at a time" if calls == 1 else f"{calls} calls at once"


def _tried(tuning: TuningNow) -> str:
    if tuning.tried_calls is None:
        return ""
    if tuning.tried_calls != tuning.calls:
        return str(tuning.tried_calls)
    if tuning.tried_units_max is None or (tuning.units_max or 0) < tuning.tried_units_max:
        return "larger calls"
    return "smaller calls"


def _cost(learnt: LearntCalls) -> str:
    knee = f", free up to {learnt.knee_units:.0f}" if learnt.knee_units else ""
    return f"{LAWS[learnt.law]}: {_time(learnt.flat_s)} + {_time(learnt.per_unit_s)}/unit{knee}"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 0.001 or seconds == 0:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds * 1e6:.3g} us" if seconds >= 1e-6 else f"{seconds * 1e9:.3g} ns"
