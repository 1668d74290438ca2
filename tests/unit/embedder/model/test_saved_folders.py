"""Folders as libraries save them: what their small files say is done, or refused by file and field."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from autobatch_embedder.http.errors import ModelFolderError
from autobatch_embedder.model import model_folder
from autobatch_embedder.model.tokens import TextTokenizer
from tests.support.models.tiny_models import VOCABULARY, tiny_config, tiny_tensors, write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", tiny_config("bert"), tiny_tensors("bert"))


def tokenizer_of(folder: Path, **found: Any) -> TextTokenizer:
    return TextTokenizer(model_folder.find(str(folder), **found))


def test_a_tokenizer_with_ids_that_the_weights_do_not_have_is_refused(folder: Path) -> None:
    """One text with such an id would fail the pass that it shares with others."""
    assert tokenizer_of(folder)
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
