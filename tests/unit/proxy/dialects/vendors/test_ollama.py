"""Ollama's embeddings: what their bodies ask for, and the bodies of their answers."""

import json
from typing import Any

import pytest

from autobatch_proxy.dialects.vendors.ollama import OLDER_OLLAMA_ERRORS, OLLAMA_ERRORS
from autobatch_proxy.requests.asked import AnswerFacts
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest
from autobatch_shared.contract.options import Options, unavailable
from tests.unit.planning import body_of, plan_of


def asked(path: str, **fields: Any) -> Any:
    return plan_of(path, json.dumps({"model": "all-minilm", **fields}).encode())


@pytest.mark.parametrize("given", ["one", ["one", "two"]])
def test_one_text_and_a_list_are_one_job(given: Any) -> None:
    plan = asked("/api/embed", input=given, keep_alive="5m", options={"num_ctx": 512})

    (job,) = plan.jobs
    assert (plan.route, job.kind, job.options) == ("/embed", "merge", Options(truncate=True))
    assert json.loads(job.body) == ([given] if isinstance(given, str) else given)


def test_options_are_kept() -> None:
    (job,) = asked("/api/embed", input="one", truncate=False, dimensions=64).jobs

    assert job.options == Options(truncate=False, dimensions=64)


def test_an_answer_has_its_time_and_tokens() -> None:
    plan = asked("/api/embed", input="one")
    assert plan.form is not None

    answer = json.loads(plan.form(b"[[0.5,1]]", AnswerFacts("the-model", 3, "id", ms=12)))

    assert answer == {
        "model": "the-model",
        "embeddings": [[0.5, 1]],
        "total_duration": 12_000_000,
        "load_duration": 0,
        "prompt_eval_count": 3,
    }


def test_the_older_route_answers_one_vector_as_the_model_computes_it() -> None:
    plan = asked("/api/embeddings", prompt="one")

    assert plan.jobs[0].options == Options(truncate=True, normalize=False)
    assert json.loads(body_of(plan, b"[[0.5,1]]")) == {"embedding": [0.5, 1]}


@pytest.mark.parametrize(("path", "name"), [("/api/embed", "input"), ("/api/embeddings", "prompt")])
def test_an_empty_input_is_refused(path: str, name: str) -> None:
    with pytest.raises(EmptyInput):
        asked(path, **{name: ""})
    with pytest.raises(InvalidRequest):
        asked(path, **{name: 1})
    with pytest.raises(InvalidRequest):
        asked(path)


def test_an_error_is_a_sentence() -> None:
    assert json.loads(OLLAMA_ERRORS.write(429, b'{"error":"busy","error_type":"Overloaded"}')) == {"error": "busy"}


def test_the_older_route_names_the_newer_one_where_the_upstream_has_only_vectors_of_length_1() -> None:
    """The option that is refused is none that the client wrote."""
    refused = json.dumps(
        {"error": f"{unavailable('normalize')}: the upstream has OpenAI's API", "error_type": "Validation"}
    )
    busy = b'{"error":"busy","error_type":"Overloaded"}'

    told = json.loads(OLDER_OLLAMA_ERRORS.write(422, refused.encode()))["error"]

    assert "use `/api/embed`" in told
    assert "normalize" not in told
    assert {"error": "busy"} == json.loads(OLDER_OLLAMA_ERRORS.write(429, busy))
