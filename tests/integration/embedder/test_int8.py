"""The packaged model with products in int8: its vectors stay near the exact ones, and a start says how near."""

from pathlib import Path

import numpy as np
import pytest

from autobatch_embedder.model import loaded_model
from autobatch_embedder.model.loaded_model import Model
from autobatch_embedder.model.network.quantizing import COSINES
from tests.support.servers.embedder_server import settings


@pytest.mark.timeout(120)  # it computes a thousand sentences twice, and hashes 90 MB three times
def test_int8_keeps_the_vectors_of_a_thousand_sentences_and_says_so_at_each_start(model: Model, tmp_path: Path) -> None:
    of_int8 = settings(embedder_cache_dir=str(tmp_path), embedder_quantize="int8")
    built, found = (loaded_model.load(of_int8, None) for _ in range(2))

    assert built.quantized == found.quantized
    assert all(0.99 <= float(found.quantized[name]) < 1 for name in COSINES)
    assert {} == model.quantized
    assert ("int8", "float32") == (found.dtype, model.dtype)
    rows = model.tokenizer.encode(["hello world", "cats sit on mats"], None, "right", truncate=True)
    exact, rounded = model.run(rows), found.run(rows)
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    assert np.all((exact * rounded).sum(axis=1) / lengths >= 0.99)
