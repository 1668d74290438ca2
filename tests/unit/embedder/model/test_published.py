"""Graphs of repositories, in the hub's layout, for a family that is not built here: random ones against numpy."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from huggingface_hub import constants
from onnx import TensorProto, helper

from autobatch_embedder.converting import conversion
from autobatch_embedder.errors import ModelFolderError, TeiError
from autobatch_embedder.model import graph_cache
from autobatch_embedder.model.dividing.choice import ChosenDivision
from autobatch_embedder.model.dividing.division import Division
from autobatch_embedder.model.loaded_model import Model
from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.packing import SECOND_SEGMENT
from autobatch_embedder.model_files import folder_reading
from autobatch_embedder.model_files.modules import POOLINGS, Pooling
from tests.support.models import architectures
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
    write_tokenizer,
)

Array = npt.NDArray[np.float32]

ROWS = [[5, 6, 7, 8, 9], [4], [29, 3, 21]]
CONFIG: dict[str, Any] = {"model_type": "unheard_of", "max_position_embeddings": POSITIONS, "type_vocab_size": 2}
TABLES = {"input_ids": VOCABULARY, "token_type_ids": 2, "position_ids": POSITIONS}
LABELS = 3


def table(name: str) -> Array:
    return np.random.default_rng(TABLES[name]).normal(0, 1, (TABLES[name], HIDDEN)).astype(np.float32)


def tokens_of(row: Sequence[int], inputs: Sequence[str]) -> Array:
    """The vectors of a row's tokens: what each of the inputs adds."""
    ids = np.array(row, dtype=np.int64)
    indices: dict[str, npt.NDArray[np.int64]] = {
        "input_ids": ids % SECOND_SEGMENT,
        "token_type_ids": ids // SECOND_SEGMENT,
        "position_ids": np.arange(len(ids)),
    }
    found: Array = np.sum([table(name)[indices[name]] for name in TABLES if name in inputs], axis=0)
    return found


def graph(
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    outputs: Sequence[str] = ("last_hidden_state",),
    kind: int = TensorProto.INT64,
) -> onnx.ModelProto:
    """A network that adds rows of tables; what is pooled is the sum, what is padding counts if the mask is not used."""
    nodes = Nodes()
    x, *more = [nodes.op("Gather", nodes.constant(table(name)), name) for name in TABLES if name in inputs]
    for each in more:
        x = nodes.op("Add", x, each)
    mask = nodes.op("Unsqueeze", nodes.op("Cast", "attention_mask", to=TensorProto.FLOAT), nodes.integers(2))
    total = nodes.op("ReduceSum", nodes.op("Mul", x, mask), nodes.integers(1), keepdims=0)
    made: dict[str, Callable[[], str]] = {
        "sentence_embedding": lambda: total,
        "pooler_output": lambda: nodes.op("Neg", total),
        "logits": lambda: nodes.op("Slice", total, nodes.integers(0), nodes.integers(LABELS), nodes.integers(1)),
    }
    for name in outputs:
        nodes.output(name, made.get(name, lambda: x)())
    return nodes.model(
        "published",
        [helper.make_tensor_value_info(name, kind, ["texts", "longest"]) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )


def write_published(
    path: Path, model: onnx.ModelProto, *, file: str = "onnx/model.onnx", mode: str = "mean_tokens"
) -> Path:
    write_tokenizer(path)
    write_json(path / "config.json", CONFIG)
    write_json(path / "modules.json", MODULES)
    write_json(path / "1_Pooling" / "config.json", {f"pooling_mode_{mode}": True})
    (path / file).parent.mkdir(exist_ok=True)
    onnx.save_model(model, path / file)
    return path


def loaded(path: Path, pooling: Pooling | None = None) -> Model:
    folder = folder_reading.find(str(path), pooling)
    return Model(folder, graph_cache.load(folder, path / "cache"), ChosenDivision(Division(1, 1), "set"))


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
@pytest.mark.parametrize("more", [(), ("token_type_ids",), ("position_ids",), ("token_type_ids", "position_ids")])
def test_its_inputs_and_its_output_of_tokens_are_found(
    tmp_path: Path, more: tuple[str, ...], output: str, kind: int
) -> None:
    inputs = ("input_ids", "attention_mask", *more)
    model = loaded(write_published(tmp_path, graph(inputs, ["pooler_output", output], kind)))

    expected = [tokens_of(row, inputs) for row in ROWS]
    np.testing.assert_allclose(model.run(ROWS), [each.mean(axis=0) for each in expected], atol=1e-6)
    for found, tokens in zip(model.run_tokens(ROWS), expected, strict=True):
        np.testing.assert_allclose(found, tokens, atol=1e-6)


@pytest.mark.parametrize("pooling", [each for each in POOLINGS if each != "splade"])
def test_its_tokens_are_pooled_as_is_asked_or_as_the_folder_says(tmp_path: Path, pooling: Pooling) -> None:
    mode = {"last-token": "lasttoken", "weighted-mean": "weightedmean_tokens"}.get(pooling, f"{pooling}_tokens")
    mode = {"cls_tokens": "cls_token"}.get(mode, mode)
    graph_of_both = graph(outputs=["last_hidden_state", "sentence_embedding"])
    said = write_published(tmp_path / "said", graph_of_both, mode=mode)
    asked = write_published(tmp_path / "asked", graph_of_both)

    expected = [architectures.pooled(tokens_of(row, ["input_ids"]).astype(np.float64), pooling) for row in ROWS]
    np.testing.assert_allclose(loaded(said).run(ROWS), expected, atol=1e-6)
    np.testing.assert_allclose(loaded(asked, pooling).run(ROWS), expected, atol=1e-6)


def test_vectors_that_it_pools_itself_are_taken_as_they_are(tmp_path: Path) -> None:
    """Its dense layers are inside, so those of the folder are not applied once more."""
    path = write_published(tmp_path, graph(outputs=["sentence_embedding"]))
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    write_json(path / "modules.json", [*MODULES[:2], dense, MODULES[2]])
    write_json(path / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.linear.Identity"})
    write_safetensors(path / "2_Dense" / "model.safetensors", {"linear.weight": np.eye(4, HIDDEN, dtype=np.float32)})
    model = loaded(path)

    expected = [tokens_of(row, ["input_ids"]).sum(axis=0) for row in ROWS]
    np.testing.assert_allclose(model.run_with_head(ROWS), expected, atol=1e-6)
    with pytest.raises(TeiError, match="no vectors of tokens"):
        model.run_tokens(ROWS)


def test_dense_layers_of_the_folder_come_after_vectors_that_are_pooled_here(tmp_path: Path) -> None:
    path = write_published(tmp_path, graph())
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    write_json(path / "modules.json", [*MODULES[:2], dense])
    write_json(path / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.linear.Identity"})
    write_safetensors(
        path / "2_Dense" / "model.safetensors", {"linear.weight": 2 * np.eye(4, HIDDEN, dtype=np.float32)}
    )

    expected = [2 * tokens_of(row, ["input_ids"]).mean(axis=0)[:4] for row in ROWS]
    np.testing.assert_allclose(loaded(path).run_with_head(ROWS), expected, atol=1e-6)


def test_a_classifier_answers_its_scores_and_knows_the_segments_of_a_pair(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    path = write_published(tmp_path, graph(inputs, ["logits"]))
    labels = {str(place): f"label {place}" for place in range(LABELS)}
    write_json(path / "config.json", {**CONFIG, "architectures": ["XForSequenceClassification"], "id2label": labels})
    model = loaded(path)

    rows = model.tokenizer.encode([("w4 w5", "w6"), "w7"], None, "right", truncate=True)
    assert rows[0][-1] > SECOND_SEGMENT
    expected = [tokens_of(row, inputs).sum(axis=0)[:LABELS] for row in rows]
    np.testing.assert_allclose(model.run_with_head(rows), expected, atol=1e-6)


def test_a_known_family_without_weights_is_served_by_its_graph_and_with_weights_by_ours(tmp_path: Path) -> None:
    path = write_model(tmp_path, tiny_config("bert"), tiny_tensors("bert"))
    onnx.save_model(graph(), path / "model.onnx")

    assert folder_reading.find(str(path)).published_graph is None
    (path / "model.safetensors").unlink()
    assert path / "model.onnx" == folder_reading.find(str(path)).published_graph


def test_a_network_of_a_known_family_that_is_not_built_here_is_served_by_its_graph(tmp_path: Path) -> None:
    """Such as jina-embeddings-v2, which is `bert` with other positions."""
    path = write_model(tmp_path, tiny_config("bert") | {"position_embedding_type": "alibi"}, tiny_tensors("bert"))
    with pytest.raises(ModelFolderError, match="position_embedding_type is 'alibi'; only 'absolute' is understood"):
        folder_reading.find(str(path))

    onnx.save_model(graph(), path / "model.onnx")

    assert path / "model.onnx" == folder_reading.find(str(path)).published_graph
    write_json(path / "config.json", tiny_config("bert") | {"num_attention_heads": 0})
    with pytest.raises(ModelFolderError, match="num_attention_heads is 0"):
        folder_reading.find(str(path))


def test_the_longest_text_is_that_of_the_network_or_of_its_tokenizer(tmp_path: Path) -> None:
    path = write_published(tmp_path, graph())

    assert POSITIONS == folder_reading.find(str(path)).tokens_max
    write_json(path / "tokenizer_config.json", {"model_max_length": 1e30})
    assert POSITIONS == folder_reading.find(str(path)).tokens_max
    write_json(path / "tokenizer_config.json", {"model_max_length": 12})
    assert 12 == folder_reading.find(str(path)).tokens_max
    write_json(path / "tokenizer_config.json", {})
    write_json(path / "config.json", {"model_type": "unheard_of"})
    assert 512 == folder_reading.find(str(path)).tokens_max


@pytest.mark.parametrize(
    ("inputs", "outputs", "named"),
    [
        (("input_ids", "attention_mask", "pixel_values"), ["last_hidden_state"], "its inputs pixel_values"),
        (("input_ids", "attention_mask"), ["pooler_output"], "its outputs pooler_output"),
    ],
)
def test_a_graph_of_another_kind_is_refused_by_name(
    tmp_path: Path, inputs: tuple[str, ...], outputs: list[str], named: str
) -> None:
    with pytest.raises(ModelFolderError, match=rf"model\.onnx: .*{named}"):
        loaded(write_published(tmp_path, graph(inputs, outputs)))


def test_a_graph_that_takes_no_text_of_another_length_is_refused_at_once(tmp_path: Path) -> None:
    fixed = graph()
    for each in fixed.graph.input:
        for axis, size in zip(each.type.tensor_type.shape.dim, (2, 7), strict=True):
            axis.dim_value = size

    with pytest.raises(ModelFolderError, match=r"model\.onnx: the first pass failed: .*invalid dimensions"):
        loaded(write_published(tmp_path, fixed))


def test_it_is_neither_quantised_nor_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_published(tmp_path, graph())

    with pytest.raises(ModelFolderError, match="can be served, but neither quantised nor converted"):
        graph_cache.load(folder_reading.find(str(path)), tmp_path / "cache", "int8")
    assert 2 == conversion.convert([str(path), str(tmp_path / "out")])
    assert "neither quantised nor converted" in capsys.readouterr().err


def test_a_damaged_graph_is_named(tmp_path: Path) -> None:
    path = write_published(tmp_path, graph())
    (path / "onnx" / "model.onnx").write_bytes(b"no graph")

    with pytest.raises(ModelFolderError, match=r"cannot load .*model\.onnx: "):
        loaded(path)


def test_in_the_hubs_cache_its_weights_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache has links to files that are named by their hash."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--some--model"
    path = write_published(root / "snapshots" / commit, graph())
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    whole = onnx.load(path / "onnx" / "model.onnx")
    onnx.save_model(
        whole, path / "onnx" / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=100
    )
    (root / "blobs").mkdir()
    for place, file in enumerate(sorted((path / "onnx").iterdir())):
        file.rename(root / "blobs" / f"{place}")
        file.symlink_to(Path("..", "..", "..", "blobs", f"{place}"))

    folder = folder_reading.find(None, model_id="some/model")

    model = Model(folder, graph_cache.load(folder, tmp_path / "graphs"), ChosenDivision(Division(1, 1), "set"))
    expected = [tokens_of(row, ["input_ids"]).mean(axis=0) for row in ROWS]
    np.testing.assert_allclose(model.run(ROWS), expected, atol=1e-6)
