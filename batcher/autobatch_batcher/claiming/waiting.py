"""Jobs that were called in vain and wait in their lanes for the upstream to be back: what they are told if it is not. Pure."""

from collections.abc import Iterable

from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.jobs import Job

SAY_BEFORE_S = 0.05  # a reply needs a few milliseconds to the worker, which otherwise answers that the deadline expired


class WaitingRoom:
    """Keeps the last words for each job that waits.

    Attributes:
        is_empty: Whether no job waits.

    Args:
        lanes: Where the jobs wait.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.is_empty = True
        self._lanes = lanes
        self._last_words: dict[str, tuple[float, JobOutcome]] = {}

    @property
    def due_mono_s(self) -> float:
        """When the first of them has to be answered, on the monotonic clock; there is one."""
        return min(due_mono_s for due_mono_s, _ in self._last_words.values())

    def enter(self, job: Job, outcome: JobOutcome) -> None:
        """Let a job wait; the outcome is what it is told in the end."""
        self._last_words[outcome.job] = job.ends_mono_s - SAY_BEFORE_S, outcome
        self._lanes.add(job)
        self.is_empty = False

    def leave(self, jobs: Iterable[Job]) -> None:
        """They are called again."""
        for job in jobs:
            self._last_words.pop(job.header.id, None)
        self.is_empty = not self._last_words

    def take_due(self, now_mono_s: float) -> list[JobOutcome]:
        """Take those out of the room and of their lanes that have to be answered now."""
        due = [job for job, (due_mono_s, _) in self._last_words.items() if due_mono_s <= now_mono_s]
        held = {job.header.id for job in self._lanes.take_out(set(due))}
        told = [self._last_words.pop(job)[1] for job in due]
        self.is_empty = not self._last_words
        return [outcome for outcome in told if outcome.job in held]  # others went with the lease
