"""Every case: the proxy answers as the embedder behind it."""

import aiohttp
import pytest

from tests.parity.answers.checking import check
from tests.parity.cases.case import Facts
from tests.parity.cases.table import all_cases
from tests.parity.rig import ParityRig, facts_of

CASES = all_cases(Facts())


@pytest.mark.parametrize("name", CASES)
async def test_the_proxy_answers_as_its_upstream(rig: ParityRig, http: aiohttp.ClientSession, name: str) -> None:
    assert not (wrong := await check(http, rig, CASES[name])), wrong


def test_the_cases_are_made_for_the_model_that_is_served(rig: ParityRig) -> None:
    assert Facts() == facts_of(rig.upstream)
    assert len(CASES) > 120
