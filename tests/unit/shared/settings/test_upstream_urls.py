"""Which protocol an upstream's URL names, and which dialects go with it."""

import pytest
from pydantic import ValidationError

from autobatch_shared.settings.choices import is_grpc, over_grpc
from autobatch_shared.settings.definitions import BatcherSettings

pytestmark = pytest.mark.usefixtures("nothing_is_set")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://triton", "grpc://triton:8001"),
        ("http://triton:8000/v2", "grpc://triton:8001"),
        ("https://triton", "grpcs://triton:8001"),
        ("grpc://triton:1", "grpc://triton:8001"),
        ("http://[::1]:8000", "grpc://[::1]:8001"),
    ],
)
def test_a_port_makes_a_url_one_of_grpc(url: str, expected: str) -> None:
    assert over_grpc(url, 8001) == expected
    assert is_grpc(expected)


def settings(**values: object) -> BatcherSettings:
    return BatcherSettings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


def test_a_batcher_calls_the_hosts_of_its_urls_at_the_port_of_grpc() -> None:
    made = settings(inference_url="http://a,http://b:9", upstream_grpc_port=8001)

    assert made.inference_urls == ("grpc://a:8001", "grpc://b:8001")


@pytest.mark.parametrize(
    "values",
    [
        {"inference_url": "http://a", "inference_dialect": "triton"},
        {"inference_url": "grpc://a", "inference_dialect": "tei"},
        {"inference_url": "http://a,grpc://b", "inference_dialect": "triton"},
        {"inference_url": "http://a", "inference_dialect": "openai", "upstream_grpc_port": 8001},
    ],
)
def test_a_dialect_that_its_url_cannot_carry_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="INFERENCE_URL"):
        settings(**values)


@pytest.mark.parametrize("url", ["grpc://user:secret@a", "grpc://a/path"])
def test_a_url_of_grpc_is_a_host_and_a_port(url: str) -> None:
    with pytest.raises(ValidationError, match="only a host and a port"):
        settings(inference_url=url)


def test_the_names_of_inputs_are_a_list() -> None:
    assert settings(upstream_input="input_ids, attention_mask").upstream_inputs == ("input_ids", "attention_mask")
