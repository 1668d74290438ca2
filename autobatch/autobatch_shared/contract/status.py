"""What each batcher publishes of itself and its upstreams, for health, for the workers' plans, and for people."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card
from autobatch_shared.contract.errors import NOT_AS_ASKED
from autobatch_shared.contract.frames import ANSWERED_SINCE, VERSION
from autobatch_shared.contract.model_names import Announcement
from autobatch_shared.contract.models import ServedModel

UNKNOWN_BYTES_MAX = 10**12  # while no batcher has said what an upstream takes
CALL_MAX_S = 3600.0  # no call is given as long
FRESH_MS = 3_000  # three missed reports; the lease has ended by then too. A report of the future is as foreign


class LearntCalls(msgspec.Struct, frozen=True):
    """What the calls to one upstream have taught a batcher.

    Attributes:
        calls_seen: Number of calls that this was learnt from, by this batcher and by those before it.
        law: What a unit of a call is: its inputs times the longest of them, the sum of their lengths, or 128 of each.
        flat_s: Seconds that a call takes whatever it carries.
        per_unit_s: Seconds for each unit above the knee.
        knee_units: Units up to which size costs nothing.
        one_by_one: How much speaks for calls that wait for each other, 0 to 1.
        side_by_side: The same for calls that do not.
        calls: The most calls in flight that were found to pay.
        units_max: The most units of a call and of one more of its longest input; None: no limit.
    """

    calls_seen: int
    law: Literal["padded", "summed", "counted"]
    flat_s: float
    per_unit_s: float
    knee_units: float
    one_by_one: float
    side_by_side: float
    calls: int
    units_max: int | None


class RememberedCalls(msgspec.Struct, frozen=True):
    """What a batcher has learnt of an upstream, for one that starts when no other batcher knows it.

    Attributes:
        at: When it was reported last, unix milliseconds of Redis's clock.
        model: Fingerprint of the model that the upstream served then.
        learnt: What its calls have taught.
    """

    at: int
    model: str
    learnt: LearntCalls

    @property
    def is_sound(self) -> bool:
        """Whether these are figures that calls can have taught."""
        learnt = self.learnt
        seconds = learnt.flat_s, learnt.per_unit_s
        shares = learnt.one_by_one, learnt.side_by_side
        counts = learnt.calls_seen, learnt.calls, 1 if learnt.units_max is None else learnt.units_max
        is_time = min(seconds) >= 0 and 0 < max(seconds) < CALL_MAX_S and learnt.knee_units >= 0
        return is_time and 0 <= min(shares) <= max(shares) <= 1 and min(counts) >= 1


NO_ANSWER = "no answer in time"  # the fault of an upstream that listens, and hangs or is slow


class FailedCalls(msgspec.Struct, frozen=True):
    """How calls of one batcher to one upstream failed lately.

    Attributes:
        calls: Number of its calls that ended in the last ten seconds.
        causes: How many of those failed, by the kind of their cause: `HTTP 500`, `connection refused`. What one input may be to
            blame for, 400, 413 and 422, is no failure.
        last: The kind of the cause of the last one that failed.
        last_ms: Milliseconds since that one ended.
        waited_s: Seconds that the last one waited that got no answer in time; 0: none did.
    """

    calls: int
    causes: dict[str, int]
    last: str
    last_ms: int
    waited_s: float = 0.0


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream as one batcher sees it.

    Attributes:
        url: Its URL, without credentials.
        is_healthy: Whether its last probe or call went well, and it serves the namespace's model.
        batch_inputs_max: The most inputs that one call to it may have.
        in_flight: Number of inputs that it is working on for this batcher.
        request_bytes_max: Bytes of a request's body above which its call may be too large for this upstream.
        card: What it serves.
        counts_for: Fingerprint of the model that it keeps in use: what it serves, or did until a moment ago.
        reason: Why it is excluded: what it serves, and what the namespace has; empty for one that is not.
        fault: Why its last probe or call did not go well, as NO_ANSWER; empty if it did.
        unchanged_ms: Milliseconds for which `is_healthy` has been what it is; 0 while it is not known.
        batch_tokens_max: The most tokens of one call to it, if that has more than one input.
        may_be_called: Whether it is healthy and its calls do not fail one after the other.
        is_on_duty: Whether this batcher calls it; the others stand by.
        permits: The most inputs that this batcher has in flight there now.
        learnt: What its calls have taught; None: nothing yet.
        dialect: The API that it speaks, by its word of INFERENCE_DIALECT; empty until it has said what it serves.
        failed: How calls failed; None: none did lately, and calls do not fail one after the other.
    """

    url: str
    is_healthy: bool
    batch_inputs_max: int
    in_flight: int
    request_bytes_max: int = UNKNOWN_BYTES_MAX
    card: Card = NO_CARD
    counts_for: str = ""
    reason: str = ""
    fault: str = ""
    unchanged_ms: int = 0
    batch_tokens_max: int = UNKNOWN_MAX
    may_be_called: bool = False
    is_on_duty: bool = True
    permits: int = 0
    learnt: LearntCalls | None = None
    dialect: str = ""
    failed: FailedCalls | None = None

    @property
    def failing(self) -> FailedCalls | None:
        """How its calls fail one after the other; None: they do not, as far as is known. Late answers are answers."""
        return None if self.may_be_called else self.failed


class BatcherStatus(msgspec.Struct, frozen=True):
    """What one batcher reports.

    Attributes:
        at: When it reported, unix milliseconds of Redis's clock.
        held: Number of inputs that it has claimed and not yet sent.
        upstreams: Its upstreams, in the order of INFERENCE_URL.
        drained_per_s: Inputs that it answers in a second while there is a backlog; 0 while it does not know.
        frame_version: The version of the frames that it reads; 1 where it does not say.
        id: Its name, which no other batcher has or had; empty where it does not say.
        alive_ms: Milliseconds since its start.
        cpu_share: Of a core, that it used since its last report.
        is_stopping: Whether it takes no more jobs.
        affordable_inputs: Number of inputs that may be sent now beyond `drained_per_s`, where upstreams are asked so much in a
            minute; it is one number for all batchers.
        next_ms: Milliseconds after which it reports again.
    """

    at: int
    held: int
    upstreams: list[UpstreamStatus]
    drained_per_s: float = 0.0
    frame_version: int = 1
    id: str = ""
    alive_ms: int = 0
    cpu_share: float = 0.0
    is_stopping: bool = False
    affordable_inputs: int = 0
    next_ms: int = 1000


class Ahead(msgspec.Struct, frozen=True):
    """What a job that is pushed now would come behind.

    Attributes:
        usual: Number of inputs that wait in the queue.
        bulk: Number of inputs that wait in the bulk queue.
        claimed: Number of jobs that batchers have claimed and not answered.
    """

    usual: int = 0
    bulk: int = 0
    claimed: int = 0


_decoder = msgspec.json.Decoder(BatcherStatus)
_decode_remembered = msgspec.json.Decoder(RememberedCalls).decode
encode = msgspec.json.Encoder().encode


def decoded(reports: Iterable[bytes]) -> list[BatcherStatus]:
    """Return the reports that can be read: others are of another version, or not ours."""
    found = []
    for report in reports:
        with suppress(*NOT_AS_ASKED):
            found.append(_decoder.decode(report.decode()))  # msgspec would not look into what it passes on raw
    return found


def to_remember(status: BatcherStatus) -> dict[str, RememberedCalls]:
    """Return by URL what a batcher has learnt of the upstreams that it calls."""
    learnt = {
        each.url: RememberedCalls(status.at, each.counts_for, each.learnt)
        for each in status.upstreams
        if each.is_on_duty and each.counts_for and each.learnt is not None
    }
    return {url: each for url, each in learnt.items() if each.is_sound}  # else it has just begun anew


def decode_remembered(value: bytes) -> RememberedCalls | None:
    """Return what is remembered of an upstream; None if it cannot be read: it is of another version, or not ours."""
    with suppress(*NOT_AS_ASKED):
        found = _decode_remembered(value.decode())
        return found if found.is_sound else None
    return None


class Fleet:
    """The batchers that reported lately.

    Attributes:
        drained_per_s: Inputs that all of them answer in a second while there is a backlog; 0 while it is unknown. One that
            works and has not measured yet counts as the others do on average.
        affordable_inputs: Number of inputs that may be sent now beyond that.
        answers_our_frames: Whether one of them reads our frames, and none of the others puts them aside without an answer;
            also while there are none.
        other_version: The version of the frames of a batcher because of which they are not answered; 0 if they are.
        reported: The name of each batcher and when it reported, unix milliseconds; also of those that did not lately.
        upstreams: The upstreams of all batchers, the healthy ones first.
        is_healthy: Whether there is a live batcher with a healthy upstream whose calls do not only fail.
        model: The namespace's model; None while there is no record of it.
        card: The first card that names its model, of a healthy upstream if any is.
        batch_inputs_max: The most inputs that every upstream takes in one call. Like the limits below, not of the excluded.
        batch_tokens_max: The most tokens of a call of several inputs, to any upstream.
        input_tokens_max: Tokens after which every healthy upstream cuts an input or refuses it.
        request_bytes_max: Bytes of a request's body above which its call may be too large for one of the upstreams.
        announced: The models of the namespace that have names, where this fleet is that of the unnamed one.
        now_ms: When these were read, unix milliseconds of Redis's clock.
    """

    def __init__(
        self,
        reports: Iterable[bytes],
        now_ms: int,
        model: ServedModel | None = None,
        announced: tuple[Announcement, ...] = (),
    ) -> None:
        self.announced = announced
        self.now_ms = now_ms
        found = decoded(reports)
        fresh = [status for status in found if abs(now_ms - status.at) < FRESH_MS]
        self.batchers = tuple(fresh)
        self.drained_per_s = _drained_per_s(fresh)
        self.affordable_inputs = max((batcher.affordable_inputs for batcher in fresh), default=0)
        versions = sorted(batcher.frame_version for batcher in fresh)
        self.answers_our_frames = not versions or (versions[0] >= ANSWERED_SINCE and VERSION in versions)
        self.other_version = 0 if self.answers_our_frames else versions[0]
        self.reported = frozenset((status.id, status.at) for status in found)
        upstreams = (upstream for batcher in fresh for upstream in batcher.upstreams)
        self.upstreams = sorted(upstreams, key=lambda upstream: not upstream.is_healthy)
        self.is_healthy = any(upstream.is_healthy and upstream.failing is None for upstream in self.upstreams)
        self.model = model
        included = [upstream for upstream in self.upstreams if not upstream.reason]
        healthy = [upstream.card for upstream in included if upstream.is_healthy]
        self.card = next((upstream.card for upstream in included if upstream.card != NO_CARD), NO_CARD)
        self.batch_inputs_max = max(1, min((u.batch_inputs_max for u in included), default=UNKNOWN_MAX))
        self.batch_tokens_max = max(1, min((u.batch_tokens_max for u in included), default=UNKNOWN_MAX))
        self.input_tokens_max = max(1, max((card.input_tokens_max for card in healthy), default=UNKNOWN_MAX))
        self.request_bytes_max = min((u.request_bytes_max for u in included), default=UNKNOWN_BYTES_MAX)


def _drained_per_s(batchers: Sequence[BatcherStatus]) -> float:
    rates = [batcher.drained_per_s for batcher in batchers if batcher.drained_per_s > 0]
    working = sum(
        batcher.drained_per_s > 0 or any(u.is_healthy and u.is_on_duty for u in batcher.upstreams)
        for batcher in batchers
    )
    return sum(rates) / len(rates) * working if rates else 0.0
