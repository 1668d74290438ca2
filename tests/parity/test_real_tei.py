"""All cases against a real text-embeddings-inference, if TEI_URL or TEI_START names one."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from tests.parity.answers.checking import TWIN_TOLERANCE, check_twin
from tests.parity.cases.random_cases import some
from tests.parity.cases.table import all_cases
from tests.parity.rig import ParityRig, facts_of, running
from tests.parity.server import given
from tests.parity.sweep import sweep

URL, START = os.environ.get("TEI_URL") or None, os.environ.get("TEI_START") or None

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        URL is None and START is None,
        reason='no real server: set TEI_URL=http://..., or TEI_START="command {port}" that starts one',
    ),
]


@pytest.fixture(scope="module")
def real() -> Iterator[ParityRig]:
    """That server, and a proxy in front of it."""
    with running(given(URL, START)) as started:
        yield started


def test_every_case_is_answered_as_by_a_real_tei(real: ParityRig) -> None:
    facts = facts_of(real.upstream)

    findings = asyncio.run(sweep(real, all_cases(facts).values(), facts.kind))

    assert {} == findings.differing
    assert "" == findings.stopped


def test_random_requests_are_answered_as_by_a_real_tei(real: ParityRig) -> None:
    findings = asyncio.run(sweep(real, some(1000, 2), facts_of(real.upstream).kind))

    assert {} == findings.differing
    assert "" == findings.stopped


@pytest.fixture(scope="module")
def twins() -> Iterator[ParityRig]:
    """That server, and the embedder that imitates it in the other tests."""
    with running(given(URL, START), is_twin=True) as started:
        yield started


def test_the_embedder_answers_as_a_real_tei(twins: ParityRig) -> None:
    facts = facts_of(twins.upstream)
    cases = [*all_cases(facts).values(), *some(1000, 3)]

    findings = asyncio.run(sweep(twins, cases, facts.kind, TWIN_TOLERANCE, check_twin))

    assert {} == findings.differing
    assert "" == findings.stopped
