"""Requests for three models at once, named in every way, each answer checked for its text and its model."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from autobatch_bench.checking.oracle import row
from tests.faults.outcome import named_by
from tests.fleet.fleet import ALIASES, MODELS, ThreeModels

IN_FLIGHT = 96

Way = tuple[str, dict[str, Any], dict[str, str]]  # path, body, headers

#: How a request names its model: by its path, a header, the body, an alias.
WAYS: tuple[Callable[[str, str], Way], ...] = (
    lambda model, text: (f"/{model}/embed", {"inputs": text}, {}),
    lambda model, text: ("/embed", {"inputs": text}, {"x-model": model}),
    lambda model, text: ("/v1/embeddings", {"input": text, "model": model}, {}),
    lambda model, text: ("/v1/embeddings", {"input": text, "model": ALIASES[model]}, {}),
    lambda model, text: (f"/{model}/v1/embeddings", {"input": text}, {}),
)


async def ask_all(fleet: ThreeModels, count: int) -> Counter[str]:
    """Send so many requests, kill two of the batchers meanwhile, and return how many had which outcome."""
    outcomes: Counter[str] = Counter()
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            if number in (count // 3, 2 * count // 3):
                batcher = fleet.batchers[0 if number == count // 3 else 2]
                batcher.signal(signal.SIGKILL)
            outcomes[await _ask(fleet, number)] += 1

    await asyncio.gather(*[client() for _ in range(IN_FLIGHT)])
    return outcomes


async def _ask(fleet: ThreeModels, number: int) -> str:
    model, text = MODELS[number % len(MODELS)], f"a text like no other, number {number}"
    path, body, headers = WAYS[number % len(WAYS)](model, text)
    async with fleet.http.post(fleet.url + path, json=body, headers=headers) as answer:
        said = await answer.read()
    if answer.status != 200:
        return f"{answer.status}"
    vectors = [other for other in MODELS if row(named_by(other, text)) in said]
    if vectors != [model]:
        return f"MIXED: {vectors or 'no vector of this text'} for {model}"
    return "right" if answer.headers["X-Model"] == model else "NAMED AS ANOTHER"
