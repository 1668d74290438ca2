"""OpenAI's API as the batcher speaks it: what it asks for, the order of the vectors, errors, limits and what is refused."""

import base64
import json
import math
from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.base import Condition, Get, TokensSaid, WantedModel
from autobatch_batcher.dialects.openai import OpenAI
from autobatch_batcher.dialects.verdict import Verdict
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX
from autobatch_shared.contract.errors import InvalidRequest, NotComputed, UpstreamProtocolError
from autobatch_shared.contract.options import Options
from tests.unit.batcher.dialects.contract import DialectContract, answer

OPENAI = OpenAI(name="mini")


def in_base64(vector: Sequence[float]) -> str:
    return base64.b64encode(array("f", vector)).decode()


def listed(rows: Sequence[object], **other: object) -> bytes:
    """How a server writes embeddings: here the last one first, which no server must but may."""
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    return json.dumps({"object": "list", "data": data[::-1], "model": "mini", **other}).encode()


class TestBase64(DialectContract):
    dialect = OPENAI

    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        return listed([in_base64(vector) for vector in vectors])


class TestFloats(DialectContract):
    """Of a server that ignores `encoding_format`."""

    dialect = OpenAI("", hint="type this")

    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        return listed(vectors)


# What it asks for.


def test_a_call_has_the_inputs_the_format_and_the_model() -> None:
    post = OPENAI.compose("/embed", [b'"a"', b'"b"'], Options(dimensions=7))

    asked = {"input": ["a", "b"], "encoding_format": "base64", "model": "mini", "dimensions": 7}
    assert (post.path, json.loads(post.body)) == ("/v1/embeddings", asked)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://host:8000", "/v1/embeddings"),
        ("https://host/api", "/v1/embeddings"),
        ("https://host/v1beta/openai", "/embeddings"),
        ("https://host/api/v3", "/embeddings"),
        ("https://host/openai/deployments/ada", "/embeddings"),
    ],
)
def test_a_url_says_where_the_api_begins(url: str, path: str) -> None:
    likeliest = OpenAI.for_upstream(url, WantedModel())[0]

    assert likeliest.compose("/embed", [b'"a"'], None).path == path
    assert likeliest.ask_card == (Get(path.replace("embeddings", "models")),)


def test_an_api_may_begin_right_below_the_url() -> None:
    """Infinity's does, without `--url-prefix`."""
    paths = [each.ask_card[0].path for each in OpenAI.for_upstream("http://host:7997", WantedModel("m"))]
    assert paths == ["/v1/models", "/models"]


@pytest.mark.parametrize("route", ["/embed_all", "/embed_sparse", "/predict"])
def test_what_openais_api_has_not_is_a_clear_error(route: str) -> None:
    with pytest.raises(NotComputed, match=f"`{route}` is not available: the upstream has OpenAI's API"):
        OPENAI.compose(route, [b'"a"'], None)


@pytest.mark.parametrize("route", ["/rerank", "/tokenize", "/decode", "/similarity", "/vertex"])
def test_a_route_of_tei_is_a_clear_error(route: str) -> None:
    with pytest.raises(NotComputed, match=route):
        OPENAI.pass_on(route, b"{}", "application/json")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (Options(normalize=False), "normalize"),
        (Options(truncate=False), "truncate"),
        (Options(truncation_direction="left"), "truncation_direction"),
        (Options(prompt_name="query"), "prompt_name"),
    ],
)
def test_an_option_that_it_has_not_is_named(options: Options, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"`{field}` is not available"):
        OPENAI.compose("/embed", [b'"a"'], options)


def test_a_text_that_may_be_cut_is_sent() -> None:
    """These servers cut a text that is too long, or refuse it: what fits is the same either way."""
    assert OPENAI.compose("/embed", [b'"a"'], Options(truncate=True)) == OPENAI.compose("/embed", [b'"a"'], None)


def test_what_travels_as_it_came_has_the_upstreams_name_for_the_model() -> None:
    body = b'{"input":"a","model":"text-embedding-3-small","of_another_server":1}'
    post = OPENAI.pass_on("/v1/embeddings", body, "application/json")

    assert json.loads(post.body) == {"input": "a", "model": "mini", "of_another_server": 1}
    assert OPENAI.pass_on("/v1/embeddings", b"[1]", None).body == b"[1]"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"inputs":["a"', "Failed to parse"),
        (b"{}", "missing required field `inputs`"),
        (b'{"inputs":{}}', r"Expected .* at `\$.inputs`"),
        (b'{"inputs":""}', "`inputs` cannot be empty"),
        (b'{"inputs":"a","inputs":"b"}', "a field twice"),
    ],
)
def test_what_is_wrong_with_a_body_for_tei_is_said(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        OPENAI.pass_on("/embed", body, "application/json")


# What it is answered.


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_base64_becomes_the_same_float32(vectors: list[list[float]]) -> None:
    """TEI writes what is no number as null."""
    rows = OPENAI.cut(answer(listed([in_base64(vector) for vector in vectors])), "/embed", len(vectors), ())

    for row, vector in zip(rows, vectors, strict=True):
        read = [math.nan if number is None else number for number in json.loads(row)]
        kept = [number if math.isfinite(number) else math.nan for number in vector]
        assert array("f", read).tobytes() == array("f", kept).tobytes()


def test_a_float32_is_printed_as_short_as_it_can_be() -> None:
    assert OPENAI.cut(answer(listed([in_base64([0.1, 1.5, -1e-7])])), "/embed", 1, ()) == [b"[0.1,1.5,-1e-7]"]


@pytest.mark.parametrize(
    "data",
    [
        [{"embedding": [1]}],
        [{"embedding": [1], "index": 1}],
        [{"embedding": [1], "index": -1}],
        [{"embedding": [1], "index": "0"}],
        [{"embedding": [1], "index": 0}, {"embedding": [1], "index": 0}],
        [{"index": 0}],
        [{"embedding": None, "index": 0}],
        [{"embedding": [], "index": 0}],
        [{"embedding": "", "index": 0}],
        [{"embedding": "AAAA", "index": 0}],
        [{"embedding": "AAA", "index": 0}],
        [{"embedding": "AAAA AAAA AAAA AAAA", "index": 0}],
        [{"embedding": [[1]], "index": 0}],
        [{"embedding": ["1"], "index": 0}],
        [{"embedding": [1], "index": 0}, {"embedding": [1, 2], "index": 1}],
        [{"embedding": "AAAAAA==", "index": 0}, {"embedding": "AAAAAAAAAAA=", "index": 1}],
        [{"embedding": "AAAAAA==", "index": 0}, {"embedding": [1], "index": 1}],
        [],
        {},
    ],
)
def test_what_is_not_one_vector_for_each_input_is_the_upstreams_fault(data: Any) -> None:
    with pytest.raises(UpstreamProtocolError):
        OPENAI.cut(answer(json.dumps({"data": data}).encode()), "/embed", max(len(data), 1), ())


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": "7"}, None),
        ({"prompt_tokens": True}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_tokens_of_a_call_are_its_usage(usage: object, tokens: int | None) -> None:
    assert OPENAI.counted(answer(listed([[1.0]], usage=usage))) == tokens


# What it says of itself.

MODELS = b'{"object":"list","data":[{"id":"mini","root":"/m","max_model_len":256,"created":1},{"id":"other"}]}'


def test_the_first_model_is_served_unless_one_is_configured() -> None:
    first, chosen, unlisted = (OpenAI(model=each).card(MODELS) for each in (None, "other", "mini:latest"))

    assert ("mini", 256) == (first.name, first.input_tokens_max)
    assert ("other", UNKNOWN_MAX) == (chosen.name, chosen.input_tokens_max)
    assert "mini:latest" == unlisted.name
    assert 3 == len({first.identity, chosen.identity, unlisted.identity})
    assert b'"model":"mini"' in OpenAI().knowing(first).compose("/embed", [b'"a"'], None).body


def test_the_namespaces_model_is_kept_while_it_is_listed() -> None:
    """Ollama lists the model that was fetched last first."""
    assert ["other", "mini"] == [OpenAI().card(MODELS, kept=kept).name for kept in ("other", "gone")]
    assert "mini" == OpenAI(model="mini").card(MODELS, kept="other").name


@pytest.mark.parametrize(
    ("names", "kept", "chosen"),
    [
        (("other",), "", "other"),
        (("other",), "mini", "other"),
        (("small", "gone", "mini"), "", "mini"),
        (("other:latest",), "", "other"),
        (("small",), "other", "other"),
    ],
)
def test_of_several_models_that_one_is_taken_which_has_a_name_of_ours(
    names: tuple[str, ...], kept: str, chosen: str
) -> None:
    assert chosen == OpenAI(names=names).card(MODELS, kept=kept).name


def test_several_models_of_which_none_has_a_name_of_ours_are_a_fault() -> None:
    """The first of them would be another model than the one that clients ask for."""
    with pytest.raises(UpstreamProtocolError, match="lists the models mini, other, and none is called small"):
        OpenAI(names=("small", "mine")).card(MODELS)
    assert "mini" == OpenAI(names=("small",)).card(b'{"data":[{"id":"mini"},{"id":"mini"}]}').name


@pytest.mark.parametrize(
    "said", [b"", b"{}", b"[]", b'{"data":[]}', b'{"data":[{}]}', b'{"data":[{"id":7}]}', b'{"object":"list"}']
)
def test_what_names_no_model_is_no_card(said: bytes) -> None:
    assert OpenAI().card(said) == NO_CARD


def test_a_configured_model_is_known_without_a_list() -> None:
    card = OpenAI(model="mini").card(b"")
    assert card.name == "mini"
    assert card.identity is not None


def test_when_a_server_started_is_no_part_of_its_identity() -> None:
    assert OpenAI().card(MODELS).identity == OpenAI().card(MODELS.replace(b'"created":1', b'"created":2')).identity


@pytest.mark.parametrize(("status", "is_well"), [(200, True), (404, True), (401, True), (503, False), (500, False)])
def test_a_server_without_a_list_is_well_while_it_answers(status: int, *, is_well: bool) -> None:
    assert OPENAI.is_well(status, b"") is is_well


# What it says of failures.


@pytest.mark.parametrize(
    ("status", "error", "error_type"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, "insufficient_quota"),
        (429, {"type": "insufficient_quota", "code": None}, "insufficient_quota"),
        (429, {"type": "requests", "code": "billing_not_active"}, "billing_not_active"),
        (402, {"code": 402}, "Validation"),
    ],
)
def test_an_account_without_money_is_told_to_all_at_once(
    status: int, error: dict[str, object], error_type: str
) -> None:
    """Waiting for it would keep every client until its deadline."""
    said = {"error": {"message": "You exceeded your current quota, please check your plan", **error}}
    understood = OPENAI.understood(answer(json.dumps(said).encode(), status))

    assert {"error": said["error"]["message"], "error_type": error_type} == json.loads(understood.body)
    assert OPENAI.understood(understood) == understood
    for jobs, is_verbatim in ((1, False), (8, False), (1, True)):
        assert OPENAI.judge(understood, jobs, is_verbatim=is_verbatim, may_retry=True) is Verdict.TELL


@pytest.mark.parametrize(
    "message",
    [
        "input (992 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
        "input is too large to process. increase the physical batch size",
        "input is too large to process, please increase the physical batch size",
        "input (9000 tokens) is larger than the max context size (8192 tokens). skipping",
    ],
)
def test_an_input_that_is_too_long_for_llama_cpp_is_refused_and_is_no_outage(message: str) -> None:
    """It says so with 500, as if it had failed itself."""
    said = json.dumps({"error": {"code": 500, "message": message, "type": "server_error"}}).encode()
    understood = OPENAI.understood(answer(said, 500))

    assert (400, {"error": message, "error_type": "Validation"}) == (understood.status, json.loads(understood.body))
    assert OPENAI.understood(understood) == understood
    assert OPENAI.condition(understood) is Condition.WELL
    assert OPENAI.judge(understood, 8, is_verbatim=False, may_retry=True) is Verdict.SPLIT
    assert (None, None) == (OPENAI.inputs_max_said(understood, 10_000), OPENAI.tokens_said(understood))


def test_any_other_500_is_one() -> None:
    said = json.dumps({"error": {"code": 500, "message": "model is sleeping", "type": "server_error"}}).encode()
    assert OPENAI.understood(answer(said, 500)).status == 500


@pytest.mark.parametrize("code", ["rate_limit_exceeded", None, 429, ["insufficient_quota"]])
def test_any_other_429_is_a_matter_of_time(code: object) -> None:
    understood = OPENAI.understood(answer(json.dumps({"error": {"message": "Slow down", "code": code}}).encode(), 429))
    assert OPENAI.judge(understood, 1, is_verbatim=False, may_retry=True) is Verdict.GIVE_UP
    assert not understood.is_final


@pytest.mark.parametrize(
    ("status", "said", "error", "error_type"),
    [
        (400, {"error": {"message": "too long", "type": "invalid_request_error"}}, "too long", "Validation"),
        (400, {"object": "error", "message": "too long", "code": 400}, "too long", "Validation"),
        (422, {"detail": [{"loc": ["body", "input"], "msg": "Field required", "input": "x"}]}, "input: Field required", "Validation"),
        (413, {"error": "batch size 33", "error_type": "Validation"}, "batch size 33", "Validation"),
        (429, {"error": {"message": "slow down"}}, "slow down", "Overloaded"),
        (500, {"detail": "boom"}, "boom", "Backend"),
        (503, {"error": {"message": "Loading model", "code": 503}}, "Loading model", "Unhealthy"),
    ],
)  # fmt: skip
def test_an_error_is_understood_as_tei_would_write_it(status: int, said: object, error: str, error_type: str) -> None:
    understood = OPENAI.understood(answer(json.dumps(said).encode(), status))

    assert (understood.status, json.loads(understood.body)) == (status, {"error": error, "error_type": error_type})


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"error": {"message": "no credits", "code": 402}}, 402),
        ({"error": {"message": "upstream", "code": "503"}}, 503),
        ({"error": {"message": "odd", "code": "odd"}}, 500),
        ({"error": None, "data": []}, 200),
    ],
)
def test_an_error_with_status_200_is_an_error(said: object, status: int) -> None:
    assert OPENAI.understood(answer(json.dumps(said).encode())).status == status


def test_a_text_about_errors_is_an_answer() -> None:
    assert OPENAI.understood(answer(listed([[1.0]], model='a "error"'))).status == 200


@pytest.mark.parametrize(
    ("text", "inputs", "said"),
    [
        ("Too many inputs for model None. The max number of inputs is 16. ", 32, 16),
        ("<400> Value error, batch size is invalid, it should not be larger than 10.: input.contents", 32, 10),
        ("input: List should have at most 2048 items after validation, not 4096", 4096, 2048),
        ("batch size 33 > maximum allowed batch size 32", 33, 32),
        ("at most 100 requests can be in one batch", 300, 100),
        ("Invalid 'input': array too long. Expected an array with maximum length 2048, but got 3000", 3000, 2048),
        ("'$.input' is invalid. Please check the API reference.", 3000, None),
        ("input is too large to process. increase the physical batch size", 8, None),
        ("This model's maximum context length is 8192 tokens, however you requested 9000 tokens", 9500, None),
        ("inputs[3]: too many tokens", 32, None),
    ],
)
def test_the_longest_list_is_learnt_from_a_refusal(text: str, inputs: int, said: int | None) -> None:
    refused = OPENAI.understood(answer(json.dumps({"error": {"message": text}}).encode(), 400))

    assert OPENAI.inputs_max_said(refused, inputs) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Requested 453357 tokens, max 300000 tokens per request", TokensSaid(300_000, 453_357)),
        (
            (
                "Request to model 'voyage-3-large' failed. The max allowed tokens per submitted batch is 120000. "
                "Your batch has 124302 tokens after truncation. Please lower the number of tokens in the batch."
            ),
            TokensSaid(120_000, 124_302),
        ),
        ("Too many tokens in batch. Max is 16384 got 17555", TokensSaid(16_384, 17_555)),
        ("Too many tokens overall, split into more batches.", TokensSaid()),
        ("This model's maximum context length is 8192 tokens, however you requested 9000 tokens", None),
        ("input (992 tokens) is too large to process. increase the physical batch size", None),
        ("The max number of inputs is 16", None),
    ],
)
def test_the_most_tokens_of_all_inputs_are_learnt_from_a_refusal(text: str, said: TokensSaid | None) -> None:
    refused = OPENAI.understood(answer(json.dumps({"error": {"message": text}}).encode(), 400))

    assert OPENAI.tokens_said(refused) == said


@pytest.mark.parametrize(
    ("status", "condition"), [(200, Condition.WELL), (400, Condition.WELL), (500, Condition.FAILING)]
)
def test_only_its_own_failures_count_against_it(status: int, condition: Condition) -> None:
    assert OPENAI.condition(answer(b"", status)) is condition
    assert (OPENAI.judge(answer(b"", status), 2, is_verbatim=False, may_retry=False) is Verdict.CUT) == (status == 200)
