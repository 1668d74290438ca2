"""int8 products: which they are, how near the result is, and that the graph says so."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from autobatch_embedder.model.network import quantizing
from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.packing import pack

WORDS, HIDDEN, INNER = 50, 16, 64


def feed_forward() -> bytes:
    """Embeddings and one feed-forward block of random weights, pooled by the mean, with the packed graph's inputs."""
    random = np.random.default_rng(3)
    nodes = Nodes()

    def weights(*shape: int) -> str:
        return nodes.constant(random.normal(0, 1, shape).astype(np.float32))

    hidden = nodes.op("Gather", weights(WORDS, HIDDEN), "input_ids")
    inner = nodes.op("Gelu", nodes.op("MatMul", hidden, weights(HIDDEN, INNER)))
    out = nodes.op("MatMul", inner, weights(INNER, HIDDEN))
    nodes.output(
        "pooled", nodes.op("ReduceMean", nodes.op("Gather", out, "grid_tokens"), nodes.integers(1), keepdims=0)
    )
    axes = {"input_ids": 1, "positions": 1, "grid_tokens": 2, "token_places": 1, "attention_mask": 2}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [f"{name}_{axis}" for axis in range(count)])
        for name, count in axes.items()
    ]
    outputs = [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["texts", HIDDEN])]
    built: bytes = nodes.model("feed_forward", inputs, outputs).SerializeToString()
    return built


def rows(count: int) -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(0, WORDS, 6).tolist() for _ in range(count)]


def test_there_are_a_thousand_different_sentences() -> None:
    assert 1000 == len(set(quantizing.SENTENCES))


def test_a_widening_product_is_int8_and_a_narrowing_one_stays_float32() -> None:
    model = onnx.load_from_string(quantizing.quantized(feed_forward(), rows(8)))

    kinds = [node.op_type for node in model.graph.node]
    assert (1, 1) == (kinds.count("MatMulInteger"), kinds.count("MatMul"))
    types = [each.data_type for each in model.graph.initializer if list(each.dims) == [HIDDEN, INNER]]
    assert [TensorProto.INT8] == types  # the float32 weights are gone


def test_the_cosines_are_those_of_its_vectors() -> None:
    built = feed_forward()
    quantized = quantizing.quantized(built, rows(20))

    exact, rounded = (
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(["pooled"], pack(rows(20)))[0]
        for graph in (built, quantized)
    )
    cosines = (exact * rounded).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    said = {each.key: float(each.value) for each in onnx.load_from_string(quantized).metadata_props}
    assert 0.99 < cosines.min() < 1
    # A call is one range of numbers, so other companions round otherwise.
    np.testing.assert_allclose([said["cosine_min"], said["cosine_mean"]], [cosines.min(), cosines.mean()], atol=2e-3)
