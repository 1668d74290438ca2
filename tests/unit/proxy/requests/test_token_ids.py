"""Token ids on OpenAI's routes: refused, the model's own, or decoded to the text that the client had."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autobatch_proxy.requests.plan import Plan
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_shared.contract.errors import ForeignTokenIds
from autobatch_shared.settings.loading import SettingsError
from tests.unit.planning import RULES, body_of, plan_of

TOKENS = (b"hello", b" world", "é".encode()[:1], "é".encode()[1:], b'"\n')
COUNT = 100_256  # of cl100k_base


def write_ranks(file: Path, count: int) -> str:
    """Write so many ranks of which the first are TOKENS."""
    fillers = (b"%d" % rank for rank in range(len(TOKENS), count))
    file.write_bytes(b"".join(b64encode(token) + b" %d\n" % rank for rank, token in enumerate((*TOKENS, *fillers))))
    return str(file)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_ranks(tmp_path_factory.mktemp("ranks") / "cl100k_base.tiktoken", COUNT)


def plan(inputs: Any, whose: str, ranks_file: str | None = None) -> Plan:
    rules = msgspec.structs.replace(RULES, text_of_ids=make_text_of_ids(whose, ranks_file))
    return plan_of("/v1/embeddings", json.dumps({"input": inputs}).encode(), rules)


@pytest.mark.parametrize("inputs", [[1], [[1, 2]], ["a", [1]], [[], [1]]])
def test_ids_are_refused_with_what_to_change(inputs: Any) -> None:
    with pytest.raises(ForeignTokenIds, match="check_embedding_ctx_length=False"):
        plan(inputs, "refuse")


@pytest.mark.parametrize("inputs", ["a", ["a", "b"]])
@pytest.mark.parametrize("whose", ["refuse", "model", "cl100k"])
def test_texts_are_texts_whatever_the_setting(inputs: Any, whose: str, ranks: str) -> None:
    planned = plan(inputs, whose, ranks)
    assert ([job.kind for job in planned.jobs], planned.largest_id) == (["merge"], None)


def test_the_models_own_go_on_as_they_are() -> None:
    planned = plan([[7, 8]], "model")
    assert ([job.body for job in planned.jobs], planned.largest_id) == ([b"[[7, 8]]"], 8)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([0, 1], "hello world"),
        ([[0], [1, 0]], ["hello", " worldhello"]),
        (["as it is", [0]], ["as it is", "hello"]),
        ([2, 3], "é"),
        ([0, 2], "hello\ufffd"),
        ([4], '"\n'),
    ],
)
def test_openais_are_the_text_that_they_stand_for(ids: Any, text: Any, ranks: str) -> None:
    """And share its call: the plan is that of the text."""
    expected = plan_of("/embed", json.dumps({"inputs": text}, ensure_ascii=False, separators=(",", ":")).encode())
    planned = plan(ids, "cl100k", ranks)
    assert (planned.jobs, planned.alone, planned.largest_id) == (expected.jobs, None, None)


def test_one_list_of_ids_is_answered_as_one_text(ranks: str) -> None:
    planned = plan([0, 1], "cl100k", ranks)
    assert len(json.loads(body_of(planned, b"[[1.5]]", 2))["data"]) == 1


def test_an_id_that_openai_does_not_have_is_refused(ranks: str) -> None:
    with pytest.raises(ForeignTokenIds, match=r"not of cl100k_base: 100256$"):
        plan([0, COUNT], "cl100k", ranks)


def test_without_the_ranks_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CL100K_FILE"):
        make_text_of_ids("cl100k", None)
    with pytest.raises(SettingsError, match="CL100K_FILE"):
        make_text_of_ids("cl100k", str(tmp_path / "missing"))


@pytest.mark.parametrize("content", [b"", b"{}", b"aGk= x\n", b"aGk=\n", b"!! 1\n", b"\xff\xfe 1\n"])
def test_another_file_is_no_file_of_ranks(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "ranks"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="CL100K_FILE"):
        make_text_of_ids("cl100k", str(file))


@pytest.mark.parametrize("count", [50_257, COUNT - 1, COUNT + 1])
def test_the_ranks_of_another_vocabulary_are_told_apart(count: int, tmp_path: Path) -> None:
    """They would give vectors of other texts."""
    with pytest.raises(SettingsError, match=f"not cl100k_base, which has 100256 ranks: {count} "):
        make_text_of_ids("cl100k", write_ranks(tmp_path / "ranks", count))
