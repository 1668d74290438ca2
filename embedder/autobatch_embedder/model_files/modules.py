"""The modules of a Sentence Transformers folder after the network: pooling, dense layers, normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files import config as configs
from autobatch_embedder.model_files.families.encoder import Activation

Pooling = Literal["mean", "cls", "max", "last-token", "weighted-mean", "splade"]
"""How the vectors of the tokens become one, in TEI's words; weighted-mean: a token counts by its place, from 1."""
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

_MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last-token",
    "pooling_mode_weightedmean_tokens": "weighted-mean",
}
_NAMES: dict[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "max": "max",
    "lasttoken": "last-token",
    "weightedmean": "weighted-mean",
}
_ACTIVATIONS: dict[str, Activation] = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
}
_LOGARITHMS = {"relu": 1, "log1p_relu": 2}  # one is taken in any case


@dataclass(frozen=True, slots=True)
class DenseFile:
    """A dense layer after the pooling.

    Attributes:
        path: Its safetensors file, with `linear.weight` and perhaps `linear.bias`.
        activation: After the product.
        shape: Of its weight, as its config says: (out, in); None: it does not say.
        has_bias: As its config says; None: it does not say.
    """

    path: Path
    activation: Activation
    shape: tuple[int | None, int | None] = (None, None)
    has_bias: bool | None = None


@dataclass(frozen=True, slots=True)
class Modules:
    """What modules.json names.

    Attributes:
        transformer: The folder of the network and its tokenizer.
        pooling: None: the folder does not say, as that of a model with a head for classes.
        dense: After the pooling, in order.
        normalize: Whether vectors get length 1 at the end. A client may ask for either.
        logarithms: How often log(1 + x) is taken of the scores of words, for `splade`.
    """

    transformer: Path
    pooling: Pooling | None
    dense: tuple[DenseFile, ...] = ()
    normalize: bool = False
    logarithms: int = 1


def read(path: Path) -> Modules:
    """Read the folder's modules; without modules.json, the network alone.

    Raises:
        ModelFolderError: A module is not understood.
    """
    file = path / "modules.json"
    if not file.is_file():
        return Modules(path, _of_file(path / "1_Pooling" / "config.json") if (path / "1_Pooling").is_dir() else None)
    modules = [(str(m["type"]).rpartition(".")[2], path / m.get("path", "")) for m in _list(file)]
    kinds = [kind for kind, _ in modules]
    folders = [folder for _, folder in modules]
    if len(kinds) == 2 and kinds[0].endswith("Transformer") and kinds[1] == "SpladePooling":
        config = configs.read(folders[1] / "config.json")
        config.only("pooling_strategy", "max")
        logarithms = config.choice("activation_function", choices=_LOGARITHMS, default="relu")
        return Modules(folders[0], "splade", logarithms=logarithms)
    if kinds == ["Transformer"]:
        return Modules(folders[0], None)
    dense = kinds[2 : len(kinds) - (kinds[-1] == "Normalize")]
    if kinds[:2] != ["Transformer", "Pooling"] or set(dense) - {"Dense"}:
        raise ModelFolderError(f"{file}: modules {kinds} are not understood")
    return Modules(
        transformer=folders[0],
        pooling=_of_file(folders[1] / "config.json"),
        dense=tuple(map(_dense, folders[2 : 2 + len(dense)])),
        normalize=kinds[-1] == "Normalize",
    )


def _list(file: Path) -> Sequence[dict[str, str]]:
    value = configs.read_value(file)
    if not isinstance(value, list) or not all(isinstance(module, dict) and "type" in module for module in value):
        raise ModelFolderError(f"{file}: not a list of modules with a `type`")
    return value


def _of_file(file: Path) -> Pooling:
    config = configs.read(file)
    config.only("include_prompt", True)
    if "pooling_mode" in config:
        return config.choice("pooling_mode", choices=_NAMES)
    modes = [key for key, value in config.items() if key.startswith("pooling_mode") and value is True]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise config.fault(f"{modes} is on; understood is one of {', '.join(_MODES)}")
    return _MODES[modes[0]]


def _dense(folder: Path) -> DenseFile:
    config = configs.read(folder / "config.json")
    name = str(config.value("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise config.fault(f"activation_function is {name!r}; understood are {', '.join(_ACTIVATIONS)}")
    config.only("module_input_name", "sentence_embedding")
    config.only("module_output_name", "sentence_embedding")
    file = folder / "model.safetensors"
    if not file.is_file():
        raise ModelFolderError(f"{file}: no such file")
    return DenseFile(
        file,
        _ACTIVATIONS[name],
        shape=(config.value("out_features", None), config.value("in_features", None)),
        has_bias=config.value("bias", None),
    )
