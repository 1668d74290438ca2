"""A server that lists several models: the one that the namespace has is kept, and nothing is asked that costs a call."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.integration.models.test_two_models import serves
from tests.support.house import open_house, ready_house
from tests.support.waiting import wait_until

VECTORS = {"old": [1.0, 0.0], "new": [0.0, 1.0]}


class Lister:
    """A server with OpenAI's API.

    Attributes:
        names: What it lists, in this order.
        asked: The paths of all requests.
    """

    def __init__(self) -> None:
        self.names = ["old"]
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": name} for name in self.names]})
        if request.path != "/v1/embeddings":
            return web.Response(status=404)
        body = await request.json()
        row = VECTORS[body.get("model", self.names[0])]
        data = [{"index": index, "embedding": row} for index in range(len(body["input"]))]
        return web.json_response({"data": data, "usage": {"total_tokens": len(data)}})


@pytest.fixture
async def lister() -> AsyncIterator[Lister]:
    made = Lister()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.mark.usefixtures("_quick_probes")
async def test_a_model_that_is_listed_before_it_takes_nothing_over(redis_url: str, lister: Lister) -> None:
    async with ready_house(redis_url, lister.url) as house:
        lister.names = ["new", "old"]
        looks = lister.asked.count("/v1/models")
        await wait_until(lambda: lister.asked.count("/v1/models") > looks + 4)
        assert await house.embed("a") == (200, [VECTORS["old"]])


@pytest.mark.usefixtures("_quick_probes")
async def test_nor_does_it_where_the_batcher_is_started_anew(redis_url: str, lister: Lister) -> None:
    async with open_house(redis_url) as house:
        first = await house.add_batcher(lister.url)
        await wait_until(house.is_healthy)
        await first.stop()
        lister.names = ["new", "old"]
        await house.add_batcher(lister.url)
        assert await house.embed("a") == (200, [VECTORS["old"]])


@pytest.mark.usefixtures("_quick_probes")
async def test_how_it_is_its_list_says(redis_url: str, lister: Lister) -> None:
    """LiteLLM's `/health` calls every model, which is billed."""
    async with ready_house(redis_url, lister.url, inference_dialect="openai"):
        looks = lister.asked.count("/v1/models")
        await wait_until(lambda: lister.asked.count("/v1/models") > looks + 4)
    assert "/health" not in lister.asked


@pytest.mark.usefixtures("_quick_probes")
async def test_a_model_of_the_table_is_the_one_of_that_name(redis_url: str, lister: Lister) -> None:
    """Vectors of another model of the same server would be answered with 200."""
    lister.names = ["old", "new"]
    async with open_house(redis_url) as house:
        await house.add_batcher_of(
            {"inference_url": lister.url, "served_model_name": "old"},
            {"inference_url": lister.url, "served_model_name": "new"},
        )
        await wait_until(lambda: serves(house, "old", "new"))
        answers = [await house.post(f"/{name}/embed", {"inputs": "a"}) for name in ("old", "new")]
    assert [[VECTORS["old"]], [VECTORS["new"]]] == [each.json for each in answers]


@pytest.mark.usefixtures("_quick_probes")
async def test_a_server_whose_models_have_other_names_is_not_called(redis_url: str, lister: Lister) -> None:
    lister.names = ["old", "new"]
    async with open_house(redis_url) as house:
        await house.add_batcher(lister.url, served_model_name="mine")

        async def says_why() -> bool:
            return b"none is called mine" in (await house.get("/status")).body

        await wait_until(says_why)
    assert "/v1/embeddings" not in lister.asked
