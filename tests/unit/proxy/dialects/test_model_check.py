"""MODEL_CHECK=served: which names are the served model's."""

import pytest

from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.openai import read_openai
from autobatch_shared.contract.errors import UnknownModel

SERVED = "sentence-transformers/all-MiniLM-L6-v2"


def check(body: bytes, *aliases: str, served: str = SERVED) -> None:
    ModelCheck(aliases).check(read_openai(body), body, served)


@pytest.mark.parametrize("named", [SERVED, "all-MiniLM-L6-v2", "embeddings"])
def test_the_served_models_names_are_taken(named: str) -> None:
    check(b'{"input":"a","model":"%b"}' % named.encode(), "embeddings")


@pytest.mark.parametrize("named", ["text-embedding-3-small", "", "ALL-MINILM-L6-V2", "sentence-transformers"])
def test_another_name_is_refused_in_openais_words(named: str) -> None:
    with pytest.raises(UnknownModel, match=rf"^The model `{named}` does not exist"):
        check(b'{"input":"a","model":"%b"}' % named.encode())


def test_so_is_one_in_a_body_that_is_not_taken_apart() -> None:
    """It would reach the upstream, which takes any name."""
    for body in (b'{"input":"a","model":"other"} x', b'{"input":[],"model":"other","x":"\\ud800"}', b'["a","other"]'):
        with pytest.raises(UnknownModel):
            check(body)


@pytest.mark.parametrize(
    "body", [b'{"input":"a"}', b'{"input":"a","model":null}', b'{"input":', b'{"model":1}', b"\xff"]
)
def test_a_body_that_names_none_is_not_judged(body: bytes) -> None:
    check(body)


def test_nothing_is_refused_while_the_models_name_is_unknown() -> None:
    check(b'{"input":"a","model":"other"}', served="")
