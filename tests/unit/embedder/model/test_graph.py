"""The graph built from a tiny random model, against BERT written out in numpy."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import orjson
import pytest

from autobatch_embedder.http.errors import ModelFolderError
from autobatch_embedder.model import graph_cache, model_folder, weights
from autobatch_embedder.model.model_folder import ModelFolder
from autobatch_embedder.model.network import graph
from autobatch_embedder.model.network.packing import pack, pad

Array = npt.NDArray[np.float32]

LAYERS, HEADS, HIDDEN, INNER, VOCABULARY, POSITIONS = 2, 3, 12, 20, 30, 16
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
MODULES = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]


def random_tensors() -> dict[str, Array]:
    """Weights of a BERT of the sizes above, by their names in a safetensors file."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        linear = {f"attention.self.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value")}
        linear["attention.output.dense"] = (HIDDEN, HIDDEN)
        linear["intermediate.dense"] = (INNER, HIDDEN)
        linear["output.dense"] = (HIDDEN, INNER)
        for part, shape in linear.items():
            shapes[f"{name}{part}.weight"] = shape
            shapes[f"{name}{part}.bias"] = shape[:1]
        norms += [f"{name}attention.output.LayerNorm", f"{name}output.LayerNorm"]
    shapes |= {f"{norm}.{part}": (HIDDEN,) for norm in norms for part in ("weight", "bias")}
    random = np.random.default_rng(7)
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def write_safetensors(path: Path, tensors: dict[str, npt.NDArray[Any]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        kind = {"float32": "F32", "int64": "I64", "float16": "F16"}[tensor.dtype.name]
        offsets = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": offsets}
        data += tensor.tobytes()
    head = orjson.dumps(header)
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(value))


def oracle(tensors: dict[str, Array], rows: list[list[int]]) -> Array:
    """BERT and mean pooling."""
    return np.array([hidden.mean(axis=0) for hidden in token_oracle(tensors, rows)], dtype=np.float32)


def token_oracle(tensors: dict[str, Array], rows: list[list[int]]) -> list[npt.NDArray[np.float64]]:
    """BERT, one row at a time and so without any padding, in float64."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def norm(name: str, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def linear(name: str, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    erf = np.vectorize(math.erf)
    hidden = []
    for row in rows:
        x = w["embeddings.word_embeddings.weight"][row] + w["embeddings.position_embeddings.weight"][: len(row)]
        x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            q, k, v = (linear(f"{name}attention.self.{part}", x) for part in ("query", "key", "value"))
            mixed = []
            for head in np.split(np.arange(HIDDEN), HEADS):
                scores = q[:, head] @ k[:, head].T / math.sqrt(HIDDEN // HEADS)
                powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
                mixed.append(powers / powers.sum(axis=-1, keepdims=True) @ v[:, head])
            attended = linear(f"{name}attention.output.dense", np.concatenate(mixed, axis=-1))
            x = norm(f"{name}attention.output.LayerNorm", attended + x)
            inner = linear(f"{name}intermediate.dense", x)
            inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
            x = norm(f"{name}output.LayerNorm", linear(f"{name}output.dense", inner) + x)
        hidden.append(x)
    return hidden


def run(built: bytes | str, rows: list[list[int]], output: str = "pooled", *, is_packed: bool = True) -> Array:
    session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], (pack if is_packed else pad)(rows))[0])


@pytest.fixture
def tensors() -> dict[str, Array]:
    return random_tensors()


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, Array]) -> Path:
    """A folder that can be served, except that its tokenizer is an empty file."""
    path = tmp_path / "model"
    write_json(path / "config.json", CONFIG)
    write_json(path / "modules.json", MODULES)
    write_json(path / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    write_safetensors(path / "model.safetensors", {**tensors, "embeddings.position_ids": np.arange(POSITIONS)})
    (path / "tokenizer.json").touch()
    return path


@pytest.fixture
def model(folder: Path) -> ModelFolder:
    return model_folder.find(str(folder))


@pytest.mark.parametrize("is_packed", [True, False], ids=["packed", "padded"])
def test_graph_computes_bert_with_mean_pooling(
    model: ModelFolder, tensors: dict[str, Array], *, is_packed: bool
) -> None:
    rows = [[5, 6, 7, 8, 9], [1], [29, 3]]

    built = graph.build(model.sizes, weights.read(model.path / "model.safetensors"), is_packed=is_packed)

    np.testing.assert_allclose(run(built, rows, is_packed=is_packed), oracle(tensors, rows), atol=2e-5)


def test_graph_gives_the_vectors_of_the_tokens_too(model: ModelFolder, tensors: dict[str, Array]) -> None:
    rows = [[5, 6, 7, 8, 9], [], [1], [29, 3]]

    tokens = run(graph.build(model.sizes, tensors), rows, "tokens")

    np.testing.assert_allclose(tokens, np.concatenate(token_oracle(tensors, [row for row in rows if row])), atol=2e-5)


def test_a_padded_graph_gives_the_vectors_of_the_tokens_in_the_same_places(
    model: ModelFolder, tensors: dict[str, Array]
) -> None:
    rows = [[5, 6, 7, 8, 9], [1], [29, 3]]

    tokens = run(graph.build(model.sizes, tensors, is_packed=False), rows, "tokens", is_packed=False)

    assert tokens.shape == (3, 5, HIDDEN)
    for padded, row, expected in zip(tokens, rows, token_oracle(tensors, rows), strict=True):
        np.testing.assert_allclose(padded[: len(row)], expected, atol=2e-5)


def test_a_longest_sequence_uses_every_position(model: ModelFolder, tensors: dict[str, Array]) -> None:
    rows = [[2] * POSITIONS]

    np.testing.assert_allclose(run(graph.build(model.sizes, tensors), rows), oracle(tensors, rows), atol=2e-5)


def test_weights_with_the_prefix_of_a_head_model_are_found(model: ModelFolder, tensors: dict[str, Array]) -> None:
    prefixed = {f"bert.{name}": tensor for name, tensor in tensors.items()}

    assert graph.build(model.sizes, tensors) == graph.build(model.sizes, prefixed)


def test_a_missing_tensor_is_named(model: ModelFolder, tensors: dict[str, Array]) -> None:
    del tensors["encoder.layer.1.output.dense.bias"]

    with pytest.raises(ModelFolderError, match=r"no tensor encoder\.layer\.1\.output\.dense\.bias"):
        graph.build(model.sizes, tensors)


def test_a_tensor_of_another_shape_than_the_config_says_is_named(model: ModelFolder, tensors: dict[str, Array]) -> None:
    tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((INNER, HIDDEN + 1), dtype=np.float32)

    with pytest.raises(ModelFolderError, match=r"layer\.0\.intermediate\.dense\.weight has the shape \(20, 13\)"):
        graph.build(model.sizes, tensors)


def test_graph_is_built_once_and_found_again(model: ModelFolder, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"

    first = graph_cache.load(model, cache)
    assert isinstance(first, Path)
    built_ns = first.stat().st_mtime_ns
    again = graph_cache.load(model, cache)

    assert (first, built_ns) == (again, first.stat().st_mtime_ns)
    assert {first, first.with_suffix(".data")} == set(cache.iterdir())
    assert run(str(first), [[1, 2]]).shape == (1, HIDDEN)


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
        ("model_type", "roberta"),
        ("hidden_act", "relu"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("num_attention_heads", 5),
        ("hidden_size", "many"),
        ("layer_norm_eps", None),
    ],
)
def test_a_config_that_is_not_understood_is_refused_by_name(folder: Path, key: str, value: object) -> None:
    write_json(folder / "config.json", CONFIG | {key: value})

    with pytest.raises(ModelFolderError, match=r"config\.json"):
        model_folder.find(str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modules.json", [*MODULES, {"type": "sentence_transformers.models.Dense"}]),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
    ],
)
def test_another_pooling_is_refused(folder: Path, name: str, value: object) -> None:
    write_json(folder / name, value)

    with pytest.raises(ModelFolderError, match=name):
        model_folder.find(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "modules.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ModelFolderError, match=name):
        model_folder.find(str(folder))


def test_longest_input_is_the_smaller_of_the_two_limits(folder: Path) -> None:
    assert model_folder.find(str(folder)).tokens_max == POSITIONS
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 8})
    assert model_folder.find(str(folder)).tokens_max == 8
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 1000})
    assert model_folder.find(str(folder)).tokens_max == POSITIONS


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


def test_half_precision_weights_are_refused_by_name(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "half", {"a": np.zeros(3, dtype=np.float16)})

    with pytest.raises(ModelFolderError, match="a: type F16 is not understood"):
        weights.read(tmp_path / "half")
