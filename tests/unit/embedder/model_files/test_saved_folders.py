"""Folders as libraries save them: what their small files say is done, or refused by file and field."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model import head
from autobatch_embedder.model.tokens import TextTokenizer
from autobatch_embedder.model_files import folder_reading
from tests.support.models.tiny_models import (
    HIDDEN,
    MODULES,
    POSITIONS,
    VOCABULARY,
    tiny_config,
    tiny_tensors,
    write_json,
    write_model,
    write_safetensors,
)

UNKNOWN = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", tiny_config("bert"), tiny_tensors("bert"))


def tokenizer_of(folder: Path, **found: Any) -> TextTokenizer:
    return TextTokenizer(folder_reading.find(str(folder), **found))


def test_a_tokenizer_with_ids_that_the_weights_do_not_have_is_refused(folder: Path) -> None:
    """One text with such an id would fail the pass that it shares with others."""
    tokenizer_of(folder)
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words.add_tokens(["more", "and more"])
    words.save(str(folder / "tokenizer.json"))

    with pytest.raises(ModelFolderError, match=rf"tokenizer\.json: .*{VOCABULARY + 1}.* {VOCABULARY} rows"):
        tokenizer_of(folder)


@pytest.mark.parametrize("content", ["{}", "[", '{"model": 1}'])
def test_a_tokenizer_that_cannot_be_read_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)

    with pytest.raises(ModelFolderError, match=r"tokenizer\.json: "):
        tokenizer_of(folder)


def test_the_longest_text_is_the_tokenizers_where_the_folder_has_no_max_seq_length(folder: Path) -> None:
    """Sentence Transformers 6 saves it so; its older versions read it there, too, for `max_seq_length: null`."""
    write_json(folder / "tokenizer_config.json", {"model_max_length": 12})
    assert 12 == folder_reading.find(str(folder)).tokens_max
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
    assert 12 == folder_reading.find(str(folder)).tokens_max
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": None})
    assert 12 == folder_reading.find(str(folder)).tokens_max
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 20})
    assert 20 == folder_reading.find(str(folder)).tokens_max
    write_json(folder / "sentence_bert_config.json", {})
    for no_limit in (1e30, 10**30, None):
        write_text_of(folder / "tokenizer_config.json", {"model_max_length": no_limit})
        assert POSITIONS == folder_reading.find(str(folder)).tokens_max


def write_text_of(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))  # orjson writes no such large integer


def test_a_cross_encoder_saved_with_its_only_module_is_a_reranker(tmp_path: Path) -> None:
    config = tiny_config("bert", architectures=["BertForSequenceClassification"], id2label={"0": "LABEL_0"})
    path = write_model(tmp_path / "model", config, tiny_tensors("bert"))
    write_json(
        path / "modules.json", [{**MODULES[0], "type": "sentence_transformers.base.modules.transformer.Transformer"}]
    )

    assert ("reranker", "cls") == (folder_reading.find(str(path)).task, folder_reading.find(str(path)).pooling)


def test_an_only_module_without_a_head_needs_a_pooling(folder: Path) -> None:
    write_json(folder / "modules.json", MODULES[:1])

    assert "max" == folder_reading.find(str(folder), "max").pooling
    with pytest.raises(ModelFolderError, match=r"modules\.json: no pooling; EMBEDDER_POOLING"):
        folder_reading.find(str(folder))


@pytest.mark.parametrize("theta", [1000.0, 500.0])
def test_nomic_bert_as_transformers_5_saves_it_is_the_same_network(tmp_path: Path, theta: float) -> None:
    older = tiny_config("nomic_bert", rotary_emb_base=theta)
    newer = {
        "model_type": "nomic_bert",
        "hidden_act": "silu",
        "hidden_size": older["n_embd"],
        "num_hidden_layers": older["n_layer"],
        "num_attention_heads": older["n_head"],
        "intermediate_size": older["n_inner"],
        "max_position_embeddings": older["n_positions"],
        "layer_norm_eps": older["layer_norm_epsilon"],
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},
        "type_vocab_size": 2,
        "vocab_size": VOCABULARY,
    }
    tensors = tiny_tensors("nomic_bert")
    older_path = write_model(tmp_path / "older", older, tensors)
    path = write_model(tmp_path / "newer", newer, tensors)

    assert folder_reading.find(str(older_path)).network == folder_reading.find(str(path)).network
    write_json(path / "config.json", newer | {"rope_parameters": {"rope_type": "yarn", "rope_theta": theta}})
    with pytest.raises(ModelFolderError, match=r"config\.json: rope_type is 'yarn'"):
        folder_reading.find(str(path))
    write_json(path / "config.json", newer | {"head_dim": 6})
    with pytest.raises(ModelFolderError, match=r"config\.json: head_dim is 6"):
        folder_reading.find(str(path))


def test_texts_are_lower_cased_where_the_folder_says_so(folder: Path) -> None:
    assert [[1, UNKNOWN, 5, 2]] == tokenizer_of(folder).encode(["W4 w5"], None, "right", truncate=True)

    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": True})

    lowering = tokenizer_of(folder)
    for truncate in (True, False):
        assert [[1, 4, 5, 2]] == lowering.encode(["W4 w5"], None, "right", truncate=truncate)


def test_a_length_of_vectors_is_read_and_one_of_scores_of_words_is_refused(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"truncate_dim": None})
    assert folder_reading.find(str(folder)).dimensions is None
    write_json(folder / "config_sentence_transformers.json", {"truncate_dim": 4})
    assert 4 == folder_reading.find(str(folder)).dimensions
    write_json(folder / "config_sentence_transformers.json", {"max_active_dims": 64})
    with pytest.raises(ModelFolderError, match="max_active_dims is 64"):
        folder_reading.find(str(folder))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"out_features": 6}, rf"shape \(5, {HIDDEN}\), but .*config\.json says \(6, {HIDDEN}\)"),
        ({"in_features": 6}, rf"shape \(5, {HIDDEN}\), but .*config\.json says \(5, 6\)"),
        ({"bias": True}, r"no tensor linear\.bias"),
        ({"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
    ],
)
def test_a_dense_layer_that_is_not_what_its_config_says_is_refused(
    folder: Path, changed: dict[str, Any], fault: str
) -> None:
    dense = {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}
    config = {"in_features": HIDDEN, "out_features": 5, "bias": False}
    write_json(folder / "modules.json", [*MODULES[:2], dense])
    write_safetensors(
        folder / "2_Dense" / "model.safetensors", {"linear.weight": np.ones((5, HIDDEN), dtype=np.float32)}
    )
    write_json(folder / "2_Dense" / "config.json", config)
    head.load(folder_reading.find(str(folder)), 1)

    write_json(folder / "2_Dense" / "config.json", config | changed)

    with pytest.raises(ModelFolderError, match=fault):
        head.load(folder_reading.find(str(folder)), 1)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_named_with_what_to_type(folder: Path, name: str) -> None:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:53aa\nsize 90868376\n")

    with pytest.raises(ModelFolderError, match=rf"{name}: .*`git lfs pull`"):
        folder_reading.find(str(folder))
