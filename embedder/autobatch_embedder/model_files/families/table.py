"""The families of encoders: how each one's config and tensors are read. One row a `model_type`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families import bert, distilbert, modernbert, mpnet, nomic_bert
from autobatch_embedder.model_files.families.encoder import Encoder

Tensors = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        read: Makes the description from config.json.
        names: Patterns of its tensors' names, and the common names, which are BERT's.
    """

    read: Callable[[Config], Encoder]
    names: tuple[tuple[str, str], ...] = ()


FAMILIES: dict[str, Family] = {
    "bert": Family(bert.bert),
    "roberta": Family(bert.roberta),
    "xlm-roberta": Family(bert.roberta),
    "camembert": Family(bert.roberta),
    "distilbert": Family(distilbert.distilbert, distilbert.NAMES),
    "mpnet": Family(mpnet.mpnet, mpnet.NAMES),
    "modernbert": Family(modernbert.modernbert, modernbert.NAMES),
    "nomic_bert": Family(nomic_bert.nomic_bert, nomic_bert.NAMES),
}
"""By `model_type` in config.json."""

_WORDS = re.compile(r"^(.*)embeddings\.(?:word|tok)_embeddings\.weight$")
_STEPS = {"q": "query", "k": "key", "v": "value", "gamma": "weight", "beta": "bias"}  # the last two: of older exports
_FUSED = {
    "attention.self.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "intermediate.both": ("intermediate.dense", "intermediate.gate"),
}


def renamed(family: Family, tensors: Tensors) -> Tensors:
    """Return the tensors by their common names: without the prefix of a model with a head, and with fused ones split.

    Those of a head keep their names.
    """
    prefix = next((found[1] for found in map(_WORDS.match, tensors) if found), "")
    common: dict[str, npt.NDArray[np.float32]] = {}
    for name, tensor in tensors.items():
        new = _common_name(family, name.removeprefix(prefix))
        for fused, parts in _FUSED.items():
            if fused in new:
                pieces = np.split(tensor, len(parts))
                common |= {new.replace(fused, part): piece for part, piece in zip(parts, pieces, strict=True)}
                break
        else:
            common[new] = tensor
    return common


def _common_name(family: Family, name: str) -> str:
    for pattern, replacement in family.names:
        name, count = re.subn(f"^{pattern}(?=\\.|$)", replacement, name)
        if count:
            break
    return ".".join(_STEPS.get(step, step) for step in name.split("."))
