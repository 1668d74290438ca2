"""One batcher process that serves several models: each as if it were alone there."""

import aiohttp

from autobatch_shared.contract.keys import Keys
from tests.integration.models.test_two_models import LARGE, SMALL, large_rows, large_vector, serves
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import open_house
from tests.support.ports import free_port
from tests.support.waiting import wait_until


async def test_it_answers_for_all_and_says_what_it_did_for_each(redis_url: str) -> None:
    small, large, port = FakeUpstream(), FakeUpstream(rows=large_rows), free_port()
    await small.start()
    await large.start()
    async with open_house(redis_url) as house:
        batcher = await house.add_batcher_of(
            {"inference_url": small.url, "served_model_name": SMALL, "batcher_port": port},
            {"inference_url": large.url, "served_model_name": LARGE, "model_is_default": True},
        )
        await wait_until(lambda: serves(house, SMALL, LARGE))
        answers = [await house.post(f"/{name}/embed", {"inputs": "a"}) for name in (SMALL, LARGE)]
        default = await house.post("/embed", {"inputs": "a"})

        await small.stop()
        await wait_until(lambda: is_down(port, house.http, small))
        async with house.http.get(f"http://127.0.0.1:{port}/metrics") as response:
            metrics = await response.text()
        async with house.http.get(f"http://127.0.0.1:{port}/health") as response:
            health = response.status
        after = await house.post("/BAAI/large/embed", {"inputs": "b"})
        await batcher.stop()
        left = (await house.get("/status")).json
    await large.stop()

    assert [each.json for each in answers] == [[vector("a")], [large_vector("a")]]
    assert default.json == [large_vector("a")]
    assert f'autobatch_batches_total{{model="{SMALL}",reason="idle",route="/embed"}} 1.0' in metrics
    assert metrics.count("# TYPE autobatch_batches_total counter") <= 1
    assert (health, after.status) == (200, 200)
    assert Keys("house", SMALL).jobs != Keys("house", LARGE).jobs
    assert left["is_healthy"] in (True, False)


async def is_down(port: int, http: aiohttp.ClientSession, upstream: FakeUpstream) -> bool:
    """Whether the batcher has noticed that an upstream is gone."""
    async with http.get(f"http://127.0.0.1:{port}/health") as response:
        return response.status == 200 and upstream._runner is None
