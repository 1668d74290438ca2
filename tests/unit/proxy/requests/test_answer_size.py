"""Requests for a vector of each token are refused where their answer would be too large, before anything is computed."""

from typing import Any

import msgspec
import orjson
import pytest

from autobatch_proxy.http.answers import AnswerNotes, answer
from autobatch_proxy.http.errors import tei_error
from autobatch_proxy.requests.plan import UNLIMITED, Allowed, Plan
from autobatch_shared.contract.errors import AnswerTooLarge
from autobatch_shared.contract.frames import ReplyHeader
from tests.unit.planning import RULES, plan_of

LIMIT_BYTES = 100_000_000
ALLOWED = Allowed(job_inputs_max=32, length_max=512 * RULES.ruler.per_token, dimension=384)


def planned(texts: list[Any], path: str = "/embed_all", allowed: Allowed = ALLOWED) -> Plan:
    rules = msgspec.structs.replace(RULES, answer_bytes_max=LIMIT_BYTES)
    return plan_of(path, orjson.dumps({"inputs": texts}), rules, allowed)


@pytest.mark.parametrize("count", [32, 33, 65])
def test_full_texts_are_taken_on_both_sides_of_what_one_call_takes(count: int) -> None:
    """250 words each: of 33, an answer of 39 MB."""
    assert sum(job.n for job in planned(["word " * 250] * count).jobs) == count


def test_a_text_counts_as_much_as_the_upstream_takes_of_it() -> None:
    """512 tokens, of one word or of thousands."""
    for text in ("word" * 5000, "a " * 10_000):
        assert sum(job.n for job in planned([text] * 32).jobs) == 32


@pytest.mark.parametrize("texts", [["a b c d e f g h i j"] * 2048, [[7] * 10] * 2048, ["word " * 250] * 100])
def test_a_list_whose_answer_would_be_too_large_is_refused(texts: list[Any]) -> None:
    """The first is 39 kB; its words are more than a quarter of its characters."""
    with pytest.raises(AnswerTooLarge, match=r"1\d\d MB.*the limit is 100 MB") as caught:
        planned(texts)
    assert tei_error(caught.value)[0] == 413


def test_many_short_texts_are_taken() -> None:
    assert sum(job.n for job in planned(["a few short words"] * 2048).jobs) == 2048


def test_of_a_large_model_one_call_may_be_too_large() -> None:
    large = Allowed(job_inputs_max=32, length_max=8192 * RULES.ruler.per_token, dimension=4096)
    with pytest.raises(AnswerTooLarge):
        planned(["word " * 8000] * 32, allowed=large)


def test_while_the_dimension_is_unknown_a_large_one_is_assumed() -> None:
    unknown = msgspec.structs.replace(ALLOWED, dimension=None)
    with pytest.raises(AnswerTooLarge):
        planned(["a text of many letters"] * 1200, allowed=unknown)


def test_other_routes_answer_one_row_an_input() -> None:
    plan = planned(["a b c d e f g h i j"] * 2048, path="/embed")
    assert plan.jobs
    assert plan.answer_bytes_max == UNLIMITED


def test_rows_of_the_cache_count_in_a_joined_answer() -> None:
    plan = msgspec.structs.replace(planned(["a"] * 33), answer_bytes_max=13)
    replies = [(ReplyHeader("", 200), b"[[[1]]]")] * len(plan.jobs)
    assert answer(plan, replies, AnswerNotes(b"", 0, ""), None).status == 413
