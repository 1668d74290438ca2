"""What happens to a request around its call: how a worker cuts it into jobs, and what its round trips take. Pure.

Jobs are cut as the worker's planner does, with which the tests compare this. The round trips that one request at a
time takes more than at the upstream itself are 0.7 ms here, shared among the steps by what each took of it; `make bench` measures 1.1 ms, with what the processes compute.
"""

from collections.abc import Sequence

PUSH_S = 0.0003  # from a request's arrival until its job can be claimed
WAKE_S = 0.0001  # until a waiting batcher knows of it
CLAIM_S = 0.00015
CALL_S = 0.0002  # of a call beside what the upstream computes
REPLY_S = 0.0003  # from the answer of a call until the client has its own

PADDING_MAX = 128  # units of padding in one job
BULK_JOBS_PER_BATCH = 4


def cut(lengths: Sequence[int], call_inputs_max: int, *, is_bulk: bool) -> list[list[int]]:
    """Return the lengths of each job's inputs: like lengths together, those of bulk requests in smaller jobs.

    Args:
        lengths: The length of each input of the request.
        call_inputs_max: The most inputs in one call.
        is_bulk: Whether the request waits for spare capacity.
    """
    inputs_max = max(1, call_inputs_max // BULK_JOBS_PER_BATCH) if is_bulk else call_inputs_max
    jobs: list[list[int]] = []
    job: list[int] = []
    for length in sorted(lengths):
        if job and (len(job) == inputs_max or length * len(job) - sum(job) > PADDING_MAX):
            jobs.append(job)
            job = []
        job.append(length)
    return [*jobs, job]
