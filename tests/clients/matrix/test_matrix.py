"""Every SDK with its own defaults, in every mode. See docs/clients.md, which these tests make."""

from collections.abc import Callable

import pytest

from tests.clients.harness.recorder import Recorder
from tests.clients.harness.truth import Truth
from tests.clients.matrix.measuring import MODES, Client, measure
from tests.clients.matrix.python_clients import WORKING, langchain_openai, langchain_openai_with_cl100k


@pytest.mark.parametrize("build", WORKING, ids=lambda build: build.__name__)
def test_a_client_works_and_shares_calls(build: Callable[[], Client], recorder: Recorder, truth: Truth) -> None:
    assert measure(build(), recorder, truth).failures == {}


def test_ids_of_openais_vocabulary_are_refused_with_what_to_change(recorder: Recorder, truth: Truth) -> None:
    """Taken for ids of the model's own vocabulary, they would give vectors of other words."""
    row = measure(langchain_openai(), recorder, truth)
    assert row.sent["input"] == "list of token ids"
    for mode in MODES:
        assert "BadRequestError" in row.failures[mode]
        assert "check_embedding_ctx_length" in row.failures[mode]


def test_ids_of_openais_vocabulary_are_read_by_a_server_that_has_it(cl100k_recorder: Recorder, truth: Truth) -> None:
    row = measure(langchain_openai_with_cl100k(), cl100k_recorder, truth)
    assert row.sent["input"] == "list of token ids"
    assert row.failures == {}
