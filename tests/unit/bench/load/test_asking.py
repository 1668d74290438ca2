"""How an upstream is asked directly: as the clients of its own API ask it."""

import struct

import orjson
import pytest

from autobatch_bench.checking.checks import vectors_in
from autobatch_bench.load.asking import Api, direct
from autobatch_bench.load.workloads import WorkloadKind, make

OF_TWO = b'{"model_name":"m","model_version":"1","outputs":[{"name":"embedding","datatype":"FP32","shape":[2,2]}]}'


@pytest.mark.parametrize(
    ("api", "path", "body"),
    [
        (Api.TEI, "/embed", {"inputs": ["a"]}),
        (Api.OPENAI, "/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "base64"}),
        (
            Api.TRITON,
            "/v2/models/m/infer",
            {
                "inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]}],
                "outputs": [{"name": "embedding", "parameters": {"binary_data": True}}],
            },
        ),
    ],
)
def test_each_api_has_its_own_words(api: Api, path: str, body: object) -> None:
    form = direct(api, "m")
    assert form.path == path
    assert orjson.loads(form.body_of(("a",))) == body


def test_a_workload_in_another_form_has_the_same_texts() -> None:
    short = make(WorkloadKind.SHORT)
    other = short.in_form(direct(Api.OPENAI, "m"))
    assert other.texts(5) == short.texts(5)
    assert short.texts(5)[0].encode() in other.request(5)
    assert other.request(5).startswith(b"POST /v1/embeddings ")


def test_an_answer_of_kserve_has_its_numbers_behind_the_json() -> None:
    assert vectors_in(OF_TWO + struct.pack("<4f", 1, 2, 3, 4)) == [(1, 2), (3, 4)]
