"""All cases in turn, with an upstream that some of them crash.

One case is in flight at a time, so the case after which the upstream does not answer has crashed it. There is no answer
to compare with. Instead, the proxy must answer with an error, in time; other requests must get vectors, or 503 while
the upstream is down, and vectors once it is back.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from tests.parity.answers.asking import SeenAnswer, ask, open_client
from tests.parity.answers.checking import CaseCheck, check
from tests.parity.answers.comparing import TOLERANCE, compare_bodies
from tests.parity.cases.case import Case, Kind, post
from tests.parity.rig import ParityRig
from tests.parity.server import RestartableServer, UpstreamEndedError

NEIGHBOURS = 8
LOOK_EVERY_S = 0.1
_NULLS = re.compile(rb"\[\[null(,null)*\]\]")  # the upstream's own answer if its pass had other inputs


@dataclass(slots=True)
class Findings:
    """The outcome of the cases.

    Attributes:
        count: How many were sent.
        differing: By name, what is wrong with the proxy's answer, and both answers.
        ending: By name, what the proxy answered to those that crashed the upstream.
        stopped: Why the other cases were not sent.
    """

    count: int = 0
    differing: dict[str, str] = field(default_factory=dict)
    ending: dict[str, str] = field(default_factory=dict)
    stopped: str = ""


async def sweep(
    rig: ParityRig,
    cases: Iterable[Case],
    kind: Kind = "embedding",
    tolerance: float = TOLERANCE,
    verdict: CaseCheck = check,
) -> Findings:
    """Send every case to both, and continue if the upstream has crashed and can be restarted.

    Args:
        rig: The two servers.
        cases: In this order.
        kind: The model's task.
        tolerance: The largest difference of two floats.
        verdict: Returns what is wrong with the answers to a case.
    """
    findings = Findings()
    neighbours = neighbours_of(kind)
    async with open_client() as http:
        expected = [await ask(http, rig.upstream, case) for case in neighbours]
        for case in cases:
            findings.count += 1
            try:
                said = await verdict(http, rig, case, tolerance)
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"no answer: {error!r}"
            if await asyncio.to_thread(rig.server.is_healthy):
                if said:
                    findings.differing[case.id] = said
                continue
            try:
                await asyncio.to_thread(rig.recover)
                others = dict(zip(neighbours, expected, strict=True))
                said, answered = await outlive(http, rig, case, others, tolerance)
            except UpstreamEndedError as error:
                findings.ending[case.id] = "not asked"
                findings.stopped = f"{case.id!r} ended the upstream: {error}"
                break
            findings.ending[case.id] = answered
            if said:
                findings.differing[case.id] = said
    return findings


def neighbours_of(kind: Kind) -> list[Case]:
    """Return the requests that are sent at the same time as a case that crashes the upstream."""
    path = "/embed" if kind == "embedding" else "/tokenize"
    return [post(f"neighbour {n}", path, {"inputs": [f"a neighbour, number {n}"]}) for n in range(NEIGHBOURS)]


async def outlive(
    http: aiohttp.ClientSession, rig: ParityRig, case: Case, neighbours: Mapping[Case, SeenAnswer], tolerance: float
) -> tuple[str, str]:
    """Send a case to the proxy, with other requests, while the upstream is restarted each time it crashes.

    Returns:
        What is wrong, and what the proxy answered to the case.

    Raises:
        UpstreamEndedError: The upstream cannot be started.
    """
    is_over = asyncio.Event()
    keeping = asyncio.create_task(_keep(rig.server, is_over))
    try:
        asked = (ask(http, rig.proxy, each) for each in (case, *neighbours))
        answer, *others = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        is_over.set()
        await keeping
    faults = []
    if isinstance(answer, BaseException):
        answered = f"no answer: {answer!r}"
        faults.append(answered)
    else:
        answered = f"{answer.status} {answer.body[:160]!r}"
        if answer.status < 400 and not _NULLS.fullmatch(answer.body):
            faults.append(f"no error, but {answered}")
    await asyncio.to_thread(rig.recover)
    for (neighbour, expected), got in zip(neighbours.items(), others, strict=True):
        if isinstance(got, SeenAnswer) and got.status == 503:  # the upstream was down, and is back
            got = await ask(http, rig.proxy, neighbour)  # noqa: PLW2901
        if isinstance(got, BaseException):
            faults.append(f"a neighbour got no answer: {got!r}")
        elif got.status != 200 or compare_bodies(expected, got, tolerance):
            faults.append(f"a neighbour got {got.status} {got.body[:160]!r}")
    return "\n".join(faults), answered


async def _keep(server: RestartableServer, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        if not await asyncio.to_thread(server.is_healthy):
            await asyncio.to_thread(server.start)
        await asyncio.sleep(LOOK_EVERY_S)
