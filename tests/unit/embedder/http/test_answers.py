"""The bytes of answers, the similarity of vectors, and which requests need a key."""

from base64 import b64decode

import numpy as np
import orjson
import pytest

from autobatch_embedder.app import may_pass
from autobatch_embedder.errors import overloaded
from autobatch_embedder.http.answers import error_answer, openai_list
from autobatch_embedder.model.vectors import cosines

VECTORS = np.array([[0.1, -1.5], [1e-7, 3.0]], dtype=np.float32)


def test_openai_list_has_teis_keys_in_teis_order() -> None:
    assert openai_list(VECTORS, "m", 7, is_base64=False) == (
        b'{"object":"list","data":[{"object":"embedding","embedding":[0.1,-1.5],"index":0},'
        b'{"object":"embedding","embedding":[1e-7,3.0],"index":1}],'
        b'"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}'
    )


def test_base64_is_of_the_little_endian_floats() -> None:
    shown = orjson.loads(openai_list(VECTORS, "m", 7, is_base64=True))["data"]

    for vector, item in zip(VECTORS, shown, strict=True):
        np.testing.assert_array_equal(vector, np.frombuffer(b64decode(item["embedding"], validate=True), "<f4"))


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_openai_clients_get_flat_errors(path: str) -> None:
    answer = error_answer(overloaded(), path)

    assert (429, b'{"message":"Model is overloaded","code":429,"type":"Overloaded"}') == (answer.status, answer.body)
    assert error_answer(overloaded(), "/embed").body == b'{"error":"Model is overloaded","error_type":"Overloaded"}'


def test_cosines_compare_the_first_vector_with_the_others() -> None:
    vectors = np.array([[3, 4], [6, 8], [-30, -40], [-4, 3], [0, 0.5]], dtype=np.float32)

    compared = cosines(vectors)

    np.testing.assert_allclose(compared, [1, -1, 0, 0.8], atol=1e-7)
    assert compared.dtype == np.float32


@pytest.mark.parametrize(
    ("method", "path", "may"),
    [
        ("GET", "/health", True),
        ("HEAD", "/", True),
        ("GET", "/ping", True),
        ("GET", "/metrics", True),
        ("POST", "/", False),
        ("PUT", "/", False),
        ("GET", "/info", False),
        ("GET", "/embed", False),
        ("POST", "/v1/embeddings", False),
    ],
)
def test_without_the_key_only_health_and_metrics_are_open(
    method: str,
    path: str,
    may: bool,  # noqa: FBT001
) -> None:
    assert may == may_pass("secret", method, path, None)
    assert may_pass(None, method, path, None)
    assert may_pass("secret", method, path, "Bearer secret")


@pytest.mark.parametrize("given", ["", "secret", "bearer secret", "Bearer  secret", "Bearer Secret", "Bearer \udcff"])
def test_the_key_counts_byte_for_byte(given: str) -> None:
    assert not may_pass("secret", "GET", "/info", given)


def test_a_key_may_have_any_characters() -> None:
    assert may_pass("schlüssel", "GET", "/info", "Bearer schlüssel")
