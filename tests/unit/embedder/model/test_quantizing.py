"""int8 products: which they are, how near the result is, and that the graph says so."""

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from autobatch_embedder.model.network import quantizing
from autobatch_embedder.model.network.layouts import Packed
from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.packing import pack

WORDS, HIDDEN, INNER = 50, 16, 64


def feed_forward(inner_scales: float = 1.0, bias: float = 0.0) -> bytes:
    """Embeddings and one feed-forward block of random weights, pooled by the mean, with the packed graph's inputs.

    Args:
        inner_scales: How unlike the inner components are in size: the largest to the smallest.
        bias: Of the first product.
    """
    random = np.random.default_rng(3)
    nodes = Nodes()
    scales = np.geomspace(1, inner_scales, INNER, dtype=np.float32)

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0, 1, shape).astype(np.float32)

    hidden = nodes.op("Gather", nodes.constant(weights(WORDS, HIDDEN)), "input_ids")
    product = nodes.op("MatMul", hidden, nodes.constant(weights(HIDDEN, INNER) * scales))
    inner = nodes.op("Relu", nodes.op("Add", product, nodes.constant(np.full(INNER, bias, np.float32))))
    out = nodes.op("MatMul", inner, nodes.constant(weights(INNER, HIDDEN) / scales[:, None]))
    layout = Packed(nodes)
    nodes.output("pooled", nodes.op("ReduceMean", layout.to_grid(out), nodes.integers(1), keepdims=0))
    outputs = [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["texts", HIDDEN])]
    built: bytes = nodes.model("feed_forward", layout.inputs, outputs).SerializeToString()
    return built


def rows(count: int) -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(0, WORDS, 6).tolist() for _ in range(count)]


def test_there_are_a_thousand_different_sentences() -> None:
    assert 1000 == len(set(quantizing.SENTENCES))


def vectors(graph: bytes, texts: list[list[int]]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(["pooled"], pack(texts))[0]
    return found


def said(graph: bytes) -> dict[str, str]:
    return {each.key: each.value for each in onnx.load_from_string(graph).metadata_props}


def test_all_products_are_int8_with_their_biases_inside() -> None:
    model = onnx.load_from_string(quantizing.quantized(feed_forward(bias=0.5), rows(8), WORDS))

    kinds = [node.op_type for node in model.graph.node]
    assert (2, 0, 0) == tuple(map(kinds.count, ("MatMulIntegerToFloat", "MatMul", "Add")))
    floats = [each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT and len(each.dims) == 2]
    assert [[WORDS, HIDDEN]] == [list(each.dims) for each in floats]  # the float32 weights are gone


def test_products_that_narrow_stay_float32_where_int8_is_not_near_enough() -> None:
    """More inner components are large than there may be copies."""
    built = feed_forward(inner_scales=1e6)
    quantized = quantizing.quantized(built, rows(20), WORDS)

    kinds = [node.op_type for node in onnx.load_from_string(quantized).graph.node]
    assert (1, 1) == (kinds.count("MatMulIntegerToFloat"), kinds.count("MatMul"))
    assert "widening" == said(quantized)[quantizing.PRODUCTS]
    np.testing.assert_allclose(vectors(built, rows(20)), vectors(quantized, rows(20)), atol=0.5)


def test_a_text_has_the_same_vector_whatever_is_computed_beside_it() -> None:
    quantized = quantizing.quantized(feed_forward(), rows(20), WORDS)

    together = vectors(quantized, rows(20))
    alone = np.concatenate([vectors(quantized, [row]) for row in rows(20)])
    np.testing.assert_allclose(alone, together, atol=1e-5)  # float32's own, of a sum in another order


def test_the_cosines_are_those_of_its_vectors() -> None:
    built = feed_forward()
    quantized = quantizing.quantized(built, rows(20), WORDS)

    exact, rounded = vectors(built, rows(20)), vectors(quantized, rows(20))
    cosines = (exact * rounded).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert 0.99 < cosines.min() < 1
    assert "all" == said(quantized)[quantizing.PRODUCTS]
    found = [float(said(quantized)[name]) for name in quantizing.COSINES]
    np.testing.assert_allclose(found, [cosines.min(), cosines.mean()], atol=1e-5)
