"""The SDKs of other languages, each with its own defaults. See docs/clients.md, which these tests make."""

from typing import Any

import pytest

from tests.clients.conftest import OFFLINE
from tests.clients.harness.recorder import Recorder
from tests.clients.harness.truth import Truth
from tests.clients.matrix.languages import not_asked, why_not
from tests.clients.matrix.measuring import ClientRow, keep, measure
from tests.clients.matrix.program_clients import PROGRAMS, ProgramFailed, SdkProgram

pytestmark = pytest.mark.timeout(1200)  # the first of a language waits for its build


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: Any) -> SdkProgram:
    """A program that can run on this machine."""
    chosen: SdkProgram = request.param
    if reason := not_asked(chosen.language):
        pytest.skip(reason)
    if reason := why_not(chosen.language, request.config.stash[OFFLINE].environment):
        keep(ClientRow(chosen.name, chosen.language, chosen.version, skipped=reason))
        pytest.skip(reason)
    return chosen


def test_a_client_works_and_shares_calls(program: SdkProgram, recorder: Recorder, truth: Truth) -> None:
    assert measure(program.client, recorder, truth).failures == {}


def test_a_refusal_is_the_sdks_own_error_with_the_servers_words(program: SdkProgram, recorder: Recorder) -> None:
    text, status, words = ("a" * 3_000_000, 413, "length limit exceeded") if program.too_much else ("", 400, "empty")
    with pytest.raises(ProgramFailed) as caught:
        program.embed(f"{recorder.url}{program.path}", "one", [text])
    assert caught.value.refused["status"] == status, str(caught.value)
    assert words in caught.value.refused["message"]
    assert {exchange.status for exchange in recorder.take()} == {status}
