"""Packed weights are kept for one CPU and one version of onnxruntime, and change no vector."""

import logging
from pathlib import Path

import numpy as np
import pytest

from autobatch_embedder.model import graph_cache
from autobatch_embedder.model.dividing import divided_networks, packed_weights
from autobatch_embedder.model.dividing.division import Division
from autobatch_embedder.model.dividing.sliced_graph import SlicedGraph
from autobatch_embedder.model.network import networks
from autobatch_embedder.model_files import folder_reading
from autobatch_embedder.model_files.model_folder import ModelFolder
from autobatch_shared.settings.definitions import Quantization
from tests.support.models.tiny_models import (
    CONFIGS,
    HIDDEN,
    INNER,
    POSITIONS,
    tiny_config,
    tiny_tensors,
    write_model,
)

ROWS = [[2, 7, 9, 3], [2, 5, 3], [2, 4, 6, 8, 10, 3]]


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    return folder_reading.find(str(write_model(tmp_path / "tiny", tiny_config("bert"), tiny_tensors("bert"))))


@pytest.fixture
def graph(folder: ModelFolder, tmp_path: Path) -> Path:
    found = graph_cache.load(folder, tmp_path / "cache")
    assert isinstance(found, Path)
    return found


def test_they_are_written_once_and_change_no_vector(folder: ModelFolder, graph: Path) -> None:
    first = packed_weights.packed(graph)
    assert first is not None
    written_ns = first.stat().st_mtime_ns

    assert packed_weights.packed(graph) == first != graph
    assert first.stat().st_mtime_ns == written_ns
    before, after = (networks.load(folder, each, 1).run("pooled", ROWS) for each in (graph, first))
    np.testing.assert_allclose(after, before, atol=1e-6)


WIDER = {HIDDEN: 32, INNER: 48, 3 * HIDDEN: 96, 2 * INNER: 96, POSITIONS: 257}
"""Sizes with which the weights have the kilobyte from which they lie in a file, and the table of distances a size of its own."""


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_those_of_every_family_are_read_from_where_they_may_begin(
    tmp_path: Path, kind: str, quantize: Quantization | None
) -> None:
    """From another place a pass ends the process."""
    random = np.random.default_rng(3)
    sizes = {key: WIDER.get(value, value) for key, value in tiny_config(kind).items()}
    tensors = {
        name: random.normal(0, 0.2, [WIDER.get(size) or size for size in tensor.shape]).astype(np.float32)
        for name, tensor in tiny_tensors(kind).items()
    }
    folder = folder_reading.find(str(write_model(tmp_path / "wide", sizes, tensors)))
    graph = graph_cache.load(folder, tmp_path / "cache", quantize)
    assert isinstance(graph, Path)

    alone, beside = divided_networks.load(folder, graph, Division(64, 2))

    assert quantize or alone is not beside  # a float32 model keeps them
    expected = networks.load(folder, graph, 1).run("pooled", ROWS)
    for network in (alone, beside):
        np.testing.assert_allclose(network.run("pooled", ROWS), expected, atol=1e-5)


def test_those_that_begin_elsewhere_are_not_used(
    graph: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        packed_weights, "save_packed", lambda _, path: path.write_bytes(b"Gemm+1|128;64;0 Gemm+2|192;8;0")
    )
    first = packed_weights.packed(graph)
    assert first
    first.unlink()
    monkeypatch.setattr(packed_weights, "save_packed", lambda _, path: path.write_bytes(b"Gemm+1|128;64;0|200;8;0"))
    with caplog.at_level(logging.WARNING):
        assert packed_weights.packed(graph) is None
    assert ["packed_weights_not_kept"] == [record.message for record in caplog.records]


@pytest.mark.parametrize("name", ["cpu_name", "cpu_features"])
def test_another_cpu_has_others(graph: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    first = packed_weights.packed(graph)
    monkeypatch.setattr(packed_weights, name, lambda: "another")
    assert first != packed_weights.packed(graph)


def test_a_cpu_that_is_not_known_has_none(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_weights, "cpu_features", lambda: "")
    assert packed_weights.packed(graph) is None


def test_a_folder_that_cannot_be_written_is_said_and_done_without(
    folder: ModelFolder, graph: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Path) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(packed_weights, "save_packed", fails)
    with caplog.at_level(logging.WARNING):
        alone, beside = divided_networks.load(folder, graph, Division(2, 2))

    assert alone is beside
    assert [record.message for record in caplog.records] == ["packed_weights_not_kept"]


def test_a_graph_in_memory_is_loaded_once(folder: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    built = graph_cache.load(folder, tmp_path / "file" / "cache")
    assert isinstance(built, bytes)

    alone, beside = divided_networks.load(folder, built, Division(2, 2))

    assert alone is beside


def test_a_call_is_computed_alone_or_beside_others_to_the_same_vectors(folder: ModelFolder, graph: Path) -> None:
    alone, beside = divided_networks.load(folder, graph, Division(64, 2))
    assert alone is not beside
    sliced = SlicedGraph(alone, beside, 2)
    rows = [[2, *([5, 9] * 15), 3], [2, 7, 3]] * 8

    together = sliced.pooled(rows)
    sliced.give_back()

    np.testing.assert_allclose(together, np.concatenate([sliced.pooled([row]) for row in rows]), atol=1e-5)
