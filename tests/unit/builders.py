"""Short constructors for several test files."""

import json
from typing import Literal

from autobatch_batcher.jobs import Job
from autobatch_shared.contract.frames import JobHeader
from autobatch_shared.contract.options import Options

UNNORMALIZED = Options(normalize=False)
Kind = Literal["merge", "solo", "verbatim"]
FAR_MS = 10**12


def make_job(
    name: str,
    *,
    n: int = 1,
    at: int = 0,
    deadline: int = FAR_MS,
    route: str = "/embed",
    kind: Kind = "merge",
    options: Options | None = None,
    body: bytes | None = None,
    is_suspect: bool = False,
    longest: int = 0,
    claimed_ms: int | None = None,
    is_in_tokens: bool = False,
    request: str = "",
    trace: dict[str, str] | None = None,
) -> Job:
    """Return a job named `w.<name>`, with inputs of its own unless a body is given.

    It was claimed when Redis's clock and the monotonic one showed the same. It is bulk work if it says when it was claimed.
    """
    header = JobHeader(
        f"w.{name}",
        n,
        at,
        deadline,
        route,
        kind,
        options,
        longest=longest,
        is_in_tokens=is_in_tokens,
        request=request,
        trace=trace or {},
    )
    if body is None:
        body = json.dumps([f"{name} {place}" for place in range(n)]).encode()
    return Job(header, body, is_suspect, deadline / 1000, claimed_ms)


def names(jobs: tuple[Job, ...] | list[Job]) -> list[str]:
    """Return the names that were given to `make_job`."""
    return [job.header.id.removeprefix("w.") for job in jobs]
