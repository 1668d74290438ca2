"""Which jobs are not worth a call any more. Pure.

A prediction costs a job at most the second half of its time. In the first half it is sent even if no call was fast
enough lately: only a call can show that they are fast enough again. Without that, a deadline below what calls took once would
be missed for ever, at an upstream that has nothing to do.
"""

from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.recent_calls import CallTime


def is_too_late(job: Job, now_ms: int, takes: CallTime) -> bool:
    """Whether the job's deadline has passed at `now_ms`, on Redis's clock, or is nearer than its call takes."""
    header = job.header
    left_ms = header.deadline - now_ms
    if left_ms <= 0:
        return True
    return 2 * left_ms < header.deadline - header.at and left_ms <= takes.of_job_ms(header.n, header.longest)
