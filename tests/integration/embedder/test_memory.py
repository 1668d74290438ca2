"""What the embedder's process keeps of its memory."""

import sys
from pathlib import Path

import pytest

from autobatch_embedder.model.loaded_model import Model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def private_mb() -> float:
    """Of this process, in pages that are no file's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def test_what_full_passes_needed_is_given_back_and_vectors_stay_the_same(model: Model) -> None:
    rows = [[101, *range(2000, 2254), 102]] * 8
    before = model.run(rows)
    grown_mb = private_mb()

    model.give_back()

    assert private_mb() < grown_mb - 5
    assert (model.run(rows) == before).all()
