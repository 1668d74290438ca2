"""Requests for a vector of each token are refused where their answer would be too large, before anything is computed."""

import msgspec
import orjson
import pytest

from autobatch_proxy.http.errors import tei_error
from autobatch_proxy.requests.plan import Allowed, Plan
from autobatch_shared.contract.errors import AnswerTooLarge
from tests.unit.planning import RULES, plan_of

LIMIT_BYTES = 100_000_000
ALLOWED = Allowed(job_inputs_max=32, length_max=512 * RULES.ruler.per_token, dimension=384)


def planned(texts: list[str], path: str = "/embed_all", allowed: Allowed = ALLOWED) -> Plan:
    rules = msgspec.structs.replace(RULES, answer_bytes_max=LIMIT_BYTES)
    return plan_of(path, orjson.dumps({"inputs": texts}), rules, allowed)


def test_what_one_call_of_the_upstream_may_have_is_taken() -> None:
    """Of a small model, all that it takes: 32 texts of 512 tokens."""
    assert sum(job.n for job in planned(["word " * 1000] * 32).jobs) == 32


def test_a_longer_list_is_taken_where_its_answer_has_room_for_certain() -> None:
    assert sum(job.n for job in planned(["a text"] * 1000).jobs) == 1000


def test_a_list_that_would_lift_the_upstreams_limit_beyond_the_answers_is_refused() -> None:
    """39 kB, of which every character may be a token."""
    with pytest.raises(AnswerTooLarge, match=r"198 MB.*the limit is 100 MB") as caught:
        planned(["a b c d e f g h i j"] * 2048)
    assert tei_error(caught.value)[0] == 413


def test_of_a_large_model_one_call_may_be_too_large() -> None:
    large = Allowed(job_inputs_max=32, length_max=8192 * RULES.ruler.per_token, dimension=4096)
    with pytest.raises(AnswerTooLarge):
        planned(["word " * 8000] * 32, allowed=large)


def test_while_the_dimension_is_unknown_a_large_one_is_assumed() -> None:
    unknown = msgspec.structs.replace(ALLOWED, dimension=None)
    with pytest.raises(AnswerTooLarge):
        planned(["a text of many letters"] * 400, allowed=unknown)


def test_other_routes_answer_one_row_an_input() -> None:
    assert planned(["a b c d e f g h i j"] * 2048, path="/embed").jobs
