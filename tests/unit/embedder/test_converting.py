"""`autobatch embedder convert`: what the graph computes, and Triton's repository."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from autobatch_embedder.converting.conversion import convert
from autobatch_embedder.model.network.packing import pad
from tests.support.models import architectures
from tests.support.models.tiny_models import HIDDEN, tiny_config, tiny_tensors, write_json, write_model

ROWS = [[5, 6, 7, 8, 9], [1], [29, 3]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", tiny_config("bert"), tiny_tensors("bert"), mode="cls_token")


def expected() -> list[architectures.Wide]:
    return [architectures.bert(tiny_tensors("bert"), tiny_config("bert"), row) for row in ROWS]


def run(file: Path) -> tuple[str, onnxruntime.InferenceSession]:
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.get_outputs()[0].name, session.run(None, pad(ROWS))[0]


def test_pooling_and_norm_are_inside_as_the_folder_says(model: Path, tmp_path: Path) -> None:
    assert 0 == convert([str(model), str(tmp_path / "out")])

    name, vectors = run(tmp_path / "out" / "model.onnx")
    first = np.array([tokens[0] for tokens in expected()])
    assert "embedding" == name
    np.testing.assert_allclose(vectors, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-5)
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_pooling_or_norm_may_be_left_to_others(model: Path, tmp_path: Path) -> None:
    assert 0 == convert([str(model), str(tmp_path / "a"), "--output", "last_hidden_state"])
    assert 0 == convert([str(model), str(tmp_path / "b"), "--output", "pooled", "--pooling", "max"])

    name, tokens = run(tmp_path / "a" / "model.onnx")
    assert ("last_hidden_state", (3, 5, HIDDEN)) == (name, tokens.shape)
    np.testing.assert_allclose(tokens[0], expected()[0], atol=1e-5)
    name, vectors = run(tmp_path / "b" / "model.onnx")
    assert "pooled" == name
    np.testing.assert_allclose(vectors, [tokens.max(axis=0) for tokens in expected()], atol=1e-5)


def test_tritons_repository_has_a_version_and_its_configuration(model: Path, tmp_path: Path) -> None:
    words = [str(model), str(tmp_path / "models"), "--triton", "tiny", "--max-batch-size", "8"]
    assert 0 == convert(words)

    folder = tmp_path / "models" / "tiny"
    assert "embedding" == run(folder / "1" / "model.onnx")[0]
    text = (folder / "config.pbtxt").read_text()
    assert 'backend: "onnxruntime"\nmax_batch_size: 8\n' in text
    assert '{ name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] }' in text
    assert f'{{ name: "embedding" data_type: TYPE_FP32 dims: [ {HIDDEN} ] }}' in text
    assert "dynamic_batching {" in text


def test_a_model_that_cannot_be_read_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(model / "config.json", tiny_config("bert", hidden_act="odd"))

    assert 2 == convert([str(model), str(tmp_path / "out")])

    assert "config.json: hidden_act is 'odd'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    assert 2 == convert([str(model), str(tmp_path / "file" / "out")])

    assert f"autobatch: cannot write to {tmp_path / 'file' / 'out'}: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["model"], [".", "--triton", "model"], ["model/../model/."]])
def test_nothing_is_written_into_the_models_own_folder(
    model: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(model.rglob("*"))

    assert 2 == convert([str(model), str(tmp_path / words[0]), *words[1:]])

    assert "the model's own folder" in capsys.readouterr().err
    assert before == sorted(model.rglob("*"))


@pytest.mark.parametrize("name", ["../x y", "..", "a/b", "", 'a"b', "a b"])
def test_tritons_model_has_a_name_that_is_no_path(
    model: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        convert([str(model), str(tmp_path / "out"), "--triton", name])

    assert 2 == ended.value.code
    assert "is not a name" in capsys.readouterr().err
    assert [model] == list(tmp_path.iterdir())
