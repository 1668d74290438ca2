"""The answers that a client must get: the upstream's own, requested without an SDK and without the proxy."""

import json
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np

ASK_INPUTS_MAX = 32  # what the upstream takes in one call
TOLERANCE = 1e-5
DISTINCT = 1e-2  # different texts differ by far more than that

Input = str | list[int]


class Truth:
    """The upstream's own answers; each is asked for once."""

    def __init__(self, embedder: str) -> None:
        self._url = f"{embedder}/embed"
        self._answers: dict[bytes, Any] = {}

    def of(self, inputs: Sequence[Input], **options: Any) -> Any:
        """Return one row per input, options as of `POST /embed`. Fails if rows of different inputs are equal."""
        starts = range(0, len(inputs), ASK_INPUTS_MAX)
        rows = np.array([row for start in starts for row in self._ask(inputs[start : start + ASK_INPUTS_MAX], options)])
        assert rows.shape[0] == len(inputs)
        differences = np.abs(rows[:, None] - rows[None]).max(axis=2)  # (inputs, inputs)
        for first, second in np.argwhere(differences < DISTINCT):
            assert inputs[first] == inputs[second], "the upstream cannot tell these apart; the test would see nothing"
        return rows

    def _ask(self, inputs: Sequence[Input], options: dict[str, Any]) -> Any:
        body = json.dumps({"inputs": list(inputs)} | options).encode()
        if body not in self._answers:
            request = urllib.request.Request(self._url, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._answers[body] = json.load(answer)
        return self._answers[body]


def assert_rows(got: Any, expected: Any) -> None:
    """Compare the vectors that a client returned, in the order of its inputs."""
    np.testing.assert_allclose(np.array(got, dtype=np.float64), expected, rtol=0, atol=TOLERANCE)


def texts(count: int, about: str) -> list[str]:
    """Return different texts of different lengths."""
    return [f"{about}: number {number}" + ", and so on" * (number % 5) for number in range(count)]
