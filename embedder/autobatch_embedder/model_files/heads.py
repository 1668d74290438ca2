"""What comes after the encoder: dense layers on the pooled vector, a classifier, or SPLADE's scores of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.bert import ACTIVATIONS
from autobatch_embedder.model_files.families.encoder import Activation
from autobatch_embedder.model_files.families.table import Tensors

Array = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm.

    Attributes:
        weight: (size,).
        bias: (size,); None: there is none.
        epsilon: Added to the variance.
    """

    weight: Array
    bias: Array | None
    epsilon: float


@dataclass(frozen=True, slots=True)
class Dense:
    """One layer on vectors: a product, an activation, perhaps a norm.

    Attributes:
        weight: (out, in).
        bias: (out,); None: there is none.
        activation: After the product.
        norm: After the activation.
    """

    weight: Array
    bias: Array | None
    activation: Activation = "identity"
    norm: Norm | None = None


@dataclass(frozen=True, slots=True)
class HeadStep:
    """Where one layer of a family's head is: names of its tensors without `.weight` and `.bias`.

    Attributes:
        dense: Of the product.
        activation: After it; None: that of config.json's `activation_key`.
        norm: Of the norm after it; empty: there is none.
        activation_key: In config.json.
    """

    dense: str
    activation: Activation | None = "identity"
    norm: str = ""
    activation_key: str = "hidden_act"


_OF_ROBERTA = (HeadStep("classifier.dense", "tanh"), HeadStep("classifier.out_proj"))
_OF_MODERNBERT = HeadStep("head.dense", None, "head.norm", "classifier_activation")
CLASSIFIERS: dict[str, tuple[HeadStep, ...]] = {
    "bert": (HeadStep("pooler.dense", "tanh"), HeadStep("classifier")),
    "roberta": _OF_ROBERTA,
    "xlm-roberta": _OF_ROBERTA,
    "camembert": _OF_ROBERTA,
    "mpnet": _OF_ROBERTA,
    "distilbert": (HeadStep("pre_classifier", "relu"), HeadStep("classifier")),
    "modernbert": (_OF_MODERNBERT, HeadStep("classifier")),
}
"""The layers after the pooled vector, by `model_type`."""

_WORDS_OF_ROBERTA = (HeadStep("lm_head.dense", "gelu", "lm_head.layer_norm"), ("lm_head.decoder", "lm_head"))
WORD_HEADS: dict[str, tuple[HeadStep, tuple[str, ...]]] = {
    "bert": (
        HeadStep("cls.predictions.transform.dense", None, "cls.predictions.transform.LayerNorm"),
        ("cls.predictions.decoder", "cls.predictions"),
    ),
    "roberta": _WORDS_OF_ROBERTA,
    "xlm-roberta": _WORDS_OF_ROBERTA,
    "camembert": _WORDS_OF_ROBERTA,
    "mpnet": _WORDS_OF_ROBERTA,
    "distilbert": (
        HeadStep("vocab_transform", None, "vocab_layer_norm", "activation"),
        ("vocab_projector",),
    ),
    "modernbert": (_OF_MODERNBERT, ("decoder",)),
}
"""The layer on each token, and where weight or bias of the product with the words may be, by `model_type`."""


def classifier(config: Config, tensors: Tensors, epsilon: float) -> tuple[Dense, ...]:
    """Return the layers from a pooled vector to one score a label.

    Raises:
        ModelFolderError: The family has no such head here, or a tensor is missing.
    """
    steps = _known(config, CLASSIFIERS)
    return tuple(_layer(step, config, tensors, epsilon) for step in steps)


def word_scores(config: Config, tensors: Tensors, epsilon: float) -> tuple[Dense, ...]:
    """Return the layers from a token to one score a word of the vocabulary. Raises as `classifier`."""
    step, places = _known(config, WORD_HEADS)
    tied = "embeddings.word_embeddings"
    weight = _first(tensors, [f"{place}.weight" for place in (*places, tied)])
    bias = next((tensors[f"{place}.bias"] for place in places if f"{place}.bias" in tensors), None)
    return _layer(step, config, tensors, epsilon), Dense(weight, bias)


def _known(config: Config, rows: dict[str, T]) -> T:
    return config.choice("model_type", choices=rows)


def _layer(step: HeadStep, config: Config, tensors: Tensors, epsilon: float) -> Dense:
    named: Activation = config.choice(step.activation_key, choices=ACTIVATIONS, default="gelu")
    norm = None
    if step.norm:
        norm = Norm(_first(tensors, [f"{step.norm}.weight"]), tensors.get(f"{step.norm}.bias"), epsilon)
    return Dense(
        _first(tensors, [f"{step.dense}.weight"]), tensors.get(f"{step.dense}.bias"), step.activation or named, norm
    )


def _first(tensors: Tensors, names: Sequence[str]) -> Array:
    for name in names:
        if name in tensors:
            return tensors[name]
    raise ModelFolderError(f"model.safetensors: no tensor {' or '.join(names)}")
