"""Every family's graph, from a folder with random weights, against the published architecture in numpy."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model.network import graph
from autobatch_embedder.model.network.packing import pack, pad
from autobatch_embedder.model_files import folder_reading, weights
from autobatch_embedder.model_files.families.table import FAMILIES, renamed
from autobatch_embedder.model_files.modules import POOLINGS
from tests.support.models import architectures
from tests.support.models.tiny_models import (
    POSITIONS,
    tiny_config,
    tiny_tensors,
    write_model,
    write_safetensors,
)

ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], [4], [29, 3, 21]]
EQUALLY_LONG = [row[:9] for row in (ROWS[0], ROWS[0][::-1], [29, 3, 21] * 3)]
PREFIXES = {"bert": "bert.", "roberta": "roberta.", "distilbert": "distilbert.", "modernbert": "model."}


def graph_of(path: Path, *, is_packed: bool = True) -> onnxruntime.InferenceSession:
    folder = folder_reading.find(str(path))
    built = graph.build_for(folder, is_packed=is_packed)
    return onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("rows", [ROWS, EQUALLY_LONG], ids=["ragged", "equally long"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_computes_its_published_architecture(tmp_path: Path, kind: str, rows: list[list[int]]) -> None:
    config, tensors = tiny_config(kind), tiny_tensors(kind)
    session = graph_of(write_model(tmp_path, config, tensors))

    pooled, tokens = session.run(["pooled", "tokens"], pack(rows))

    expected = [architectures.ENCODERS[kind](tensors, config, row) for row in rows]
    np.testing.assert_allclose(tokens, np.concatenate(expected), atol=1e-5)
    np.testing.assert_allclose(pooled, [each.mean(axis=0) for each in expected], atol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_padded_graph_computes_the_same(tmp_path: Path, kind: str) -> None:
    path = write_model(tmp_path, tiny_config(kind), tiny_tensors(kind))

    (padded,) = graph_of(path, is_packed=False).run(["pooled"], pad(ROWS))

    (packed,) = graph_of(path).run(["pooled"], pack(ROWS))
    np.testing.assert_allclose(packed, padded, atol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_longest_text_uses_every_position(tmp_path: Path, kind: str) -> None:
    config, tensors = tiny_config(kind), tiny_tensors(kind)
    path = write_model(tmp_path, config, tensors)
    count = folder_reading.find(str(path)).tokens_max
    first = {"bert": 0, "distilbert": 0, "modernbert": 0, "nomic_bert": 0}.get(kind, 2)
    assert count == POSITIONS - first
    row = [4 + place % 20 for place in range(count)]

    (tokens,) = graph_of(path).run(["tokens"], pack([row]))

    np.testing.assert_allclose(tokens, architectures.ENCODERS[kind](tensors, config, row), atol=1e-5)


@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token", "max_tokens", "lasttoken", "weightedmean_tokens"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_every_pooling_of_the_folder_is_computed(tmp_path: Path, mode: str, *, is_packed: bool) -> None:
    config, tensors = tiny_config("bert"), tiny_tensors("bert")
    path = write_model(tmp_path, config, tensors, mode=mode)
    folder = folder_reading.find(str(path))

    (pooled,) = graph_of(path, is_packed=is_packed).run(["pooled"], pack(ROWS) if is_packed else pad(ROWS))

    assert folder.pooling in POOLINGS
    expected = [architectures.pooled(architectures.bert(tensors, config, row), folder.pooling) for row in ROWS]
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items())
def test_weights_with_the_prefix_of_a_model_with_a_head_are_found(kind: str, prefix: str) -> None:
    bare = renamed(FAMILIES[kind], tiny_tensors(kind))

    prefixed = renamed(FAMILIES[kind], tiny_tensors(kind, prefix))

    assert bare.keys() == prefixed.keys()
    assert all((bare[name] == prefixed[name]).all() for name in bare)


def test_names_of_older_exports_are_understood() -> None:
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tiny_tensors("bert").items()
    }

    assert renamed(FAMILIES["bert"], older).keys() == tiny_tensors("bert").keys()


def test_weights_in_parts_and_in_half_precision_are_read(tmp_path: Path) -> None:
    path = write_model(tmp_path, tiny_config("bert"), tiny_tensors("bert"))
    (path / "model.safetensors").unlink()
    whole = np.array([0.5, -2.0, 1024.0], dtype=np.float32)
    halves = {"a": whole.astype(np.float16), "b": (whole.view(np.uint32) >> 16).astype(np.uint16)}
    for name, tensor in halves.items():
        write_safetensors(path / f"model-{name}.safetensors", {name: tensor})
    index = {"weight_map": {name: f"model-{name}.safetensors" for name in halves}}
    (path / weights.INDEX).write_text(str(index).replace("'", '"'))

    read = weights.read_all(path)

    assert [whole.tolist()] * 2 == [read[name].tolist() for name in "ab"]
    (path / "model-b.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"model-b\.safetensors: no such file"):
        weights.read_all(path)
