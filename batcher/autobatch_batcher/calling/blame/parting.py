"""Answer the jobs of a call that failed for all in parts: so only whose input it was gets the error."""

from asyncio import TaskGroup
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from autobatch_batcher.calling.outcomes import Early, JobOutcome
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.slots import Slot

#: Answers a part, with the permission for one call.
AnsweringParts = Callable[[Sequence[Job], Slot], Awaitable[list[JobOutcome]]]


async def in_parts(
    jobs: Sequence[Job], slot: Slot, answer: AnsweringParts, early: Early | None, *, is_trial: bool
) -> list[JobOutcome]:
    """Return one outcome a job, in the same order; jobs of the same inputs stay together.

    Args:
        jobs: At least two that differ.
        slot: The permission for a call of all of them.
        answer: Answers a part.
        early: Takes the outcomes of each part as soon as they are there; None: nobody waits for them.
        is_trial: Whether no other call may be made meanwhile; else parts are answered at once, as far as others leave room for that.
    """
    waiting = deque(_parts(jobs, slot.upstream.call_jobs_max))
    found: dict[str, JobOutcome] = {}

    async def work(slot: Slot) -> None:
        while waiting:
            outcomes = await answer(waiting.popleft(), slot)
            found.update({each.job: each for each in outcomes})
            if early is not None:
                await early(outcomes)

    async def work_beside(beside: Slot) -> None:
        try:
            await work(beside)
        finally:
            beside.release()

    besides = [] if is_trial else slot.besides(len(waiting))
    async with TaskGroup() as workers:
        for beside in besides:
            workers.create_task(work_beside(beside))
        if besides:
            slot.make_room()
        else:
            await work(slot)
    slot.called_s += max([beside.called_s for beside in besides], default=0.0)
    return [found[job.header.id] for job in jobs]


def _parts(jobs: Sequence[Job], jobs_max: int | None) -> list[list[Job]]:
    """Return two halves of the different inputs, or as many parts as leave about one that fails in every second."""
    inputs = by_input(jobs)
    step = (len(inputs) + 1) // 2
    if jobs_max is not None:
        step = min(step, jobs_max)
    return [[job for each in inputs[start : start + step] for job in each] for start in range(0, len(inputs), step)]


def by_input(jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the jobs in the order of their arrival, those with the same body together."""
    alike: dict[bytes, list[Job]] = {}
    for job in jobs:
        alike.setdefault(job.body, []).append(job)
    return list(alike.values())
