"""What must hold of every schedule, whatever happens in it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.faults import NO_BATCHER, FaultRun
from tests.simulation.processes import KEYS, SimulatedBatcher, SimulatedWorker
from tests.simulation.upstreams import KILLING

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

TICK_S = 0.05
REPORTED_WITHIN_S = (
    2.5  # a worker that starts beside its batchers, or beside a Redis that lost their reports, sees none
)
QUEUES = {key.encode() for key in (KEYS.jobs, KEYS.bulk, KEYS.retry, KEYS.suspects)}
CLAIMED = KEYS.claimed("").encode()
POISONOUS = "job_poisonous"
TOO_LATE = {"deadline_exceeded", "upstream_timeout"}  # the latter is the batcher's word for the same


@dataclass
class AskedRequest:
    """One request of a client, on the timeline's clock.

    Attributes:
        outcome: `right`, `WRONG`, `MIXED`, `MISNAMED`, `left`, the code of an error, or `status` and the upstream's; None while it
            waits.
    """

    worker: SimulatedWorker
    texts: list[str]
    started_s: float
    timeout_s: float
    outcome: str | None = None
    ended_s: float = float("inf")

    @property
    def is_killing(self) -> bool:
        """Whether the upstream dies of it."""
        return self.texts[0].startswith(KILLING)


def errors_in(run: "Schedule") -> list[str]:
    """Return what is wrong with the answers and with the processes."""
    found = [error for request in run.requests if (error := _wrong_with(request, run)) is not None]
    for process in run.timeline.processes:
        found += [f"{process.name} left an exception: {error}" for error in process.errors]
    return found


def left_over(run: "Schedule") -> list[str]:
    """Return what is there that should be gone, when nothing is asked any more."""
    found = []
    processes: list[SimulatedBatcher | SimulatedWorker] = [*run.batchers, *run.workers]
    for process in processes:
        if process.loop.is_alive:
            found += [f"{process.loop.name} keeps {each}" for each in process.left()]
    store = run.server.store
    for key in store.names():
        if key in QUEUES or (key.startswith(CLAIMED) and not store.is_endless(key)):
            found.append(f"{store.length(key)} jobs in {key.decode()}")
        elif store.is_endless(key):
            found.append(f"{key.decode()} lives for ever")
    return found


def _wrong_with(request: AskedRequest, run: "Schedule") -> str | None:
    """Return what is wrong with the answer to a request of a living worker."""
    if not request.worker.loop.is_alive:
        return None
    killed_s = max([each.ended_s for each in run.requests if each.is_killing], default=0.0)
    felt = [fault for fault in run.faults if _is_felt(fault, request, killed_s)]
    paused_s = sum(fault.lasts_s for fault in felt if fault.kind.name == "process: paused")
    what = f"{request.worker.name}: {request.texts} of {request.timeout_s:.0f} s is {request.outcome}"
    if request.outcome is None:
        return f"hung: {what}"
    if request.ended_s > request.started_s + request.timeout_s + paused_s + TICK_S:
        return f"late: {what} after {request.ended_s - request.started_s:.2f} s"
    return None if _is_explained(request, felt) else f"unexplained: {what}"


def _is_explained(request: AskedRequest, felt: list[FaultRun]) -> bool:
    outcome = request.outcome
    return (
        outcome in ("right", "left")
        or (request.is_killing and outcome in _OF_KILLING)
        or (outcome in TOO_LATE and request.timeout_s <= sum(_delay_s(fault, request, felt) for fault in felt))
        or (outcome == POISONOUS and sum(fault.kind.deaths for fault in felt) >= _deaths_max(felt))
        or (outcome in NO_BATCHER and request.started_s <= request.worker.started_s + REPORTED_WITHIN_S)
        or any(outcome in fault.kind.explains for fault in felt)
    )


_OF_KILLING = TOO_LATE | {POISONOUS, "upstream_unavailable", "upstream_broken"}


def _deaths_max(felt: list[FaultRun]) -> int:
    return 2 if any(fault.kind.is_killing for fault in felt) else 3


def _is_felt(fault: FaultRun, request: AskedRequest, killed_s: float) -> bool:
    """Whether a request may notice it; `killed_s` is when the last request that kills upstreams was answered."""
    ends_s = max(fault.ends_s, killed_s) if fault.kind.is_killing else fault.ends_s
    return fault.began_s <= request.ended_s and request.started_s <= ends_s + fault.kind.recovery_s


def _delay_s(fault: FaultRun, request: AskedRequest, felt: list[FaultRun]) -> float:
    """Return by how many seconds a fault may delay the answer to a request that has felt these."""
    kind = fault.kind
    if kind.delays_s is None:
        return 0.0
    if request.started_s > fault.began_s + kind.known_after_s and felt == [fault]:  # another one may hide it
        return 0.0
    return min(fault.lasts_s + kind.delays_s, kind.delay_max_s)
