"""Read safetensors files: 8 bytes of header length, a JSON header, then the raw tensors. One file, or parts of one."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files import config
from autobatch_embedder.model_files.families.table import Tensors

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Names the parts of a model that is not in one file."""
NAMES = (FILE, INDEX)

_HEADER_MAX_BYTES = 100_000_000  # the format's own limit
_SKIPPED = frozenset({"I64"})  # `position_ids`, a buffer in older exports that is not needed
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


def files(folder: Path) -> list[Path]:
    """Return the files with the weights of a folder, in the order of their names.

    Raises:
        ModelFolderError: There are none.
    """
    if (folder / FILE).is_file():
        return [folder / FILE]
    index = folder / INDEX
    if not index.is_file():
        raise ModelFolderError(f"{folder / FILE}: no such file")
    parts = set(dict(config.read(index).inner("weight_map").items()).values())
    missing = next((folder / part for part in sorted(parts) if not (folder / part).is_file()), None)
    if missing:
        raise ModelFolderError(f"{missing}: no such file, but {INDEX} names it")
    return [folder / part for part in sorted(parts)]


def read_all(folder: Path) -> Tensors:
    """Return the tensors of a folder by name. Raises as `read`."""
    return {name: tensor for file in files(folder) for name, tensor in read(file).items()}


def read(path: Path) -> Tensors:
    """Map a file into memory and return its tensors by name as float32, read-only; those of 32 bits are not copied.

    Raises:
        ModelFolderError: The file is not a safetensors file, or holds tensors of another type.
    """
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        header_bytes = int.from_bytes(data[:8].tobytes(), "little")
        if not 2 <= header_bytes <= min(_HEADER_MAX_BYTES, data.size - 8):
            raise ModelFolderError(f"{path}: a header of {header_bytes} bytes in a file of {data.size}")
        header = orjson.loads(data[8 : 8 + header_bytes].tobytes())
        header.pop("__metadata__", None)
        tensors_end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelFolderError(f"{path}: not a safetensors file: {error}") from error
    tensors = data[8 + header_bytes :]
    if tensors.size != tensors_end:
        raise ModelFolderError(f"{path}: {tensors.size} bytes of tensors, the header says {tensors_end}; cut off?")
    return {
        name: _tensor(path, name, entry, tensors) for name, entry in header.items() if entry["dtype"] not in _SKIPPED
    }


def _tensor(path: Path, name: str, entry: dict[str, Any], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    kind = entry["dtype"]
    if kind not in _BYTES:
        raise ModelFolderError(f"{path}: {name}: type {kind} is not understood, only {', '.join(_BYTES)}")
    shape: list[int] = entry["shape"]
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= data.size or end - start != _BYTES[kind] * math.prod(shape):
        raise ModelFolderError(f"{path}: {name}: bytes {start} to {end} do not hold the shape {shape}")
    raw = data[start:end]
    if kind == "F32":
        return raw.view("<f4").reshape(shape)
    if kind == "F16":
        return raw.view("<f2").astype(np.float32).reshape(shape)
    # bfloat16 is the upper half of a float32.
    return (raw.view("<u2").astype("<u4") << 16).view("<f4").reshape(shape)
