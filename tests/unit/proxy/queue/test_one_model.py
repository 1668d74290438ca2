"""The jobs of one request are answered by one model, or the request is not answered."""

import pytest

from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.queue.one_model import Clients, ask_one_model
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.errors import DeadlineExceeded, UpstreamChanged
from autobatch_shared.contract.frames import ReplyHeader

PLAN = Plan([PlannedJob(1, "merge", b'["a"]'), PlannedJob(1, "merge", b'["b"]')], "/embed")


class ByModels:
    """Answers with jobs of these models."""

    def __init__(self, *models: str) -> None:
        self.models = models
        self.asked = 0

    async def ask(self, _plan: Plan, timeout_s: float) -> list[Reply]:
        assert timeout_s <= 5
        self.asked += 1
        return [(ReplyHeader("", 200, model=model), b"[[1]]") for model in self.models]


@pytest.mark.parametrize("models", [("a", "a"), ("a", ""), ("", "")])
async def test_what_one_model_answered_is_the_answer(models: tuple[str, ...]) -> None:
    """An older batcher does not say which model it was."""
    client, uncached = ByModels(*models), ByModels("b", "b")

    replies = await ask_one_model(Clients(client, uncached), PLAN, 5)

    assert [header.model for header, _ in replies] == [*models]
    assert uncached.asked == 0


async def test_what_two_models_answered_is_asked_again_whole_and_without_the_cache() -> None:
    client, uncached = ByModels("a", "b"), ByModels("b", "b")

    replies = await ask_one_model(Clients(client, uncached), PLAN, 5)

    assert [header.model for header, _ in replies] == ["b", "b"]
    assert (client.asked, uncached.asked) == (1, 1)


async def test_two_models_twice_are_an_error() -> None:
    with pytest.raises(UpstreamChanged):
        await ask_one_model(Clients(ByModels("a", "b"), ByModels("b", "a")), PLAN, 5)


async def test_nothing_is_asked_again_after_the_deadline() -> None:
    client, uncached = ByModels("a", "b"), ByModels("b", "b")

    with pytest.raises(DeadlineExceeded):
        await ask_one_model(Clients(client, uncached), PLAN, 0)
    assert uncached.asked == 0
