"""One case from its request to the verdict."""

import aiohttp

from tests.parity.asking import ask, ask_pieces, told
from tests.parity.cases import Case
from tests.parity.comparing import TOLERANCE
from tests.parity.differences import faults_of
from tests.parity.rig import Rig


async def check(http: aiohttp.ClientSession, rig: Rig, case: Case, tolerance: float = TOLERANCE) -> str:
    """Send a case to both; return what is wrong and both answers, or nothing."""
    pieces = await ask_pieces(http, rig.upstream, case)
    upstream = await ask(http, rig.upstream, case)
    proxy = await ask(http, rig.proxy, case)
    faults = faults_of(case, upstream, proxy, pieces, tolerance)
    if not faults:
        return ""
    return "\n".join([*faults, "upstream, proxy:", told([upstream, proxy])])
