"""Graphs on disk that were damaged: they are built again, and a model whose weights are bad does not start."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model import graph_cache, kept_graph
from autobatch_embedder.model.dividing import packed_weights
from autobatch_embedder.model.dividing.choice import ChosenDivision
from autobatch_embedder.model.dividing.division import Division
from autobatch_embedder.model.loaded_model import Model
from autobatch_embedder.model.network import networks
from autobatch_embedder.model_files import folder_reading
from autobatch_embedder.model_files.model_folder import ModelFolder
from tests.support.models.tiny_models import tiny_config, tiny_tensors, write_model, write_safetensors

ROWS = [[2, 7, 9, 3], [2, 5, 3]]
CHOICE = ChosenDivision(Division(1, 1), "set")
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "no constants": (".data", lambda _: None),
    "cut off constants": (".data", lambda data: data[: len(data) // 2]),
    "zeros": (".data", lambda data: bytes(len(data))),
    "zeros at the end": (".data", lambda data: data[:-64] + bytes(64)),
    "other bytes": (".data", lambda data: np.random.default_rng(1).bytes(len(data))),
    "no graph": (".onnx", lambda _: b"garbage"),
    "an empty graph": (".onnx", lambda _: b""),
    "no checksums": (".sums", lambda _: None),
    "no JSON": (".sums", lambda _: b"{"),
    "no object": (".sums", lambda _: b"[]"),
}


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    return folder_reading.find(str(write_model(tmp_path / "tiny", tiny_config("bert"), tiny_tensors("bert"))))


def built(folder: ModelFolder, cache: Path) -> Path:
    found = graph_cache.load(folder, cache)
    assert isinstance(found, Path)
    return found


def packed(folder: ModelFolder, cache: Path) -> Path:
    found = packed_weights.packed(built(folder, cache))
    assert found is not None
    return found


@pytest.mark.parametrize("kept", [built, packed])
@pytest.mark.parametrize(("suffix", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_graph_is_written_again(
    folder: ModelFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kept: Callable[[ModelFolder, Path], Path],
    suffix: str,
    damage: Callable[[bytes], bytes | None],
) -> None:
    graph = kept(folder, tmp_path / "cache")
    expected = networks.load(folder, graph, 1).run("pooled", ROWS)
    file = graph.with_suffix(suffix)
    damaged = damage(file.read_bytes())
    file.unlink()
    if damaged is not None:
        file.write_bytes(damaged)

    with caplog.at_level(logging.WARNING):
        assert graph == kept(folder, tmp_path / "cache")

    np.testing.assert_array_equal(networks.load(folder, graph, 1).run("pooled", ROWS), expected)
    assert ["graph_damaged"] == [record.message for record in caplog.records]


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_model_whose_first_pass_gives_no_vector_does_not_start(tmp_path: Path, value: float) -> None:
    tensors = {name: tensor * np.float32(value) for name, tensor in tiny_tensors("bert").items()}
    path = write_model(tmp_path / "bad", tiny_config("bert"), tensors)
    folder = folder_reading.find(str(path))

    with pytest.raises(ModelFolderError, match="first pass gave no vector"):
        Model(folder, graph_cache.load(folder, tmp_path / "cache"), CHOICE)


def test_a_head_that_gives_no_scores_does_not_start(tmp_path: Path) -> None:
    config = tiny_config("bert", architectures=["XForSequenceClassification"], id2label={"0": "LABEL_0"})
    heads = {"bert.pooler.dense.weight": (8, 8), "classifier.weight": (1, 8), "classifier.bias": (1,)}
    tensors = tiny_tensors("bert", "bert.", **heads)
    path = write_model(tmp_path / "bad", config, tensors, mode=None)
    folder = folder_reading.find(str(path))
    Model(folder, graph_cache.load(folder, tmp_path / "cache"), CHOICE)

    write_safetensors(path / "model.safetensors", tensors | {"classifier.bias": np.array([np.nan], dtype=np.float32)})

    with pytest.raises(ModelFolderError, match="first pass gave no vector"):
        Model(folder, graph_cache.load(folder, tmp_path / "cache"), CHOICE)


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    old, young = tmp_path / "graph-old.part", tmp_path / "graph-young.part"
    for part in (old, young):
        part.mkdir()
        (part / graph.name).write_bytes(b"half")
    os.utime(old, (0, 0))

    def write(path: Path) -> None:
        path.write_bytes(b"whole")

    kept_graph.keep(graph, write)

    assert (False, True) == (old.exists(), young.exists())
