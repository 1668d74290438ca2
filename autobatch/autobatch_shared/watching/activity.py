"""What each process publishes of its last minute, once a second, for people who look at the fleet.

Nothing works by it: plans, refusals and duties follow the batchers' reports (`contract/status.py`), which stay small. An
activity is 2 to 5 kB, whatever the traffic.
"""

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED

CHART_S = 60  # seconds that a view shows one by one
KEPT_S = CHART_S + 4  # and an activity lists: processes say theirs at different times, and the oldest is going
RECENT_S = 10  # seconds that its durations and sums are of
BATCHES_MAX = 32  # the last batches that it lists

#: How many took how long: the upper bound of a bucket in milliseconds, and the count in it; 0 as the bound: longer than all.
Durations = list[tuple[float, int]]


class SeenBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch that has been answered.

    Attributes:
        ended_ms: When, unix milliseconds of Redis's clock.
        upstream: The URL of the upstream that it was sent to.
        reason: Why it left when it did.
        inputs: Number of inputs of its call.
        room: The most inputs that its call could have.
        jobs: Number of its jobs.
        padding: Share of it that is padding, 0 to 1, where the upstream pads.
        waited_ms: Milliseconds that its oldest job waited, before its call or between two.
        took_ms: Milliseconds that its calls took, those that failed included.
        failed: Number of its jobs that got an error, or wait for another call.
        units: What it cost, where the upstream pads its inputs, each as long as the longest; 0: its lengths are not known.
    """

    ended_ms: int
    upstream: str
    reason: str
    inputs: int
    room: int
    jobs: int
    padding: float
    waited_ms: int
    took_ms: float
    failed: int
    units: int = 0

    def without_padding(self) -> "SeenBatch":
        """Return it as it is at an upstream that does not pad."""
        return msgspec.structs.replace(self, padding=0.0, units=round(self.units * (1 - self.padding)))


class TuningNow(msgspec.Struct, frozen=True):
    """How an upstream is called now, and what is tried.

    Attributes:
        calls: The most calls at once, of the best setting so far.
        units_max: The most units of a call, of the same; None: no limit.
        tried_calls: The most calls at once of the setting that is compared with it; None: nothing is tried.
        tried_units_max: The most units of a call of that setting.
    """

    calls: int
    units_max: int | None
    tried_calls: int | None = None
    tried_units_max: int | None = None


class UpstreamActivity(msgspec.Struct, frozen=True):
    """What one batcher did with one upstream in the last RECENT_S seconds.

    Attributes:
        url: Its URL, without credentials.
        batches: Number of batches that were answered.
        inputs: Number of their inputs that were computed.
        failed: Number of jobs that got an error, or wait for another call.
        took: What the batches took.
        tuning: How it is called; None: as configured.
        unchanged_ms: Milliseconds for which it has been in its state; 0: not known, as below.
    """

    url: str
    batches: int
    inputs: int
    failed: int
    took: Durations
    tuning: TuningNow | None = None
    unchanged_ms: int = 0


class BatcherActivity(msgspec.Struct, frozen=True, tag="batcher"):
    """Of one batcher.

    Attributes:
        at: When it was said, unix milliseconds of Redis's clock.
        id: The batcher.
        model: The name of the model that it serves; empty: the unnamed one.
        until_s: The second after the last that is listed, unix seconds of Redis's clock.
        answered: Inputs that upstreams computed, by second.
        waited: How long jobs waited from their arrival to their call, in the last RECENT_S seconds.
        upstreams: Its upstreams.
        batches: Its last batches, the newest last.
        clock_ahead_ms: How far Redis's clock is ahead of this process's.
        cpu_wait: Share of the time, lately, in which it had work and no core.
        unchanged_ms: Milliseconds for which it has been in its state.
    """

    at: int
    id: str
    model: str
    until_s: int
    answered: list[int]
    waited: Durations
    upstreams: list[UpstreamActivity]
    batches: list[SeenBatch]
    clock_ahead_ms: int = 0
    cpu_wait: float = 0.0
    unchanged_ms: int = 0


class WorkerActivity(msgspec.Struct, frozen=True, tag="worker"):
    """Of one worker.

    Attributes:
        at: When it was said, unix milliseconds of Redis's clock.
        id: The worker.
        alive_ms: Milliseconds since its start.
        cpu_share: Of a core, that it used lately.
        redis_ms: Milliseconds that Redis took to answer it last.
        until_s: As for a batcher.
        answered: Requests with a good answer, by second.
        refused: Requests refused with 429 or 503, by second.
        failed: Requests answered with another status of 500 or more, by second.
        cached: Inputs that the result cache answered, by second.
        waiting: Inputs of requests that waited for their answer, the most seen in each second.
        took: What requests with a good answer took, in the last RECENT_S seconds.
        too_long: Requests refused with 413, by second.
        by_key: Requests let in by the place of their API key, in the last RECENT_S seconds.
        clock_ahead_ms: As for a batcher; `cpu_wait` and `unchanged_ms`, too.
    """

    at: int
    id: str
    alive_ms: int
    cpu_share: float
    redis_ms: float
    until_s: int
    answered: list[int]
    refused: list[int]
    failed: list[int]
    cached: list[int]
    waiting: list[int]
    took: Durations
    too_long: list[int] = []
    by_key: dict[int, int] = {}
    clock_ahead_ms: int = 0
    cpu_wait: float = 0.0
    unchanged_ms: int = 0


Activity = BatcherActivity | WorkerActivity

_decoder = msgspec.json.Decoder(Activity)


def decoded_activities(said: Iterable[bytes]) -> list[Activity]:
    """Return those that can be read: others are of another version, or not ours."""
    found = []
    for each in said:
        with suppress(*NOT_AS_ASKED):
            found.append(_decoder.decode(each.decode()))
    return found
