"""The steps after the forward pass: cutting, normalising, probabilities, comparing. Pure."""

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def finish(pooled: Vectors, dimensions: int | None, *, normalize: bool) -> Vectors:
    """Cut pooled vectors to their first `dimensions`, then scale each to length 1, in TEI's order and precision.

    Args:
        pooled: (n, size) float32.
        dimensions: 1 to size, or None for all.
        normalize: Whether to scale. A vector of zeros becomes NaN, as in TEI.

    Returns:
        (n, dimensions) float32, C-contiguous.
    """
    vectors = np.ascontiguousarray(pooled[:, :dimensions])
    if not normalize:
        return vectors
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))  # (n, 1) float64
        scales: Vectors = (1.0 / lengths).astype(np.float32)
        return np.multiply(vectors, scales)


def probabilities(scores: Vectors) -> Vectors:
    """Turn scores of classes into probabilities: the sigmoid of a single one, else the softmax.

    Args:
        scores: (n, classes) float32.

    Returns:
        (n, classes) float32.
    """
    if scores.shape[1] == 1:
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-scores)), dtype=np.float32)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def cosines(vectors: Vectors) -> Vectors:
    """Compare the first vector with each of the others.

    Args:
        vectors: (1 + n, size) float32, of any length except zero.

    Returns:
        (n,) float32, -1 to 1, computed in float64.
    """
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    result: Vectors = (wide[1:] @ wide[0]).astype(np.float32)
    return result
