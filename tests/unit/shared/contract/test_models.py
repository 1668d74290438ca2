"""Which model a namespace has: named by everything that decides a vector, and moved only when none counts for it."""

from typing import Any

import msgspec
import pytest

from autobatch_shared.contract.cards import NO_CARD, Card, Identity
from autobatch_shared.contract.models import (
    ServedModel,
    decode_model,
    differ_in_rows_only,
    differences,
    encode_model,
    model_of,
    next_model,
)

CARD = Card(name="m", identity=Identity("m"))
OLD, NEW, OTHER = (ServedModel(name * 8, name, "{}") for name in "abc")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "other"},
        {"revision": "f00"},
        {"dtype": "float16"},
        {"kind": "sparse"},
        {"pooling": "cls"},
        {"input_tokens_max": 7},
        {"cuts_inputs": True},
        {"details": "{}"},
    ],
)
def test_whatever_decides_a_vector_is_in_the_fingerprint(changed: dict[str, Any]) -> None:
    assert changed.keys() <= set(Identity.__struct_fields__)
    other = Card(name="m", identity=msgspec.structs.replace(Identity("m"), **changed))

    assert model_of(other, 3).fingerprint != model_of(CARD, 3).fingerprint
    assert next(iter(changed)) in differences(model_of(other, 3), model_of(CARD, 3))
    assert not differ_in_rows_only(model_of(other, 4), model_of(CARD, 3))


def test_so_is_the_dimension_with_a_card_and_without() -> None:
    for card in (CARD, NO_CARD):
        assert len({model_of(card, dimension).fingerprint for dimension in (3, 4, None)}) == 3
    assert differences(model_of(CARD, 3), model_of(CARD, 4)) == "dimension 3 and not 4"
    assert differ_in_rows_only(model_of(CARD, 3), model_of(CARD, 4))
    assert not differ_in_rows_only(model_of(CARD, 3), model_of(CARD, 3))


def test_the_name_and_the_limits_are_not() -> None:
    assert (
        model_of(Card(name="n", identity=Identity("m"), inputs_max=3), 3).fingerprint == model_of(CARD, 3).fingerprint
    )


def test_a_record_comes_out_as_it_went_in() -> None:
    model = msgspec.structs.replace(model_of(CARD, 3), since=7)

    assert decode_model(encode_model(model)) == model
    assert decode_model(None) is None
    assert decode_model(b"[]") is None


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (["a", "a"], None),
        (["a", "b"], None),  # the last of the old ones is still there, or was a moment ago
        (["b", ""], "b"),  # one that has been down for long counts for nothing
        (["b", "b"], "b"),
        (["b", "c", "c"], "c"),
        (["c", "b"], "b"),  # the same for every batcher
        (["", ""], None),
        ([], None),
    ],
)
def test_the_model_moves_when_no_upstream_counts_for_it(counted: list[str], expected: str | None) -> None:
    found = next_model(OLD, [name * 8 for name in counted], [OLD, NEW, OTHER])

    assert (found and found.name) == expected


def test_only_what_one_knows_is_proposed() -> None:
    assert next_model(OLD, [NEW.fingerprint], [OTHER]) is None


def test_a_model_knows_its_dimension_unless_its_identity_is_none() -> None:
    assert (model_of(CARD, 3).dimension, model_of(NO_CARD, None).dimension) == (3, None)
    assert ServedModel("f", "m", "no JSON").dimension is None
