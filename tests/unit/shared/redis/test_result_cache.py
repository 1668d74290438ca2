"""What a cached row is called, and what is taken for one: in doubt it is a miss."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_shared.contract.cache_names import cache_name
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
