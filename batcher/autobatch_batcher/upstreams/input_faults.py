"""How many jobs to put into one call, where some lately had inputs for which calls fail. Pure.

A call with one of them is made again in parts until it is found. The more there are, the less a large call saves: with a share p of
them, groups of ln 2 / p, which fail every second time, need the fewest calls. Source: F. K. Hwang, A Method for Detecting All Defective
Members in a Population by Group Testing, 1972.
"""

from math import log

MEMORY_JOBS = 16  # over which the share is smoothed: a client that sends bad ones begins and ends
LEAST_SHARE = 0.001


class InputFaults:
    """The share of jobs that fail alone, while others are answered."""

    def __init__(self) -> None:
        self._share = 0.0

    @property
    def jobs_max(self) -> int | None:
        """The most jobs of a call; None: any number."""
        return max(1, int(log(2) / self._share)) if self._share > LEAST_SHARE else None

    def answered(self, jobs: int) -> None:
        """So many jobs were answered well."""
        if self._share:
            self._share *= (1 - 1 / MEMORY_JOBS) ** jobs

    def failed(self) -> None:
        """One job, or several of the same inputs, failed by itself."""
        self._share += (1 - self._share) / MEMORY_JOBS
