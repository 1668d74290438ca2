"""Read a safetensors file: 8 bytes of header length, a JSON header, then the raw tensors."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from autobatch_embedder.http.errors import ModelFolderError

Tensors = Mapping[str, npt.NDArray[np.float32]]

_HEADER_MAX_BYTES = 100_000_000  # the format's own limit
_SKIPPED = frozenset({"I64"})  # `position_ids`, a buffer in older exports that is not needed


def read(path: Path) -> Tensors:
    """Map a file into memory and return its float32 tensors by name, read-only and not copied.

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
    if entry["dtype"] != "F32":
        raise ModelFolderError(f"{path}: {name}: type {entry['dtype']} is not understood, only F32")
    shape: list[int] = entry["shape"]
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= data.size or end - start != 4 * math.prod(shape):
        raise ModelFolderError(f"{path}: {name}: bytes {start} to {end} do not hold the shape {shape}")
    return data[start:end].view("<f4").reshape(shape)
