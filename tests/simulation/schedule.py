"""One schedule: what a seed draws, played to its end, and what was found.

Some requests, none to three faults, and requests after them, which must find everything as it was. A fault hits at a moment, or
at the arrival of a message at Redis: every await of the product that lasts is between two of these.

More than 250 lines, because faults, requests and checks all reach into the run that is drawn here.
"""

import asyncio
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import orjson

from autobatch_proxy.queue.in_flight import Reply
from autobatch_shared.contract.errors import AutobatchError
from tests.simulation.checks import AskedRequest, errors_in, left_over
from tests.simulation.faults import KINDS, FaultKind, FaultRun
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import EndlessTurnsError, Noted, ProcessLoop, Timeline
from tests.simulation.upstreams import KILLING, ModelUpstream, vector
from tests.simulation.virtual import virtual

TIMEOUTS_S = (1.0, 3.0, 6.0, 6.0)
LATE_TIMEOUTS_S = (1.0, 3.0)  # of the requests after all faults
MODELS = (0, 1)  # those that upstreams may serve
QUIET_S = 15.0  # until nothing may be left: a lease, and what the longest partition holds up
SEEN_AFTER_S = 0.4  # until the first workers have seen their batchers
HITS = ((True, True), (True, True), (True, False), (False, False))  # a message or a moment; one after the first request
KNOWN_SCRIPTS_SHARE = 0.8  # of Redis servers that the system has used before
CPU_SHARES = (0.0, 0.0, 0.0, 0.5)  # of a core, by each batcher: with the last one several call an upstream
SNAPSHOT_S = 0.1  # between two states of Redis that a restart may go back to


@dataclass(frozen=True)
class Size:
    """How much there is in a schedule: what one of it may have.

    Attributes:
        batchers: Numbers of batchers.
        workers: Numbers of workers.
        upstreams: Numbers of upstreams.
        faults: Numbers of faults.
        requests: Least and most requests before and during the faults.
        within_s: Seconds within which these are asked.
        messages: Least and most number of a message to Redis that a fault hits, of all.
        asking: The same, counted from the first request on.
        begun_s: Seconds within which every fault has begun.
        probes: Number of requests after the faults.
    """

    batchers: tuple[int, ...]
    workers: tuple[int, ...]
    upstreams: tuple[int, ...]
    faults: tuple[int, ...]
    requests: tuple[int, int]
    within_s: tuple[float, ...]
    messages: tuple[int, int]
    asking: tuple[int, int]
    begun_s: float
    probes: int


LARGE = Size(
    (1, 2, 2, 3), (1, 1, 2), (1, 1, 2), (0, 1, 1, 1, 2, 2, 3), (3, 12), (1.0, 1.0, 0.05), (10, 90), (1, 50), 2.1, 3
)
SMALL = Size((1, 1, 1, 2), (1,), (1,), (1, 1, 1, 2), (1, 5), (0.5, 0.05), (10, 50), (1, 20), 1.1, 2)
SIZES = (*[SMALL] * 11, LARGE)  # a small one finds more in the same time


@dataclass(frozen=True)
class Judged:
    """What came of one schedule.

    Attributes:
        seed: Its seed.
        findings: What must not be, in words; empty when all is well.
        faults: Names of the faults that happened.
        digest: A checksum of everything that happened.
        trace: The last lines of it.
        outcomes: How often each outcome was seen.
    """

    seed: int
    findings: list[str]
    faults: list[str]
    digest: int
    trace: list[Noted]
    outcomes: dict[str, int]

    def without_trace(self) -> "Judged":
        """Return the same, small."""
        return replace(self, trace=[])


class Schedule:
    """One run.

    Args:
        seed: Its name in reports.
        timeline: The time that passes, and all chance.
        kinds: The faults that it may draw.
        faults_max: The most faults.
    """

    def __init__(self, seed: int, timeline: Timeline, kinds: tuple[FaultKind, ...], faults_max: int) -> None:
        self.seed = seed
        self.timeline = timeline
        self.chance = chance = timeline.chance
        self.server = ModelServer(timeline, knows_scripts=chance.random() < KNOWN_SCRIPTS_SHARE)
        self.network = Network(timeline, self.server)
        self.network.on_message = self._message
        drawn: list[FaultKind] = []
        weights = [kind.weight for kind in kinds]
        self._size = size = chance.choice(SIZES)
        for _ in range(min(faults_max, chance.choice(size.faults))):
            (kind,) = chance.choices(kinds, weights)
            if all(kind.goes_with(other) for other in drawn):
                drawn.append(kind)
        upstreams = max([chance.choice(size.upstreams), *[kind.upstreams_min for kind in drawn]])
        self.upstreams = [ModelUpstream(timeline, f"upstream{i}") for i in range(upstreams)]
        self.batchers: list[SimulatedBatcher] = []
        self.workers: list[SimulatedWorker] = []
        self.requests: list[AskedRequest] = []
        self.faults: list[FaultRun] = []
        self._texts = 0
        self._losing: bool | None = None
        self._snapshots: list[Any] = []
        self._made = 0
        self._unasked = inf  # messages before the first request
        self._models: dict[str, int] = {}  # by fingerprint, as the first reply that had it showed
        self._tasks: dict[int, asyncio.Task[None]] = {}
        for _ in range(chance.choice(size.batchers)):
            self.start_batcher()
        for _ in range(chance.choice(size.workers)):
            self.start_worker()
        began_s = self._asked_s = timeline.now_s
        within_s = chance.choice(size.within_s)
        for _ in range(chance.randint(*size.requests)):
            asked_s = began_s + SEEN_AFTER_S + chance.random() * within_s
            self._asked_s = max(self._asked_s, asked_s)
            timeline.at(asked_s, self.ask, chance.choice(TIMEOUTS_S))
        for kind in drawn:
            self._plan_fault(kind, began_s)

    def _plan_fault(self, kind: FaultKind, began_s: float) -> None:
        chance, size = self.chance, self._size
        hits_message, is_after_asking = chance.choice(HITS)
        message = chance.randint(*(size.asking if is_after_asking else size.messages)) if hits_message else None
        fault = FaultRun(kind, chance.uniform(*kind.lasts_s), message, is_after_asking)
        self.faults.append(fault)
        # One whose message never comes happens at the end.
        self.timeline.at(began_s + chance.uniform(0.05, size.begun_s - 0.05), self._begin, fault, None)

    def play(self) -> Judged:
        """Run it to its end."""
        timeline, findings = self.timeline, []
        if any(fault.kind.needs_snapshots for fault in self.faults):
            self._snapshot()
        try:
            until_s = timeline.now_s + self._size.begun_s
            while timeline.now_s < until_s and not self._has_begun():
                timeline.run_until(timeline.now_s + 0.1)
            while (calm_s := self._calm_s()) > timeline.now_s:
                timeline.run_until(calm_s)
            for _ in range(self._size.probes):
                self.ask(self.chance.choice(LATE_TIMEOUTS_S))
                timeline.run_until(timeline.now_s + self.chance.uniform(0.0, 0.3))
            timeline.run_until(timeline.now_s + 60.0, self._is_answered)
            until_s = timeline.now_s + QUIET_S
            while (left := left_over(self)) and timeline.now_s < until_s:
                timeline.run_until(timeline.now_s + 0.5)
            findings += left
        except EndlessTurnsError as error:
            findings.append(f"endless: {error}")
        findings += errors_in(self)
        outcomes: dict[str, int] = {}
        for request in self.requests:
            outcomes[request.outcome or "none"] = outcomes.get(request.outcome or "none", 0) + 1
        names = [fault.kind.name for fault in self.faults]
        return Judged(self.seed, findings, names, timeline.digest, list(timeline.trace), outcomes)

    def _has_begun(self) -> bool:
        """Whether all requests before the last ones were asked, and all faults have begun."""
        return self.timeline.now_s > self._asked_s and all(
            fault.began_s <= self.timeline.now_s for fault in self.faults
        )

    def _calm_s(self) -> float:
        """When the last fault must not be felt any more."""
        return max([fault.ends_s + fault.kind.recovery_s for fault in self.faults], default=0.0)

    def _is_answered(self) -> bool:
        return all(request.outcome is not None or not request.worker.loop.is_alive for request in self.requests)

    # Faults

    def _message(self, process: str, number: int) -> tuple[bool, bool]:
        for fault in self.faults:
            if fault.message == (number - self._unasked if fault.is_after_asking else number):
                self._begin(fault, process)
        if self._losing is not None:
            is_applied, self._losing = self._losing, None
            self.timeline.note(f"the message is {'applied, its reply lost' if is_applied else 'lost'}")
            return is_applied, False
        return True, True

    def _begin(self, fault: FaultRun, hit: str | None) -> None:
        if fault.began_s == float("inf"):
            fault.began_s = self.timeline.now_s
            self.timeline.note(f"FAULT  {fault.kind.name} for {fault.lasts_s:.2f} s, {hit or 'any'}")
            fault.kind.begin(self, fault.lasts_s, hit)

    def lose_next(self, *, is_applied: bool) -> None:
        """Reset the connection of the next message, before or after it was applied."""
        self._losing = is_applied

    def crash(self, process: SimulatedBatcher | SimulatedWorker, down_s: float) -> None:
        """Kill a process; another one of its kind is started in its place."""
        self.timeline.note(f"{process.loop.name} is killed")
        process.loop.crash()
        self.network.cut(process.loop.name)
        start = self.start_batcher if isinstance(process, SimulatedBatcher) else self.start_worker
        self.timeline.after(down_s, start)

    def start_batcher(self) -> None:
        """Start another batcher."""
        self._made += 1
        self.batchers.append(SimulatedBatcher(self.timeline, self.network, f"b{self._made}", self.upstreams))

    def start_worker(self) -> None:
        """Start another worker."""
        self._made += 1
        self.workers.append(SimulatedWorker(self.timeline, self.network, f"w{self._made}"))

    def chosen_batcher(self, hit: str | None) -> SimulatedBatcher:
        """Return the batcher of that name, or any."""
        living = [each for each in self.batchers if each.loop.is_alive] or self.batchers[-1:]
        return next((each for each in living if each.loop.name == hit), None) or self.chance.choice(living)

    def chosen_worker(self, hit: str | None) -> SimulatedWorker:
        """Return the worker of that name, or any."""
        living = [each for each in self.workers if each.loop.is_alive] or self.workers[-1:]
        return next((each for each in living if each.loop.name == hit), None) or self.chance.choice(living)

    def chosen_process(self) -> str:
        """Return the name of any process that lives."""
        return self.chance.choice([process.name for process in self.timeline.processes if process.is_alive])

    def process_named(self, name: str) -> ProcessLoop:
        """Return a process."""
        return next(process for process in self.timeline.processes if process.name == name)

    def older_data(self) -> Any:
        """Return the data that Redis had some moments ago."""
        return self.chance.choice(self._snapshots[-4:])

    def _snapshot(self) -> None:
        self._snapshots.append(self.server.store.copy())
        self.timeline.after(SNAPSHOT_S, self._snapshot)

    # Requests

    def ask(self, timeout_s: float, prefix: str = "text") -> None:
        """Let a client ask a living worker."""
        living = [each for each in self.workers if each.loop.is_alive and each.is_open]
        if not living:
            return  # refused by the address
        worker = self.chance.choice(living)
        texts = []
        for _ in range(self.chance.choice((1, 1, 1, 2, 5))):
            self._texts += 1
            texts.append(f"{prefix} {self._texts}")
        if not self.requests:
            self._unasked = self.network.messages
        now_s = self.timeline.now_s
        request = AskedRequest(worker, texts, now_s, timeout_s)
        self.requests.append(request)
        self._tasks[id(request)] = worker.loop.create_task(self._asked(request))

    def ask_killing(self) -> None:
        """Let a client ask for what the upstream dies of."""
        self.ask(6.0, KILLING)

    def leave_one(self) -> None:
        """Let a client that waits disconnect."""
        waiting = [each for each in self.requests if each.outcome is None and each.worker.loop.is_alive]
        if waiting:
            request = self.chance.choice(waiting)
            request.worker.loop.call_soon(self._tasks[id(request)].cancel)

    async def _asked(self, request: AskedRequest) -> None:
        try:
            replies = await request.worker.ask(request.texts, request.timeout_s)
        except AutobatchError as error:
            outcome = error.code
        except asyncio.CancelledError:
            outcome = "left"
        else:
            outcome = self._judged(request.texts, replies)
        if request.outcome is not None:
            outcome = "TWICE"
        request.outcome = outcome
        request.ended_s = self.timeline.now_s
        self.timeline.note(f"{request.worker.name}: {request.texts} is answered {outcome}")

    def _judged(self, texts: list[str], replies: list[Reply]) -> str:
        """Return the outcome of a request that was answered."""
        for header, _ in replies:
            if header.fault or header.status != 200:
                return header.fault or f"status {header.status}"
        rows = [row for _, body in replies for row in orjson.loads(body)]
        for model in MODELS:
            if rows == [vector(text, model) for text in texts]:
                named = {self._models.setdefault(header.model, model) for header, _ in replies}
                return "right" if named == {model} else "MISNAMED"
        of_any = [[vector(text, model) for model in MODELS] for text in texts]
        is_mixed = len(rows) == len(texts) and all(row in of for row, of in zip(rows, of_any, strict=True))
        return "MIXED" if is_mixed else "WRONG"


def play(seed: int, kinds: tuple[FaultKind, ...] = KINDS, faults_max: int = 3) -> Judged:
    """Play one schedule, under its own clock and its own chance."""
    timeline = Timeline(seed)
    with virtual(timeline, timeline.chance.choice(CPU_SHARES)) as catcher:
        verdict = Schedule(seed, timeline, kinds, faults_max).play()
        verdict.findings.extend(f"unforeseen {each}" for each in dict.fromkeys(catcher.seen))
        timeline.close()
    return verdict
