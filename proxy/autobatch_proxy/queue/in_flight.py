"""One request from its push to its last reply: what it takes to push its jobs, and to push them again. Pure."""

import asyncio
from collections.abc import Callable

import msgspec

from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.contract.frames import JobHeader, ReplyHeader, encode

Reply = tuple[ReplyHeader, bytes]


class WaitingRequest(msgspec.Struct):
    """What one handler waits for: for each job of its plan, in order, an id and a future.

    Attributes:
        plan: What it becomes.
        asked_s: When it came, on the loop's clock.
        ends_s: When its deadline expires, on the loop's clock.
        deadline_ms: The same as its first push says it, unix milliseconds of Redis's clock.
        ids: The ids under which Redis knows the jobs; a job that is pushed again gets a new one.
        futures: The replies.
        frames: What the next push takes; empty where none is due.
        pushes_open: Number of pushes that are due or whose outcome is unknown.
        again: The ids of jobs that were pushed again, which happens once.
        bytes_read: Bytes of the replies that have come.
    """

    plan: Plan
    asked_s: float
    ends_s: float
    deadline_ms: int
    ids: list[str] = []
    futures: list[asyncio.Future[Reply]] = []
    frames: list[bytes] = []
    pushes_open: int = 0
    again: tuple[str, ...] = ()
    bytes_read: int = 0

    def future_of(self, job: str) -> asyncio.Future[Reply]:
        """Return the future of one of the jobs."""
        return self.futures[self.ids.index(job)]


def frame_of(plan: Plan, planned: PlannedJob, job: str, at_ms: int, deadline_ms: int) -> bytes:
    """Return the frame of one job of a plan; times are unix milliseconds of Redis's clock."""
    header = JobHeader(
        id=job,
        n=planned.n,
        at=at_ms,
        deadline=deadline_ms,
        route=plan.route,
        kind=planned.kind,
        options=planned.options,
        content_type=planned.content_type,
        longest=planned.longest,
        is_counted=plan.are_counted,
        wants_each=plan.wants_each,
    )
    return encode(header, planned.body)


def fail(request: WaitingRequest, error: Callable[[], AutobatchError]) -> None:
    """Fail what it still waits for."""
    for future in request.futures:
        if not future.done():
            future.set_exception(error())


def largest_body_bytes(plan: Plan) -> int:
    """Return the bytes of the largest body of a plan's jobs."""
    return max([len(planned.body) for planned in plan.jobs])
