"""What is said of upstreams, by what they answered."""

import json
from dataclasses import replace
from typing import Any

import pytest

from autobatch_console.preflight.connection_faults import ConnectionFault, fault_in_greeting
from autobatch_console.preflight.upstreams.upstream_diagnoses import judge_upstreams
from autobatch_console.preflight.upstreams.upstream_models import other_model_kept
from autobatch_console.preflight.upstreams.upstream_seen import GrpcModel, InquiryAnswer, UpstreamSeen
from autobatch_shared.contract.cards import Card, Identity
from autobatch_shared.contract.models import model_of
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode

URL = "http://gpu:8080"
NOT_FOUND = InquiryAnswer(404)
MODELS = {"object": "list", "data": [{"id": "bge-m3", "object": "model"}]}
INFO = {"model_id": "BAAI/bge-m3", "model_sha": None, "model_dtype": "float16", "max_client_batch_size": 32}


def said(value: Any) -> InquiryAnswer:
    return InquiryAnswer(200, "application/json", json.dumps(value).encode())


def tei(url: str = URL, dimension: int = 3, **info: Any) -> UpstreamSeen:
    answers = {"/info": said(INFO | info), "/health": InquiryAnswer(200), "/embed": said([[0.5] * dimension])}
    return UpstreamSeen(url, answers=answers)


def seen(
    answers: dict[str, InquiryAnswer], root: dict[str, InquiryAnswer] | None = None, url: str = URL
) -> UpstreamSeen:
    whole = {"/info": NOT_FOUND, "/health": NOT_FOUND, "/embed": NOT_FOUND} | answers
    return UpstreamSeen(url, answers=whole, root_answers=root or {})


def embedding(answer: InquiryAnswer) -> UpstreamSeen:
    """A healthy upstream with this answer to one text."""
    return UpstreamSeen(URL, answers={**tei().answers, "/embed": answer})


@pytest.mark.parametrize(
    ("model", "state", "words"),
    [
        (GrpcModel(200, is_ready=True, dimension=384), "right", "serves minilm, 384 dimensions, over gRPC"),
        (GrpcModel(200, is_ready=True), "right", "serves minilm, over gRPC"),
        (GrpcModel(200), "loading", "has the model minilm, which is not ready"),
        (GrpcModel(404), "wrong", "has no model minilm"),
        (GrpcModel(501), "wrong", "not the Open Inference Protocol"),
        (GrpcModel(401), "wrong", "answers 401"),
        (GrpcModel(503), "loading", "answers 503 at ModelMetadata"),
        (None, "loading", "does not say in time what it serves"),
    ],
)
def test_an_upstream_over_grpc_is_right_where_its_model_is_ready(
    model: GrpcModel | None, state: str, words: str
) -> None:
    seen = UpstreamSeen("grpc://triton:8001", model="minilm", is_grpc=True, grpc_model=model)
    (diagnosis,) = judge_upstreams([seen])

    assert (diagnosis.state, words in diagnosis.what) == (state, True), diagnosis


def test_an_upstream_over_grpc_needs_the_packages_for_it() -> None:
    (diagnosis,) = judge_upstreams([UpstreamSeen("grpc://t", model="minilm", is_grpc=True, missing="type `pip`")])

    assert (diagnosis.state, "type `pip`" in diagnosis.what) == ("wrong", True)


@pytest.mark.parametrize("fault", [None, ConnectionFault("refused", "")])
def test_an_upstream_over_grpc_needs_the_name_of_its_model(fault: ConnectionFault | None) -> None:
    """Also while it does not listen yet: the batcher would not start."""
    (diagnosis,) = judge_upstreams([UpstreamSeen("grpc://triton:8001", fault, is_grpc=True)])

    assert (diagnosis.state, diagnosis.setting) == ("wrong", "UPSTREAM_MODEL")
    assert "grpc://triton:8001" in diagnosis.what


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "give the port of its gRPC, or write http:// instead of grpc://"),
        (b"\x15\x03\x03\x00\x02", "write grpcs:// instead of grpc://"),
        (b"-ERR unknown command\r\n", "give the port of its gRPC"),
        (b"", "correct the port; write grpcs://"),
    ],
)
def test_what_answers_another_protocol_is_no_upstream_over_grpc(answer: bytes, remedy: str) -> None:
    """Or `up` would wait for a batcher that never reaches it."""
    seen = UpstreamSeen("grpc://triton:8001", fault_in_greeting(answer), model="minilm", is_grpc=True)

    (diagnosis,) = judge_upstreams([seen])

    assert diagnosis.state != "right"
    assert remedy in diagnosis.remedy


def test_an_upstream_that_serves_is_right_and_its_model_is_named() -> None:
    (diagnosis,) = judge_upstreams([tei()])
    assert (diagnosis.state, str(diagnosis)) == ("right", f"INFERENCE_URL: {URL} serves BAAI/bge-m3, 3 dimensions")


@pytest.mark.parametrize(
    ("model_type", "status"),
    [
        (None, 424),
        ({"classifier": {}}, 400),
        ({"reranker": {}}, 500),
        ({"embedding": {"pooling": "splade"}}, 0),
    ],
)
def test_a_model_without_vectors_is_right(model_type: object, status: int) -> None:
    answers = dict(tei(model_type=model_type).answers) | {"/embed": InquiryAnswer(status)}
    (diagnosis,) = judge_upstreams([UpstreamSeen(URL, answers=answers)])
    assert (diagnosis.state, diagnosis.what) == ("right", f"{URL} serves BAAI/bge-m3")


def test_a_server_of_the_api_without_info_is_right() -> None:
    answers = {"/health": InquiryAnswer(200), "/embed": said([[1, 2]])}
    (diagnosis,) = judge_upstreams([seen(answers)])
    assert (diagnosis.state, diagnosis.what) == ("right", f"{URL} serves a model that it does not name, 2 dimensions")


@pytest.mark.parametrize("root", ["/v1", ""])
def test_a_server_with_openais_api_is_right(root: str) -> None:
    """Infinity's is right below the URL."""
    vector = said({"data": [{"embedding": [0.5, 0.5], "index": 0}]})
    (diagnosis,) = judge_upstreams([seen({f"{root}/models": said(MODELS), f"{root}/embeddings": vector})])
    assert (diagnosis.state, diagnosis.what) == ("right", f"{URL} serves bge-m3, 2 dimensions, by OpenAI's API")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_a_server_that_has_only_openais_route_for_vectors_is_right(path: str) -> None:
    """As LitServe's, and those that people write around sentence-transformers."""
    vector = said({"data": [{"embedding": [0.5, 0.5], "index": 0}]})
    (diagnosis,) = judge_upstreams([seen({"/v1/embeddings": NOT_FOUND, "/embeddings": NOT_FOUND, path: vector})])
    whole = f"{URL} serves a model that it does not name, 2 dimensions, by OpenAI's API"
    assert (diagnosis.state, diagnosis.what) == ("right", whole)


@pytest.mark.parametrize(
    ("status", "state", "setting"),
    [
        (422, "wrong", "UPSTREAM_MODEL"),
        (401, "wrong", "INFERENCE_API_KEY"),
        (503, "loading", "INFERENCE_URL"),
        (500, "wrong", "INFERENCE_URL"),
    ],
)
def test_what_openais_only_route_answers_instead_says_what_to_change(status: int, state: str, setting: str) -> None:
    (diagnosis,) = judge_upstreams([seen({"/v1/embeddings": InquiryAnswer(status)})])
    assert (diagnosis.state, diagnosis.setting) == (state, setting)
    assert f"answers {status}" in diagnosis.what


@pytest.mark.parametrize(
    ("given", "setting", "what", "remedy"),
    [
        (
            seen({"/v1/models": said(MODELS), "/v1/embeddings": NOT_FOUND}),
            "UPSTREAM_MODEL",
            "answers 404 at /v1/embeddings; it lists the models bge-m3",
            "name one of them",
        ),
        (
            seen({}, {"/v1/models": said(MODELS), "/info": NOT_FOUND}, f"{URL}/v2"),
            "INFERENCE_URL",
            f"has no /v1/models (404), and {URL} has",
            "remove /v2 from the URL",
        ),
        (
            seen({}, {"/info": said(INFO)}, f"{URL}/embed"),
            "INFERENCE_URL",
            f"and {URL} has",
            "remove /embed from the URL",
        ),
        (seen({}), "INFERENCE_URL", "neither /info nor /embed", "text-embeddings-inference"),
        (seen({"/info": InquiryAnswer(401)}), "INFERENCE_API_KEY", "answers 401", "the key that this server asks for"),
        (seen({"/info": said(INFO), "/embed": InquiryAnswer(403)}), "INFERENCE_API_KEY", "answers 403", "key"),
        (
            seen({"/info": InquiryAnswer(404), "/embed": InquiryAnswer(404), "/v1/models": InquiryAnswer(401)}),
            "INFERENCE_API_KEY",
            "answers 401",
            "key",
        ),
        (seen({"/info": InquiryAnswer(200, "text/html", b"<p>")}), "INFERENCE_URL", "web page", "correct the address"),
        (
            seen({"/info": InquiryAnswer(200, "", b"\n<!DOCTYPE html>")}),
            "INFERENCE_URL",
            "web page",
            "correct the address",
        ),
        (
            seen({"/info": InquiryAnswer(308, location="https://gpu/")}),
            "INFERENCE_URL",
            "redirects to https://gpu/",
            "write",
        ),
        (
            seen({"/info": InquiryAnswer(400, "text/html", b"plain HTTP request was sent to HTTPS port")}),
            "INFERENCE_URL",
            "speaks TLS only",
            "https://",
        ),
        (
            seen({"/info": said(INFO), "/embed": said([[1]])}),
            "INFERENCE_URL",
            "no /health",
            "text-embeddings-inference",
        ),
        (embedding(NOT_FOUND), "INFERENCE_URL", "has no /embed (404)", "text-embeddings-inference"),
        (embedding(InquiryAnswer(422)), "INFERENCE_URL", "answers 422 at /embed", "its log"),
        (embedding(said([[]])), "INFERENCE_URL", "with an empty vector", "its log"),
        (embedding(said([[0.1, None]])), "INFERENCE_URL", "components that are not numbers (null)", "computes nothing"),
        (
            embedding(said({"embedding": [1, 2]})),
            "INFERENCE_URL",
            'with {"embedding": [1, 2]}, which is not',
            "its log",
        ),
        (embedding(said([[1], [2]])), "INFERENCE_URL", "with [[1], [2]], which is not one array", "its log"),
        (embedding(said([[True]])), "INFERENCE_URL", "with [[true]], which is not", "its log"),
        (embedding(InquiryAnswer(200, "", b"[[NaN]]")), "INFERENCE_URL", "with '[[NaN]]', which is no JSON", "its log"),
        (embedding(InquiryAnswer(200, "", b"\xef\xbb\xbf[[1]]")), "INFERENCE_URL", "with a byte order mark", "its log"),
        (seen(dict.fromkeys(["/info", "/health", "/embed"], InquiryAnswer(500))), "INFERENCE_URL", "500", "it fails"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_change(given: UpstreamSeen, setting: str, what: str, remedy: str) -> None:
    (diagnosis,) = judge_upstreams([given])
    assert diagnosis.state == "wrong"
    assert diagnosis.setting == setting
    assert what in diagnosis.what
    assert remedy in diagnosis.remedy


def test_the_setting_that_shows_the_key_is_named() -> None:
    refused = InquiryAnswer(401)
    (diagnosis,) = judge_upstreams([UpstreamSeen(URL, answers={"/info": refused}, key_setting="INFERENCE_HEADERS")])
    assert ("wrong", "INFERENCE_HEADERS") == (diagnosis.state, diagnosis.setting)


@pytest.mark.parametrize(
    ("url", "path", "error", "setting"),
    [
        (f"{URL}/openai/deployments/ada", "/embeddings", {"code": "DeploymentNotFound"}, "INFERENCE_URL"),
        (URL, "/v1/embeddings", {"code": "model_not_found"}, "UPSTREAM_MODEL"),
    ],
)
def test_what_a_server_says_of_a_path_that_it_has_not_is_said(
    url: str, path: str, error: dict[str, str], setting: str
) -> None:
    """Azure has no list of models, and its deployment is in the path."""
    words = InquiryAnswer(
        404, "application/json", json.dumps({"error": {**error, "message": "It does not exist"}}).encode()
    )
    other = InquiryAnswer(404, "application/json", b'{"error":{"code":"404","message":"Resource not found"}}')
    answers = {"/v1/embeddings": other, "/embeddings": other, path: words}

    (diagnosis,) = judge_upstreams([seen(answers, url=url)])

    assert ("wrong", setting) == (diagnosis.state, diagnosis.setting)
    assert f"{url} answers 404 at {path}: It does not exist" == diagnosis.what


@pytest.mark.parametrize(
    "given",
    [
        UpstreamSeen(URL, ConnectionFault("refused", "ECONNREFUSED")),
        UpstreamSeen(URL),
        UpstreamSeen(URL, answers=dict(tei().answers) | {"/health": InquiryAnswer(503)}),
        UpstreamSeen(URL, answers={"/info": said(INFO), "/health": InquiryAnswer(200)}),
        embedding(InquiryAnswer(429)),
        UpstreamSeen(
            URL, answers={"/info": InquiryAnswer(502), "/health": InquiryAnswer(502), "/embed": InquiryAnswer(502)}
        ),
    ],
    ids=["refuses", "silent once connected", "unhealthy", "no vector in time", "busy", "a gateway without its server"],
)
def test_one_that_may_still_load_is_waited_for(given: UpstreamSeen) -> None:
    (diagnosis,) = judge_upstreams([given])
    assert diagnosis.state == "loading"


@pytest.mark.parametrize(("model", "states"), [("", ["right", "risky"]), ("bge-m3", ["right"])])
def test_a_server_that_lists_several_models_is_risky_unless_one_is_named(model: str, states: list[str]) -> None:
    """The server chooses which one is first: Ollama by what was fetched last."""
    listed = said({"object": "list", "data": [{"id": "bge-m3"}, {"id": "other"}]})
    vector = said({"data": [{"index": 0, "embedding": [0.5]}]})
    answers = seen({"/v1/models": listed, "/v1/embeddings": vector}).answers

    diagnoses = judge_upstreams([UpstreamSeen(URL, answers=answers, model=model)])

    assert [each.state for each in diagnoses] == states
    assert [each.setting for each in diagnoses[1:]] == ["UPSTREAM_MODEL"] * (len(states) - 1)


@pytest.mark.parametrize(
    ("names", "states"), [(("other",), ["right"]), (("small", "bge-m3:latest"), ["right"]), (("small",), ["wrong"])]
)
def test_of_several_models_one_must_have_a_name_of_ours(names: tuple[str, ...], states: list[str]) -> None:
    listed = said({"object": "list", "data": [{"id": "bge-m3"}, {"id": "other"}]})
    vector = said({"data": [{"index": 0, "embedding": [0.5]}]})
    answers = seen({"/v1/models": listed, "/v1/embeddings": vector}).answers

    diagnoses = judge_upstreams([UpstreamSeen(URL, answers=answers, names=names)])

    assert states == [each.state for each in diagnoses]
    if states == ["wrong"]:
        assert "none is called small" in diagnoses[0].what
        assert "UPSTREAM_MODEL" == diagnoses[0].setting
    else:
        assert f"serves {'other' if 'other' in names else 'bge-m3'}," in diagnoses[0].what


def test_a_name_that_cannot_be_resolved_is_wrong_unless_another_replica_is_right() -> None:
    missing = UpstreamSeen("http://gpu-2", ConnectionFault("unresolved", "Name or service not known"))
    assert [diagnosis.state for diagnosis in judge_upstreams([missing])] == ["wrong"]
    assert [diagnosis.state for diagnosis in judge_upstreams([tei(), missing])] == ["right", "loading"]
    failing = embedding(InquiryAnswer(500))
    assert [diagnosis.state for diagnosis in judge_upstreams([tei(), failing])] == ["right", "loading"]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (tei("http://b", model_id="other"), "model_id other and not BAAI/bge-m3"),
        (tei("http://b", model_dtype="float32"), "model_dtype float32 and not float16"),
        (tei("http://b", dimension=4), "dimension 4 and not 3"),
    ],
)
def test_replicas_of_two_models_are_named_and_prevent_no_start(other: UpstreamSeen, difference: str) -> None:
    *_, diagnosis = judge_upstreams([tei(), other])
    assert (diagnosis.state, diagnosis.what) == (
        "risky",
        f"http://b serves another model than {URL}: {difference}",
    )


def test_replicas_that_say_different_amounts_are_one_model() -> None:
    silent = seen({"/health": InquiryAnswer(200), "/embed": said([[1, 2, 3]])}, url="http://b")
    assert [diagnosis.state for diagnosis in judge_upstreams([tei(), tei("http://c"), silent])] == ["right"] * 3


def test_an_upstreams_words_cannot_forge_lines() -> None:
    (diagnosis,) = judge_upstreams([tei(model_id="x\nright    REDIS_URL: \x1b[2Jfine" + "y" * 1000)])
    assert len(str(diagnosis).splitlines()) == 1
    assert "\x1b" not in str(diagnosis)
    assert len(str(diagnosis)) < 300


def fleet(name: str, *, is_healthy: bool = True, **identity: Any) -> Fleet:
    """A batcher with one upstream, and the model that its namespace has."""
    model = model_of(Card(name, identity=Identity(name, **identity)), 3)
    upstream = UpstreamStatus("http://old:8080", is_healthy, 32, 0, counts_for=model.fingerprint)
    return Fleet([encode(BatcherStatus(1, 0, [upstream], id="b"))], 1, model)


def listing(*models: str, chosen: str = "") -> UpstreamSeen:
    answers = {"/v1/models": said({"data": [{"id": model} for model in models]})}
    return replace(seen(answers), model=chosen)


@pytest.mark.parametrize(
    ("upstreams", "difference"),
    [
        ([tei(model_id="new")], "model_id new and not old"),
        ([tei(model_id="old", model_sha="b")], "model_sha b and not a"),
        ([tei(model_id="old", dimension=4)], "dimension 4 and not 3"),
        ([tei(model_id="new"), tei("http://b", model_id="newer")], "model_id new and not old"),
        ([listing("new")], "model_id new and not old"),
        ([listing("old", "new", chosen="new")], "model_id new and not old"),
    ],
)
def test_upstreams_of_another_model_than_live_batchers_serve_get_no_calls(
    upstreams: list[UpstreamSeen], difference: str
) -> None:
    (diagnosis,) = other_model_kept(upstreams, fleet("old", revision="a"), "test")

    assert (diagnosis.state, diagnosis.setting) == ("risky", "NAMESPACE")
    assert "batchers of `test` serve old (http://old:8080), and http://" in diagnosis.what
    assert diagnosis.what.endswith(f" serves another model: {difference}")


@pytest.mark.parametrize(
    ("upstreams", "beside"),
    [
        ([tei(model_id="old")], fleet("old")),
        ([tei(model_id="new"), tei(model_id="old")], fleet("old")),
        ([listing("new", "old")], fleet("old")),
        ([replace(tei(model_id="path/of/old"), model="old")], fleet("old")),
        ([tei(model_id="new")], fleet("old", is_healthy=False)),
        ([tei(model_id="new")], Fleet([], 1)),
        ([UpstreamSeen(URL, ConnectionFault("refused", ""))], fleet("old")),
    ],
    ids=["the same", "one is the same", "listed, too", "asked for by its name", "no live one", "none", "unknown"],
)
def test_upstreams_that_may_be_called_beside_live_batchers_are_right(
    upstreams: list[UpstreamSeen], beside: Fleet
) -> None:
    assert other_model_kept(upstreams, beside, "test") == []
