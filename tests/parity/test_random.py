"""Random requests: the proxy answers as the embedder behind it, whatever a client sends."""

import asyncio

import pytest

from tests.parity.cases.random_cases import some
from tests.parity.rig import ParityRig
from tests.parity.sweep import sweep

pytestmark = pytest.mark.timeout(300)

COUNT = 300
SEED = 1


def test_random_requests_are_answered_as_by_the_upstream(rig: ParityRig) -> None:
    cases = some(COUNT, SEED)

    findings = asyncio.run(sweep(rig, cases))

    assert {} == findings.differing
    assert {} == findings.ending
    assert findings.count == len(cases) > COUNT // 2
