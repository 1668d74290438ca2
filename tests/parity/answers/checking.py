"""One case from its request to the result.

The proxy's place may also be taken by the embedder, which stands for a real server in the tests: a twin, which
may differ only in the model's name and in what only a real server has.
"""

import re
from collections.abc import Awaitable, Callable

import aiohttp

from tests.parity.answers.asking import SeenAnswer, ask, ask_pieces, told
from tests.parity.answers.comparing import TOLERANCE, compare
from tests.parity.answers.differences import faults_of
from tests.parity.cases.case import Case
from tests.parity.rig import ParityRig

OF_ONE_SERVER = ("docs", "metrics", "info", "two content types")
"""Differences of the proxy's for which the twin has reasons of its own."""
_MODEL = re.compile(rb'"model":"[^"]*"')
TWIN_TOLERANCE = 2e-4
"""Of two programs that compute the same model: the largest seen were 1e-4, of single tokens."""
CaseCheck = Callable[[aiohttp.ClientSession, ParityRig, Case, float], Awaitable[str]]


async def check(http: aiohttp.ClientSession, rig: ParityRig, case: Case, tolerance: float = TOLERANCE) -> str:
    """Send a case to both; return what is wrong and both answers, or the empty string."""
    pieces = await ask_pieces(http, rig.upstream, case)
    upstream = await ask(http, rig.upstream, case)
    proxy = await ask(http, rig.proxy, case)
    faults = faults_of(case, upstream, proxy, pieces, tolerance)
    if not faults:
        return ""
    return "\n".join([*faults, "upstream, proxy:", told([upstream, proxy])])


async def check_twin(http: aiohttp.ClientSession, rig: ParityRig, case: Case, tolerance: float = TWIN_TOLERANCE) -> str:
    """Send a case to both servers; return what differs and both answers, or the empty string."""
    if case.differs in OF_ONE_SERVER:
        return ""
    real, twin = await ask(http, rig.upstream, case), await ask(http, rig.proxy, case)
    faults = compare(_unnamed(real), _unnamed(twin), tolerance)
    return "\n".join([*faults, "real, twin:", told([real, twin])]) if faults else ""


def _unnamed(answer: SeenAnswer) -> SeenAnswer:
    """An answer without the model's name."""
    body = _MODEL.sub(b'"model":""', answer.body)
    if body == answer.body:
        return answer
    return SeenAnswer(answer.status, answer.headers, body).with_headers(content_length=str(len(body)))
