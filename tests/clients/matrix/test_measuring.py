"""Measuring a client, keeping the results, and writing docs/clients.md: no failure is taken for a success."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.harness.recorder import Exchange, Recorder
from tests.clients.harness.truth import Truth
from tests.clients.matrix.document import document_of
from tests.clients.matrix.measuring import MODES, RESULTS, Client, ClientRow, ModeOutcome, form_of, keep, kept, measure

BODY = json.dumps({"model": "m", "input": ["a"], "user": None}).encode()
WORKED = {"one": ModeOutcome(1, 0), "crowd": ModeOutcome(100, 100), "list": ModeOutcome(1, 1)}


@pytest.fixture(autouse=True)
def _no_rows_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these clients belongs in the document."""
    monkeypatch.delenv(RESULTS, raising=False)


def vector_of(text: str) -> list[float]:
    """Return a vector that no other text has."""
    return [float(byte) for byte in hashlib.sha256(text.encode()).digest()]


class HashTruth(Truth):
    """An upstream that needs no process."""

    def _ask(self, inputs: Sequence[Any], options: dict[str, Any]) -> Any:  # noqa: ARG002
        return [vector_of(text) for text in inputs]


def measured(vectors: Callable[[Sequence[str]], Any], batch_size: int = 2, requests: int = 1) -> ClientRow:
    """Measure a client that asks with BODY and returns vectors of its texts."""
    recorder = Recorder()

    def embed(_base_url: str, _mode: str, texts: Sequence[str]) -> Any:
        for _ in range(requests):
            recorder.keep(Exchange("POST", "/v1/embeddings", BODY, 200, batch_size))
        return vectors(texts)

    return measure(Client("some", "Python", "1.0", embed), recorder, HashTruth(""))


def right(texts: Sequence[str]) -> Any:
    return [vector_of(text) for text in texts]


def broken(texts: Sequence[str]) -> Any:
    raise RuntimeError(f"no vectors\nof {len(texts)} texts")


def test_right_vectors_of_shared_calls_are_no_failure() -> None:
    row = measured(right, requests=3)
    assert row.failures == {}
    assert row.outcomes["crowd"] == ModeOutcome(requests=3, shared=3)
    assert row.sent == {"model": "m", "input": "list of texts", "user": None}
    assert row.path == "/v1/embeddings"


def test_vectors_in_another_order_are_a_failure() -> None:
    assert set(measured(lambda texts: right(texts)[::-1]).failures) == {"crowd", "list"}


def test_fewer_vectors_than_texts_are_a_failure() -> None:
    assert set(measured(lambda texts: right(texts)[:-1]).failures) == set(MODES)


def test_a_crowd_whose_requests_all_travelled_alone_is_a_failure() -> None:
    assert measured(right, batch_size=1).failures == {"crowd": "none of 1 requests shared an upstream call"}


def test_vectors_that_were_never_asked_for_are_a_failure() -> None:
    assert set(measured(right, requests=0).failures) == set(MODES)


def test_the_words_of_an_exception_are_kept_in_one_line() -> None:
    assert measured(broken).failures["list"] == "RuntimeError: no vectors of 100 texts"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("a", "text"),
        (["a"], "list of texts"),
        ([1], "token ids"),
        ([[1]], "list of token ids"),
        (None, "NoneType"),
    ],
)
def test_forms_of_input_have_names(value: Any, form: str) -> None:
    assert form_of(value) == form


def test_a_kept_row_comes_back_and_no_skip_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RESULTS, str(tmp_path))
    row = measured(right)
    keep(ClientRow("some", "Python", "1.0", skipped="in another environment"))
    assert kept(tmp_path) == [row]


def test_the_document_says_what_worked_what_failed_and_what_did_not_run() -> None:
    failed = WORKED | {"list": ModeOutcome(requests=1, shared=0, failure="Error: | no `list`")}
    alone = WORKED | {"crowd": ModeOutcome(requests=100, shared=90)}
    sent = {"model": "text-embedding-ada-002", "input": "text", "dimensions": None}
    document = document_of(
        [
            ClientRow("good", "Python", "1.2", "a model", "/v1/embeddings", sent, alone),
            ClientRow("bad", "Go", "0.1", "a model", "/embed", {"input": "list of texts"}, failed),
            ClientRow("absent", "Java", "3", skipped="java is not installed"),
        ]
    )
    lines = document.splitlines()
    good = "`/v1/embeddings`; text; dimensions `null` | works | works | 10% | works"
    assert f"| good | 1.2 | `text-embedding-ada-002` | {good} |" in lines
    assert "| bad | 0.1 | not sent | `/embed`; list of texts | works | works | 0% | **fails** |" in lines
    assert "- good (Python), bad (Go):\n  a model" in document
    assert "- bad (Go):\n  *list*: `Error: | no  list `" in document
    assert "- absent (Java):\n  java is not installed" in document


def test_the_document_has_no_section_of_nothing() -> None:
    assert "failed" not in document_of([ClientRow("good", "Python", "1.2", outcomes=WORKED)])
