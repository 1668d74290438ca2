"""Triton's model repository: a folder for each model, with its configuration and a folder for each version."""

from pathlib import Path

import onnx

_TYPES: dict[int, str] = {onnx.TensorProto.INT64: "TYPE_INT64", onnx.TensorProto.FLOAT: "TYPE_FP32"}


def write(repository: Path, name: str, model: onnx.ModelProto, batch_size_max: int) -> None:
    """Write a model as version 1.

    Args:
        repository: May have other models.
        name: Of the model, and so of its folder.
        model: Its first axis is that of the batch.
        batch_size_max: Texts in one pass at most.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1" / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "config.pbtxt").write_text(configuration(name, model, batch_size_max), encoding="utf-8")


def configuration(name: str, model: onnx.ModelProto, batch_size_max: int) -> str:
    """Return config.pbtxt. Triton merges the requests that wait for a pass and are of the same length."""
    inputs = "\n".join(map(_tensor, model.graph.input))
    outputs = "\n".join(map(_tensor, model.graph.output))
    return f"""\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch_size_max}
input [
{inputs}
]
output [
{outputs}
]
dynamic_batching {{ }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
""".replace("}\n  {", "},\n  {")


def _tensor(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dims = ", ".join(str(dim.dim_value or -1) for dim in kind.shape.dim[1:])  # the axis of the batch is left out
    return f'  {{ name: "{value.name}" data_type: {_TYPES[kind.elem_type]} dims: [ {dims} ] }}'
