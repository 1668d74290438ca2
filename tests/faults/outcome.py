"""The outcome of each request, and of all of them. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import orjson

from autobatch_bench.checking.oracle import names, names_in

OURS = {429, 502, 503, 504}
MODEL = "faults"  # what the upstreams serve
NGINX_ALONE = b"no proxy worker could be reached"


class AnswerKind(StrEnum):
    """What a client saw."""

    RIGHT = "right"
    CLEAR = "clear error"  # a status, and a body that says what was wrong
    WRONG = "wrong"  # another request's success, or bytes that are not an answer
    LOST = "lost"  # the connection ended without an answer, or nginx alone answered
    HUNG = "hung"  # nothing until a second after its deadline
    CUT = "cut"  # like lost, but the fault killed the nginx that the client was connected to


@dataclass(slots=True)
class SentRequest:
    """One request of the load.

    Attributes:
        text: Unlike any other.
        start_s: When it was sent, on the loop's clock.
        end_s: When its answer was complete; inf before.
        status: Of the answer; 0 for none.
        kind: None while it waits.
        model: The name of the model that the answer says it is of; empty for none.
    """

    text: str
    start_s: float
    end_s: float = float("inf")
    status: int = 0
    kind: AnswerKind | None = None
    model: str = ""


def named_by(model: str, text: str) -> str:
    """Return the text whose vector of the oracle is a model's for this text."""
    return text if model == MODEL else f"{text} by {model}"


def judge(text: str, status: int, body: bytes, model: str = MODEL) -> AnswerKind:
    """Judge the answer to the sender of `text`; status 0 is the end of the connection.

    Args:
        text: What was sent.
        status: The answer's status.
        body: The answer's body.
        model: The name of the model that its head says it is of.
    """
    if status == 0:
        return AnswerKind.LOST
    if status == 200:
        return AnswerKind.RIGHT if names_in(body, 1) == names([named_by(model, text)]) else AnswerKind.WRONG
    if NGINX_ALONE in body:
        return AnswerKind.LOST
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return AnswerKind.WRONG
    is_clear = isinstance(said, dict) and said.keys() == {"error", "error_type"} and said["error"]
    return AnswerKind.CLEAR if is_clear else AnswerKind.WRONG


@dataclass
class FaultRow:
    """One line of the table.

    Attributes:
        fault: The scenario's name.
        counts: Requests of each kind.
        doubled: Texts that were computed more often than the fault explains.
        slowest_ms: Of all that were answered.
        recovery_s: From the fault's end to the start of the last request that did not get its vector.
        complaints: Other requirements that were missed.
    """

    fault: str
    counts: Counter[AnswerKind]
    doubled: int
    slowest_ms: float
    recovery_s: float
    complaints: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.counts.total()


def tally(fault: str, requests: Iterable[SentRequest], fault_end_s: float, doubled: int) -> FaultRow:
    """Return the line of a scenario whose requests have all ended."""
    requests = list(requests)
    counts = Counter(request.kind for request in requests if request.kind)
    failed = [request.start_s for request in requests if request.kind is not AnswerKind.RIGHT]
    slowest_s = max((r.end_s - r.start_s for r in requests if r.kind is not AnswerKind.HUNG), default=0.0)
    return FaultRow(fault, counts, doubled, slowest_s * 1000, max(0.0, max(failed, default=0.0) - fault_end_s))
