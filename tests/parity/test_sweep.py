"""An upstream that a case crashes: the case is named, the proxy must survive it, and the other cases continue."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tests.faults.upstream import DEADLY
from tests.parity.cases.case import post
from tests.parity.rig import ParityRig, running
from tests.parity.server import RestartableServer, UpstreamEndedError, given
from tests.parity.sweep import sweep
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(300)

COMMAND = f"cd {ROOT} && exec {sys.executable} -m tests.faults.upstream {{port}}"
CASES = [
    post("before", "/embed", {"inputs": ["a"]}),
    post("poison", "/embed", {"inputs": [f"something {DEADLY}"]}),
    post("after", "/embed", {"inputs": ["b"]}),
]


@pytest.fixture
def mortal() -> Iterator[ParityRig]:
    """An upstream that one word crashes, and a proxy in front of it."""
    with running(given(None, COMMAND)) as rig:
        yield rig


def test_a_case_that_ends_the_upstream_is_named_and_the_others_go_on(mortal: ParityRig) -> None:
    findings = asyncio.run(sweep(mortal, CASES))

    assert "" == findings.stopped
    assert 3 == findings.count
    assert {"/embed poison"} == findings.ending.keys()
    assert findings.ending["/embed poison"].startswith("502 ")

    assert findings.differing.get("/embed poison") is None  # it got an error, and the other requests their vectors
    assert not any("no answer" in said for said in findings.differing.values())


def test_without_a_command_the_sweep_stops_and_says_at_which_case(mortal: ParityRig) -> None:
    found_running = ParityRig(RestartableServer(mortal.upstream), mortal.proxy, mortal.started)

    findings = asyncio.run(sweep(found_running, CASES))

    assert 2 == findings.count
    assert findings.stopped.startswith("'/embed poison' ended the upstream: ")
    assert "TEI_START=" in findings.stopped


def test_a_command_that_fails_is_said_at_once() -> None:
    server = given(None, "exit 3 # {port}")
    assert server is not None
    with pytest.raises(UpstreamEndedError, match=r"ended with \[3, 3, 3\]"):
        server.start()


def test_a_command_needs_a_url_or_a_place_for_the_port() -> None:
    with pytest.raises(UpstreamEndedError, match="TEI_URL="):
        given(None, "start-it 8080")
    assert given(None, None) is None
    named = given("http://127.0.0.1:8080/", "start-it 8080")
    assert named is not None
    assert "http://127.0.0.1:8080" == named.url
