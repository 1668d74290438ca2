"""What a cached row is called, and what is taken for one: in doubt it is a miss."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_shared.contract.cache_names import IDENTITY, cache_name, model_identity
from autobatch_shared.contract.options import Options
from autobatch_shared.redis.result_cache import sealed, unsealed

# Few letters, so that hypothesis finds parts that run into each other; and half a surrogate pair.
TEXTS = st.text(alphabet='ab0:"\x00é\ud800', max_size=4)
OPTIONS = st.none() | st.builds(Options, prompt_name=st.sampled_from(["", "a", "b"]), dimensions=st.integers(1, 2))
QUESTIONS = st.tuples(
    TEXTS, TEXTS, OPTIONS, st.binary(max_size=4) | TEXTS.map(lambda text: text.encode(errors="replace"))
)
CHANGED = ("modelx", "/embedx", Options(normalize=False, dimensions=1), b'"text"x')
NAMES = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
INFO: dict[str, Any] = {
    "model_id": "all-MiniLM-L6-v2",
    "model_sha": None,
    "model_dtype": "float32",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_input_length": 256,
    "auto_truncate": True,
    "max_client_batch_size": 32,
    "version": "1.9.0",
}


def info(**other: object) -> bytes:
    return json.dumps(INFO | other).encode()


@given(QUESTIONS, QUESTIONS)
def test_two_questions_share_a_name_only_if_they_are_the_same(
    one: tuple[str, str, Options | None, bytes], other: tuple[str, str, Options | None, bytes]
) -> None:
    assert (one == other) == (cache_name(*one) == cache_name(*other))


@given(st.text(max_size=8), st.data())
def test_one_text_cut_at_other_places_is_another_name(text: str, data: st.DataObject) -> None:
    """The parts' borders count: model "a" with route "bc" is not model "ab" with route "c"."""

    def cut() -> tuple[str, str, Options | None, bytes]:
        first, second, third = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 3)))
        return text[:first], text[first:second], Options(prompt_name=text[second:third]), text[third:].encode()

    one, other = cut(), cut()
    assert (one == other) == (cache_name(*one) == cache_name(*other))


@pytest.mark.parametrize("place", range(4))
def test_every_part_of_a_question_is_in_its_name(place: int) -> None:
    question: list[Any] = ["model", "/embed", Options(normalize=False), b'"text"']
    other = [*question[:place], CHANGED[place], *question[place + 1 :]]
    assert cache_name(*question) != cache_name(*other)


@given(QUESTIONS)
def test_a_name_is_32_hex_digits(question: tuple[str, str, Options | None, bytes]) -> None:
    """So that it can be no other key's name, and nothing in it is a user's."""
    assert re.fullmatch("[0-9a-f]{32}", cache_name(*question))


def test_a_name_is_the_same_in_every_process_and_release() -> None:
    """Two workers must find each other's rows."""
    assert "82463f093878adbaed9ba79326ab57c8" == cache_name("model", "/embed", None, b'"text"')


def test_upstreams_that_agree_have_one_identity() -> None:
    """However each of them writes it, and whatever else differs."""
    shuffled = json.dumps(dict(reversed(INFO.items())) | {"max_client_batch_size": 8}, indent=2).encode()
    identity = model_identity([info(), shuffled])
    assert identity is not None
    assert {field: INFO[field] for field in IDENTITY} == json.loads(identity)
    assert identity == model_identity([shuffled])


@pytest.mark.parametrize("field", IDENTITY)
def test_what_changes_vectors_changes_the_identity(field: str) -> None:
    other = info(**{field: "other"})
    assert model_identity([other]) not in (None, model_identity([info()]))
    assert model_identity([info(), other]) is None


def test_an_identity_knows_the_pooling() -> None:
    assert model_identity([info()]) != model_identity([info(model_type={"embedding": {"pooling": "cls"}})])


def test_without_an_upstream_there_is_no_identity() -> None:
    assert model_identity([]) is None


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"model_id":',
        b'{"model_sha":"f00"}',
        b'{"model_id":""}',
        b'{"model_id":null}',
        b'{"model_id":7}',
        b'{"model_id":"\xff"}',
        b'{"model_id":"\\ud800"}',
        b'{"model_id":"a","max_input_length":' + b"9" * 5000 + b"}",
        b'{"model_id":"a","model_type":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_an_upstream_that_does_not_say_what_it_is_leaves_no_identity(odd: bytes) -> None:
    assert model_identity([odd]) is None
    assert model_identity([info(), odd]) is None


@given(st.dictionaries(st.sampled_from(IDENTITY), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_no_info_is_an_error(said: dict[str, object]) -> None:
    identity = model_identity([json.dumps(said).encode()])
    assert identity is None or isinstance(said["model_id"], str)


@given(NAMES, st.binary())
def test_what_is_sealed_comes_back(name: str, row: bytes) -> None:
    assert row == unsealed(name, sealed(name, row))


@given(NAMES, st.binary(), st.data())
def test_a_value_cut_short_or_altered_is_no_row(name: str, row: bytes, data: st.DataObject) -> None:
    value = sealed(name, row)
    assert unsealed(name, value[: data.draw(st.integers(0, len(value) - 1))]) is None
    place, flip = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(1, 255))
    assert unsealed(name, value[:place] + bytes([value[place] ^ flip]) + value[place + 1 :]) is None


@given(NAMES, NAMES, st.binary())
def test_a_value_under_another_name_is_no_row(name: str, other: str, row: bytes) -> None:
    assert (name == other) == (unsealed(other, sealed(name, row)) is not None)
