"""The steps after pooling, and the names of the metrics."""

import numpy as np

from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.vectors import finish

POOLED = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 5.0]], dtype=np.float32)


def test_vectors_are_cut_before_they_are_normalised() -> None:
    np.testing.assert_array_equal(finish(POOLED[:1], 2, normalize=True), np.array([[0.6, 0.8]], dtype=np.float32))


def test_whole_vectors_have_length_one() -> None:
    np.testing.assert_allclose(np.linalg.norm(finish(POOLED, None, normalize=True), axis=1), [1, 1], rtol=1e-6)


def test_without_normalising_vectors_are_only_cut() -> None:
    np.testing.assert_array_equal(finish(POOLED, 2, normalize=False), POOLED[:, :2])
    np.testing.assert_array_equal(finish(POOLED, None, normalize=False), POOLED)


def test_a_vector_of_zeros_becomes_nan_and_spoils_no_other() -> None:
    first, second = finish(POOLED, 2, normalize=True)

    assert np.isfinite(first).all()
    assert np.isnan(second).all()


def test_the_result_is_float32_in_one_piece() -> None:
    """Everything that orjson prints."""
    for normalize in (True, False):
        vectors = finish(POOLED, 2, normalize=normalize)
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous


def test_metrics_have_teis_names() -> None:
    metrics = EmbedderMetrics()
    metrics.watch_queue(lambda: 3)
    metrics.requests.labels("single").inc()
    metrics.inference_s.observe(0.001)

    lines = metrics.render().decode().splitlines()

    assert 'te_request_count{method="single"} 1.0' in lines
    assert "te_embed_count 0.0" in lines
    assert "te_queue_size 3.0" in lines
    assert "te_request_inference_duration_count 1.0" in lines
    assert not [line for line in lines if "_total" in line or "_created" in line]
