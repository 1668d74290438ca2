"""Which thread tokenises a request."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autobatch_embedder.bodies.requests import EmbedRequest
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.engine import SHORT_CHARACTERS, Engine, EngineLimits
from autobatch_embedder.model.vectors import Vectors


class RecordingTokenizer:
    """One token for each text.

    Attributes:
        threads: That have tokenised, in order.
    """

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def encode(self, inputs: Sequence[str], *_of_request: object, truncate: bool) -> list[list[int]]:
        assert truncate
        self.threads.append(threading.current_thread())
        return [[1] for _ in inputs]


def zeros(rows: list[list[int]]) -> Vectors:
    return np.zeros((len(rows), 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("texts", "is_of_loop"),
    [
        (("x" * SHORT_CHARACTERS,), True),
        (("x" * (SHORT_CHARACTERS + 1),), False),
        (("x" * SHORT_CHARACTERS, "x"), False),
    ],
)
async def test_only_a_short_request_is_tokenised_on_the_event_loop(texts: tuple[str, ...], *, is_of_loop: bool) -> None:
    tokenizer = RecordingTokenizer()
    model: Any = SimpleNamespace(
        folder=SimpleNamespace(task="embedding", dimensions=None),
        head=None,
        size=2,
        full_tokens=0,
        tokenizer=tokenizer,
        run_with_head=zeros,
        run_tokens=None,
        give_back=lambda: None,
    )
    limits = EngineLimits(batch_inputs_max=2, inputs_max=2, truncate=True)
    engine = Engine(model, limits, EmbedderMetrics())
    try:
        done = await engine.embed(EmbedRequest(texts, is_batch=True, normalize=False))
    finally:
        engine.close()

    assert (len(texts), 2) == done.vectors.shape
    assert [is_of_loop] == [thread is threading.current_thread() for thread in tokenizer.threads]
