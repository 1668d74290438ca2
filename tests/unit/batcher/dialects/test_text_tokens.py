"""Texts to a model server that takes token ids only: a tokenizer makes them."""

from typing import Any, cast

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from autobatch_batcher.dialects.base import WantedModel
from autobatch_batcher.dialects.text_tokens import TokenIds
from autobatch_batcher.dialects.triton import Triton
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.options import Options
from autobatch_shared.kserve import kserve_pb2 as kserve

WORDS = {"[CLS]": 1, "[SEP]": 2, "[PAD]": 9, "a": 3, "b": 4}
SAID_TEXTS = [b'"a b"', b'"a"', b"[1,4,2]"]


def tokenizer(direction: str = "") -> Tokenizer:
    """Return a tokenizer of two words, whose file pads on that side, if on any."""
    made = Tokenizer(WordLevel(WORDS))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    if direction:
        made.enable_padding(direction=direction, pad_id=7, pad_token="[PAD]", length=128)
    return made


def known(*, tokens_max: int | None = None, width: int = -1, direction: str = "", has_tokenizer: bool = True) -> Triton:
    """Return the dialect of a model of token ids."""
    tensor = kserve.ModelMetadataResponse.Tensor
    said = kserve.ModelMetadataResponse(
        name="m",
        versions=["1"],
        inputs=[tensor(name=name, datatype="INT64", shape=[-1, width]) for name in ("input_ids", "attention_mask")],
        outputs=[tensor(name="out", datatype="FP32", shape=[-1, 384])],
    )
    token_ids = TokenIds(tokenizer(direction)) if has_tokenizer else None
    asking = Triton(WantedModel("m", tokens_max=tokens_max, token_ids=token_ids))
    return asking.knowing(asking.card(said.SerializeToString(), b""))


def sent(dialect: Triton, inputs: list[bytes], options: Options | None = None) -> list[list[list[int]]]:
    """Return the rows of both tensors of a call."""
    call = cast("Any", kserve.ModelInferRequest).FromString(dialect.compose("/embed", inputs, options).body)
    return [
        np.frombuffer(raw, "<i8").reshape(tuple(each.shape)).tolist()
        for each, raw in zip(call.inputs, call.raw_input_contents, strict=True)
    ]


def test_texts_become_ids_beside_those_that_clients_sent() -> None:
    ids, mask = sent(known(), SAID_TEXTS)
    assert ids == [[1, 3, 4, 2], [1, 3, 2, 9], [1, 4, 2, 9]]
    assert mask == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]


def test_rows_are_filled_up_as_the_tokenizers_file_says() -> None:
    """A model may find its positions by this id, and its vector at the last place."""
    ids, mask = sent(known(direction="left"), SAID_TEXTS[:2])
    assert ids == [[1, 3, 4, 2], [7, 1, 3, 2]]
    assert mask == [[1, 1, 1, 1], [0, 1, 1, 1]]


def test_a_model_whose_rows_have_one_length_gets_it() -> None:
    dialect = known(width=5)
    assert sent(dialect, [b'"a"'])[0] == [[1, 3, 2, 9, 9]]
    assert sent(dialect, [b'"a a a a a a"'])[0] == [[1, 3, 3, 3, 2]]


def test_a_text_that_is_too_long_is_cut_unless_that_is_refused() -> None:
    dialect = known(tokens_max=4)
    assert sent(dialect, [b'"a b b b"'])[0] == [[1, 3, 4, 2]]
    assert sent(dialect, [b'"a b"'], Options(truncate=False))[0] == [[1, 3, 4, 2]]
    with pytest.raises(InvalidRequest, match=r"at most 4 tokens\. Given: 6"):
        dialect.compose("/embed", [b'"a b b b"'], Options(truncate=False))
    with pytest.raises(InvalidRequest, match=r"at most 4 tokens\. Given: 5"):
        dialect.compose("/embed", [b"[1,3,3,3,2]"], None)


def test_each_inputs_tokens_are_counted_as_the_model_gets_them() -> None:
    assert known(tokens_max=3).counts_known([b'"a b"', b'"a"', b"[1,2]"]) == [3, 3, 2]
    assert known(has_tokenizer=False).counts_known([b"[1,2,3]"]) == [3]
    assert known(has_tokenizer=False).counts_known([b'"a"']) is None


def test_without_a_tokenizer_texts_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="TOKENIZER_FILE"):
        known(has_tokenizer=False).compose("/embed", [b'"a"'], None)


def test_another_tokenizer_or_limit_is_another_identity() -> None:
    """The same text gets another vector."""
    said = kserve.ModelMetadataResponse(
        name="m",
        inputs=[kserve.ModelMetadataResponse.Tensor(name="input_ids", datatype="INT64", shape=[-1, -1])],
        outputs=[kserve.ModelMetadataResponse.Tensor(name="out", datatype="FP32", shape=[-1, 384])],
    ).SerializeToString()
    cards = [
        Triton(WantedModel("m", tokens_max=tokens_max, token_ids=token_ids)).card(said, b"")
        for tokens_max in (None, 8)
        for token_ids in (None, TokenIds(tokenizer()), TokenIds(tokenizer("left")))
    ]
    assert len({repr(card.identity) for card in cards}) == len(cards)
    assert [card.input_tokens_max for card in cards] == [UNKNOWN_MAX] * 3 + [8] * 3
