"""The outcome of one run of load: every answer is counted once, as right, wrong, refused or failed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NO_ANSWER = 0  # instead of a status: the connection was lost, or no answer arrived in time


@dataclass(slots=True)
class LoadOutcome:
    """Counts and times of one run.

    Attributes:
        seconds: How long it ran.
        latencies_s: Of the answers with status 200.
        wrong: Answers with status 200 that were not the sender's own.
        failed: Status -> answers that had it; `NO_ANSWER` if there was none.
        late: Requests that the load generator itself sent too late, which makes their latency less exact.
        heads: Status line and headers of a few answers.
    """

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: Counter[int] = field(default_factory=Counter)
    late: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def right(self) -> int:
        """The number of right answers."""
        return len(self.latencies_s) - self.wrong

    @property
    def per_second(self) -> float:
        """Right answers a second."""
        return self.right / self.seconds if self.seconds else 0.0


def percentile_ms(latencies_s: Iterable[float], share: float) -> float:
    """Return the latency that this share of the answers, 0 to 1, did not exceed; nan if there are none."""
    ordered: Sequence[float] = sorted(latencies_s)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")
