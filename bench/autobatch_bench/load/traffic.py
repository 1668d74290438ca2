"""A run's requests and their outcome: the part that every kind of load shares."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from autobatch_bench.checking.checks import Check
from autobatch_bench.load.connection import LoadConnection
from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome
from autobatch_bench.load.workloads import Workload

ANSWER_MAX_S = 60.0  # beyond the end of a run
HEAD_EVERY = 16  # answers whose headers are kept
HEADS_MAX = 500


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server that gets the load."""

    host: str
    port: int


@dataclass(slots=True)
class Traffic:
    """Sends requests and counts answers."""

    workload: Workload
    serials: Iterator[int]
    check: Check
    outcome: LoadOutcome = field(default_factory=LoadOutcome)
    _answers: int = 0

    def send(self, connection: LoadConnection, started_s: float) -> None:
        """Send the next request, whose latency began at `started_s`."""
        serial = next(self.serials)
        connection.send(self.workload.request(serial), serial, started_s)

    def book(self, connection: LoadConnection, status: int, data: bytes, body_at: int, now_s: float) -> None:
        """Count an answer."""
        outcome = self.outcome
        if status != 200:
            outcome.failed[status] += 1
            return
        if not self.check.looks_right(connection.serial, data[body_at:]):
            outcome.wrong += 1
        outcome.latencies_s.append(now_s - connection.started_s)
        self._answers += 1
        if self._answers % HEAD_EVERY == 1 and len(outcome.heads) < HEADS_MAX:
            outcome.heads.append(data[:body_at])

    def finish(self, seconds: float, hung: int = 0) -> LoadOutcome:
        """Return what was seen; `hung` requests were not answered at all."""
        self.outcome.seconds = seconds
        if hung:
            self.outcome.failed[NO_ANSWER] += hung
        return self.outcome
