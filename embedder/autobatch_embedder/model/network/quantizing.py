"""Compute a graph's products in int8, and say what that costs in accuracy.

Weights have a scale for each output, inputs of products one for all (`int8_ranges`). Both are fixed when the graph is
made, so a text has the same vector whatever is computed beside it. Inputs are without a sign and weights with one: for
these ONNX Runtime uses the CPU's products of 8 bits (AMX, VNNI), 1,500 to 2,000 billion operations a second and core
where float32 has 150. With both with a sign it has 30, with both without 170.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from autobatch_embedder.model.network.int8_ranges import Int8Range, fitted
from autobatch_embedder.model.network.nodes import OF_ONNXRUNTIME
from autobatch_embedder.model.network.packing import pack
from autobatch_embedder.model_files.heads import Array

COSINES = ("cosine_min", "cosine_mean")
"""In the graph's metadata: of a pooled vector of the int8 graph and that of the float32 graph, over SENTENCES."""

PRODUCTS = "int8_products"
"""In the graph's metadata: `all`, or `widening` where the cosines with all are below COSINE_MIN and better with those."""

COSINE_MIN = 0.99

_WHO = "a doctor|my neighbour|the committee|every student|our new engineer|an old farmer|the pilot|nobody|she|the bank"
_DID = "bought|described|forgot about|wants to sell|is looking for|repaired|criticised|has never seen|paid for|measured"
_WHAT = "a small house|the annual report|three bicycles|an expensive wine|its own history|the broken engine|"
_WHAT += "a recipe for bread|the results of the election|music|seventeen letters in an unknown language"
SENTENCES = [f"{who} {did} {what}." for who, did, what in product(*(text.split("|") for text in (_WHO, _DID, _WHAT)))]
"""1,000 of them, 3 to 15 words long."""

_BATCH = 32  # sentences in one pass
_WEIGHTS_MAX = 127
_SAMPLES = 256  # texts of random words, of which the ranges are taken
_SAMPLE_TOKENS_MAX = 64


def quantized(built: bytes, rows: Sequence[Sequence[int]], vocabulary: int) -> bytes:
    """Return the packed graph with products in int8, and COSINES and PRODUCTS in its metadata.

    Args:
        built: A graph of `graph.build`.
        rows: Token ids of SENTENCES.
        vocabulary: Token ids are 0 to vocabulary - 1.
    """
    exact = _vectors(built, rows)
    ranges = _ranges(onnx.load_from_string(built), _samples(rows, vocabulary))
    found: list[tuple[float, bytes]] = []
    for products in ("all", "widening"):
        model = onnx.load_from_string(built)
        _quantize(model.graph, ranges, only_widening=products == "widening")
        if all(each.domain != OF_ONNXRUNTIME for each in model.opset_import):
            model.opset_import.append(helper.make_opsetid(OF_ONNXRUNTIME, 1))
        cosines = _cosines(exact, _vectors(model.SerializeToString(), rows))
        least, mean = float(cosines.min()), float(cosines.mean())
        helper.set_model_props(
            model, {PRODUCTS: products, **dict(zip(COSINES, (f"{least:.5f}", f"{mean:.5f}"), strict=True))}
        )
        found.append((least, model.SerializeToString()))
        if least >= COSINE_MIN:
            break
    return max(found)[1]


def _samples(rows: Sequence[Sequence[int]], vocabulary: int) -> list[list[int]]:
    """Texts of any words, between the first and last ids of real ones, which are special tokens.

    Not SENTENCES themselves, or their cosines would say nothing about other texts.
    """
    random = np.random.default_rng(5)
    samples = []
    for place, length in enumerate(random.integers(1, _SAMPLE_TOKENS_MAX, _SAMPLES)):
        real = rows[place % len(rows)]
        samples.append([real[0], *random.integers(0, vocabulary, length).tolist(), real[-1]])
    return samples


def _ranges(model: onnx.ModelProto, samples: Sequence[Sequence[int]]) -> dict[str, Int8Range]:
    """Return the range of each input of a product, by its name."""
    weights = _weights(model.graph)
    names = list(dict.fromkeys(node.input[0] for node in model.graph.node if _is_product(node, weights)))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = _session(model.SerializeToString())
    lows: dict[str, Array] = {}
    highs: dict[str, Array] = {}
    for feed in map(pack, _batches(samples)):
        for name, values in zip(names, session.run(names, feed), strict=True):  # (tokens, components) float32 each
            low, high = values.min(axis=0), values.max(axis=0)
            lows[name] = np.minimum(lows.get(name, low), low)
            highs[name] = np.maximum(highs.get(name, high), high)
    return {name: fitted(lows[name], highs[name]) for name in names}


def _quantize(graph: onnx.GraphProto, ranges: Mapping[str, Int8Range], *, only_widening: bool) -> None:
    weights = _weights(graph)
    biases = {node.input[0]: node for node in graph.node if node.op_type == "Add" and _dims(node, weights) == 1}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, onnx.TensorProto] = {}
    prepared: dict[str, str] = {}  # the int8 form of each input, by the input
    dropped: set[str] = set()  # values that a product has made with its bias
    for node in graph.node:
        if node.output[0] in dropped:
            continue
        weight = weights.get(node.input[1]) if _is_product(node, weights) else None
        if weight is None or (only_widening and weight.dims[0] > weight.dims[1]):
            nodes.append(node)
            continue
        x, out, bias = node.input[0], node.output[0], ""
        if x not in prepared:
            made, x_constants = _prepared(x, ranges[x])
            nodes += made
            constants |= x_constants
            prepared[x] = made[-1].output[0]
        if out in biases:
            out, bias = biases[out].output[0], biases[out].input[1]
            dropped.add(out)
        constants |= {each.name: each for each in _columns(weights.pop(weight.name), ranges[x])}
        inputs = [prepared[x], f"{weight.name}_int8", f"{x}_scale", f"{weight.name}_scale", f"{x}_zero", "", bias]
        nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [out], domain=OF_ONNXRUNTIME))
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [*weights.values(), *constants.values()]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _prepared(x: str, found: Int8Range) -> tuple[list[onnx.NodeProto], dict[str, onnx.TensorProto]]:
    """Return the nodes that make an input of a product int8, and their constants; the last node returns it."""
    arrays: dict[str, object] = {"scale": found.scale, "zero": found.zero}
    whole = helper.make_node("QuantizeLinear", [x, f"{x}_scale", f"{x}_zero"], [f"{x}_int8"])
    nodes = [whole]
    if found.copied.size:
        arrays |= {"copied": found.copied, "shares": found.shares}
        nodes += [
            helper.make_node("Gather", [x, f"{x}_copied"], [f"{x}_large"], axis=1),
            helper.make_node("Mul", [f"{x}_large", f"{x}_shares"], [f"{x}_parts"]),
            helper.make_node("QuantizeLinear", [f"{x}_parts", f"{x}_scale", f"{x}_zero"], [f"{x}_parts_int8"]),
            helper.make_node("Concat", [f"{x}_int8", f"{x}_parts_int8"], [f"{x}_wide_int8"], axis=1),
        ]
    constants = [numpy_helper.from_array(np.asarray(array), f"{x}_{name}") for name, array in arrays.items()]
    return nodes, {each.name: each for each in constants}


def _columns(weight: onnx.TensorProto, found: Int8Range) -> Iterator[onnx.TensorProto]:
    """Yield the weights for such an input: (in + copies, out) int8, and a scale for each output."""
    values = numpy_helper.to_array(weight)  # (in, out) float32
    scale = np.maximum(np.abs(values).max(axis=0), np.finfo(np.float32).tiny) / np.float32(_WEIGHTS_MAX)  # (out,)
    integers = np.rint(values / scale).astype(np.int8)
    copies = integers[found.copied]
    integers[found.copied] = 0
    yield numpy_helper.from_array(np.concatenate([integers, copies]), f"{weight.name}_int8")
    yield numpy_helper.from_array(scale, f"{weight.name}_scale")


def _weights(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {each.name: each for each in graph.initializer}


def _is_product(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    return bool(node.op_type == "MatMul" and _dims(node, weights) == 2)


def _dims(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> int:
    """The dimensions of the constant that is a node's second input; 0: it is none."""
    return len(weights[node.input[1]].dims) if node.input[1] in weights else 0


def _cosines(exact: Array, rounded: Array) -> Array:
    """One for each row; 0 where one of the two is nothing but zeros."""
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    cosines: Array = np.divide((exact * rounded).sum(axis=1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return cosines


def _vectors(graph: bytes, rows: Sequence[Sequence[int]]) -> Array:
    session = _session(graph)
    return np.concatenate([session.run(["pooled"], pack(batch))[0] for batch in _batches(rows)])


def _batches(rows: Sequence[Sequence[int]]) -> list[Sequence[Sequence[int]]]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
