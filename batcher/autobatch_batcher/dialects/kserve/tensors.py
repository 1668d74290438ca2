"""Tensors of the Open Inference Protocol: texts and token ids into one, and rows of JSON out of one. Needs numpy. Pure.

A row of 384 float32 costs 9 us to print, as the shortest text that is the same number; Python's own floats cost 16 us and twice the bytes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson

from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.kserve import kserve_pb2 as kserve


def _bfloat16(raw: bytes) -> Any:
    """The upper half of a float32 each."""
    return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")


#: How the numbers of each datatype are read from `raw_output_contents`, where they are little-endian.
_READ: dict[str, Callable[[bytes], Any]] = {
    "FP32": lambda raw: np.frombuffer(raw, "<f4"),
    "FP16": lambda raw: np.frombuffer(raw, "<f2").astype("<f4"),
    "BF16": _bfloat16,
    "FP64": lambda raw: np.frombuffer(raw, "<f8"),
}
FLOATS = frozenset(_READ)


def text_tensor(name: str, dimensions: int, texts: Sequence[str]) -> kserve.ModelInferRequest.Input:
    """Return BYTES of shape (texts, 1, ...), with so many dimensions."""
    return kserve.ModelInferRequest.Input(
        name=name,
        datatype="BYTES",
        shape=[len(texts)] + [1] * (dimensions - 1),
        contents=kserve.Contents(bytes_contents=[text.encode() for text in texts]),
    )


def token_tensors(
    names: Sequence[str], ids: Sequence[Sequence[int]], *, width: int = 0, pad_id: int = 0, pads_left: bool = False
) -> list[tuple[kserve.ModelInferRequest.Input, bytes]]:
    """Return INT64 of shape (inputs, tokens) for each name, and its content: ids, 1 where a mask has a token, else 0.

    Args:
        names: The tensors' names.
        ids: The token ids of each input.
        width: Number of tokens in each row; 0: the most that an input has.
        pad_id: What rows of ids are filled up with.
        pads_left: Whether they are filled up before their tokens.
    """
    width = width or max(map(len, ids))
    columns = {name: np.full((len(ids), width), pad_id if name.endswith("input_ids") else 0, "<i8") for name in names}
    for place, own in enumerate(ids):
        where = slice(width - len(own), width) if pads_left else slice(len(own))
        for name, column in columns.items():
            if name.endswith("input_ids"):
                column[place, where] = own
            elif name.endswith("attention_mask"):
                column[place, where] = 1
    return [
        (kserve.ModelInferRequest.Input(name=name, datatype="INT64", shape=column.shape), column.tobytes())
        for name, column in columns.items()
    ]


def rows_of(answer: kserve.ModelInferResponse, name: str, count: int, length: int | None) -> list[bytes]:
    """Return the rows of an output of shape (count, length), each as a JSON array; what is not a number is null.

    Args:
        answer: The upstream's answer.
        name: The output's name; empty: it is the only one.
        count: Number of inputs in the call.
        length: Number of components that each row must have; None: any.

    Raises:
        UpstreamProtocolError: The output is not there, or has another shape, or other content than its shape says.
    """
    place, output = _output(answer, name)
    read = _READ.get(output.datatype)
    if read is None:
        raise UpstreamProtocolError(f"The upstream's output `{output.name}` is {output.datatype[:20]} and not a vector")
    shape = tuple(output.shape)
    if len(shape) != 2 or shape[0] != count or shape[1] < 1 or (length is not None and shape[1] != length):
        asked = f"({count}, {length or 'any'})"
        raise UpstreamProtocolError(f"The upstream's output `{output.name}` has shape {shape} and not {asked}")
    try:
        matrix = _numbers(answer, place, output, read).reshape(shape)
    except ValueError as exc:
        raise UpstreamProtocolError(
            f"The upstream's output `{output.name}` has not the content of its shape {shape}"
        ) from exc
    return [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in matrix]


def _output(answer: kserve.ModelInferResponse, name: str) -> tuple[int, kserve.ModelInferResponse.Output]:
    for place, output in enumerate(answer.outputs):
        if output.name == name or (not name and len(answer.outputs) == 1):
            return place, output
    names = ", ".join(output.name for output in answer.outputs)
    raise UpstreamProtocolError(f"The upstream has no output `{name}`: it answered with {names or 'none'}")


def _numbers(
    answer: kserve.ModelInferResponse,
    place: int,
    output: kserve.ModelInferResponse.Output,
    read: Callable[[bytes], Any],
) -> Any:
    """The content of an output, all in one row.

    Raises:
        ValueError: There is none, or it ends within a number.
    """
    if answer.raw_output_contents:
        if len(answer.raw_output_contents) != len(answer.outputs):
            raise ValueError
        return read(answer.raw_output_contents[place])
    if output.datatype == "FP64":
        return np.array(output.contents.fp64_contents, "<f8")
    return np.array(output.contents.fp32_contents, "<f4")
