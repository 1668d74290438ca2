"""The graph of a small random model: its weights, its cache, and what is refused. `model_files/test_encoders.py` compares what it computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model import graph_cache
from autobatch_embedder.model.network import graph
from autobatch_embedder.model.network.packing import pack, pad
from autobatch_embedder.model_files import folder_reading, weights
from autobatch_embedder.model_files.model_folder import ModelFolder
from tests.support.models import architectures
from tests.support.models.tiny_models import (
    HIDDEN,
    INNER,
    MODULES,
    POSITIONS,
    tiny_config,
    tiny_tensors,
    write_json,
    write_model,
    write_safetensors,
)

Array = npt.NDArray[np.float32]

CONFIG = tiny_config("bert")
ROWS = [[5, 6, 7, 8, 9], [1], [29, 3]]


def run(built: bytes | str, rows: list[list[int]], output: str = "pooled", *, is_packed: bool = True) -> Array:
    session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], (pack if is_packed else pad)(rows))[0])


def test_a_text_alone_is_packed_as_beside_an_equal_one() -> None:
    alone, beside = pack(ROWS[:1]), pack(ROWS[:1] * 2)

    assert alone.keys() == beside.keys()
    for name, value in alone.items():
        assert value.dtype == beside[name].dtype
        np.testing.assert_array_equal(value, beside[name][: len(value)] if value.ndim else beside[name])


def build(model: ModelFolder, tensors: dict[str, Array], *, is_packed: bool = True) -> bytes:
    return graph.build(model.encoder, tensors, is_packed=is_packed)


@pytest.fixture
def tensors() -> dict[str, Array]:
    return tiny_tensors("bert")


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, Array]) -> Path:
    path = write_model(tmp_path / "model", CONFIG, tensors)
    write_safetensors(path / "model.safetensors", {**tensors, "embeddings.position_ids": np.arange(POSITIONS)})
    return path


@pytest.fixture
def model(folder: Path) -> ModelFolder:
    return folder_reading.find(str(folder))


def test_a_text_without_tokens_takes_no_place_among_the_tokens(model: ModelFolder, tensors: dict[str, Array]) -> None:
    tokens = run(build(model, tensors), [ROWS[0], [], *ROWS[1:]], "tokens")

    expected = [architectures.bert(tensors, CONFIG, row) for row in ROWS]
    np.testing.assert_allclose(tokens, np.concatenate(expected), atol=1e-5)


def test_a_padded_graph_gives_the_vectors_of_the_tokens_in_the_same_places(
    model: ModelFolder, tensors: dict[str, Array]
) -> None:
    tokens = run(build(model, tensors, is_packed=False), ROWS, "tokens", is_packed=False)

    assert tokens.shape == (3, 5, HIDDEN)
    for padded, row in zip(tokens, ROWS, strict=True):
        np.testing.assert_allclose(padded[: len(row)], architectures.bert(tensors, CONFIG, row), atol=1e-5)


def test_a_missing_tensor_is_named(model: ModelFolder, tensors: dict[str, Array]) -> None:
    del tensors["encoder.layer.1.output.dense.bias"]

    with pytest.raises(ModelFolderError, match=r"no tensor encoder\.layer\.1\.output\.dense\.bias"):
        build(model, tensors)


def test_a_tensor_of_another_shape_than_the_config_says_is_named(model: ModelFolder, tensors: dict[str, Array]) -> None:
    tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((INNER, HIDDEN + 1), dtype=np.float32)

    with pytest.raises(ModelFolderError, match=r"layer\.0\.intermediate\.dense\.weight has the shape \(12, 9\)"):
        build(model, tensors)


def test_graph_is_built_once_and_found_again(model: ModelFolder, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"

    first = graph_cache.load(model, cache)
    assert isinstance(first, Path)
    built_ns = first.stat().st_mtime_ns
    again = graph_cache.load(model, cache)

    assert (first, built_ns) == (again, first.stat().st_mtime_ns)
    assert {first, first.with_suffix(".data"), first.with_suffix(".sums")} == set(cache.iterdir())
    assert run(str(first), [[1, 2]]).shape == (1, HIDDEN)


def test_a_graph_whose_constants_are_all_small_has_no_file_of_constants(tmp_path: Path) -> None:
    """Without a table of positions no constant of the tiny model has a kilobyte."""
    cache = tmp_path / "cache"
    path = write_model(tmp_path / "rotary", tiny_config("nomic_bert"), tiny_tensors("nomic_bert"))

    kept = graph_cache.load(folder_reading.find(str(path)), cache)

    assert isinstance(kept, Path)
    assert {kept, kept.with_suffix(".sums")} == set(cache.iterdir())
    assert run(str(kept), [[1, 2]]).shape == (1, HIDDEN)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_other_weights_or_sizes_have_another_graph(model: ModelFolder, name: str) -> None:
    before = graph_cache.name_of(model)
    with (model.path / name).open("ab") as file:
        file.write(b" ")

    assert before != graph_cache.name_of(model)


def test_a_cache_that_cannot_be_written_is_done_without(model: ModelFolder, tmp_path: Path) -> None:
    """A file where the folder should be stands for a read-only disk, which root in a container would not notice."""
    (tmp_path / "file").touch()

    built = graph_cache.load(model, tmp_path / "file" / "cache")

    assert isinstance(built, bytes)
    assert run(built, [[1, 2]]).shape == (1, HIDDEN)


def test_cache_folder_is_the_setting_or_the_users() -> None:
    assert Path("/x") == graph_cache.folder("/x", "/xdg")
    assert Path("/xdg/autobatch") == graph_cache.folder(None, "/xdg")
    assert Path.home() / ".cache" / "autobatch" == graph_cache.folder(None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "t5"),
        ("hidden_act", "quick_gelu"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("num_attention_heads", 3),
        ("hidden_size", "many"),
        ("layer_norm_eps", None),
    ],
)
def test_a_config_that_is_not_understood_is_refused_by_name(folder: Path, key: str, value: object) -> None:
    write_json(folder / "config.json", CONFIG | {key: value})

    name = "hidden size" if key == "num_attention_heads" else key
    with pytest.raises(ModelFolderError, match=rf"config\.json: {name}"):
        folder_reading.find(str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modules.json", [*MODULES, {"type": "sentence_transformers.models.CNN"}]),
        ("modules.json", [MODULES[0]]),
        ("modules.json", {"a": 1}),
        ("1_Pooling/config.json", {"pooling_mode_mean_sqrt_len_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode": "mean+max"}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": True, "include_prompt": False}),
    ],
)
def test_modules_and_poolings_that_are_not_computed_are_refused(folder: Path, name: str, value: object) -> None:
    write_json(folder / name, value)

    with pytest.raises(ModelFolderError, match=name):
        folder_reading.find(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ModelFolderError, match=name):
        folder_reading.find(str(folder))


def test_longest_input_is_the_smaller_of_the_two_limits(folder: Path) -> None:
    assert folder_reading.find(str(folder)).tokens_max == POSITIONS
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 8})
    assert folder_reading.find(str(folder)).tokens_max == 8
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 1000})
    assert folder_reading.find(str(folder)).tokens_max == POSITIONS


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:4],
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"x" + data[9:],
        lambda _: (13).to_bytes(8, "little") + b'{"a":{"b":1}}',
        lambda _: (2).to_bytes(8, "little") + b"[]",
    ],
    ids=[
        "empty",
        "no header length",
        "no header",
        "one byte short",
        "endless header",
        "not JSON",
        "no offsets",
        "no object",
    ],
)
def test_a_damaged_safetensors_file_is_refused(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ModelFolderError, match=r"model\.safetensors"):
        weights.read(path)


def test_weights_of_another_type_are_refused_by_name(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"F64"', 1))

    with pytest.raises(ModelFolderError, match=r"embeddings\.\w+\.weight: type F64 is not understood"):
        weights.read(path)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_setting_counts_before_the_folder(folder: Path, pooling: Any) -> None:
    (folder / "modules.json").unlink()
    (folder / "1_Pooling" / "config.json").unlink()
    (folder / "1_Pooling").rmdir()

    assert pooling == folder_reading.find(str(folder), pooling).pooling
    with pytest.raises(ModelFolderError, match="EMBEDDER_POOLING"):
        folder_reading.find(str(folder))


def test_another_pooling_has_another_graph(folder: Path) -> None:
    names = {graph_cache.name_of(folder_reading.find(str(folder), pooling)) for pooling in ("cls", "mean", None)}

    assert len(names) == 2
