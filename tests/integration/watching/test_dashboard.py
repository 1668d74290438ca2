"""`/dashboard` and `/dashboard.json`: what a worker shows of the whole fleet, to whom, and under which headers."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

from pydantic import SecretStr

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, open_house, ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until


async def view(house: House) -> dict[str, Any]:
    answer = await house.get("/dashboard.json")
    assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
    found: dict[str, Any] = answer.json
    return found


async def test_the_whole_fleet_is_shown_with_what_it_answered(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.add_batcher(upstream.url)
        await house.embed_each(["one", "two", "three"])

        async def has_all() -> bool:
            found = await view(house)
            is_counted = sum(each["answered"] for each in found["chart"]) == 3
            return len(found["batchers"]) == 2 and len(found["workers"]) == 1 and is_counted and found["took"]["p50_ms"]

        await wait_until(has_all)
        found = await view(house)

    assert 3 == sum(batch["inputs"] for batch in found["batches"])
    assert ["up"] == [each["state"] for each in found["upstreams"]]
    assert [("fake", "served")] == [(each["served"], each["state"]) for each in found["models"]]
    assert {upstream.url} == {each["upstream"] for each in found["batches"]}


async def test_who_stops_is_shown_no_more(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        second = await house.add_batcher(upstream.url)

        async def shown() -> int:
            return len((await view(house))["batchers"])

        await wait_until(lambda: _is(shown, 2))
        await second.stop()
        await wait_until(lambda: _is(shown, 1))


async def _is(shown: Any, count: int) -> bool:
    return bool(await shown() == count)


async def test_the_page_needs_no_key_and_what_it_shows_does(redis_url: str) -> None:
    async with open_house(redis_url, api_keys=SecretStr("secret")) as house:
        assert 200 == (await house.get("/dashboard")).status
        assert 401 == (await house.get("/dashboard.json")).status
        assert 401 == (await house.get("/dashboard.json", authorization="Bearer other")).status
        assert 200 == (await house.get("/dashboard.json", authorization="Bearer secret")).status


async def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(redis_url: str) -> None:
    async with open_house(redis_url) as house:
        page = await house.get("/dashboard")

    directives = dict(each.strip().split(" ", 1) for each in page.headers["Content-Security-Policy"].split(";"))
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.body.decode(), re.DOTALL)
        assert directives[directive] == f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'"
    assert ("'none'", "'self'", "'none'") == tuple(
        directives[name] for name in ("default-src", "connect-src", "frame-ancestors")
    )
    assert not re.search(rb"(src|href)=\"(?!data:)", page.body), "it loads nothing"
    assert "text/html; charset=utf-8" == page.headers["Content-Type"]


async def test_a_browser_is_led_there_from_the_root_and_teis_clients_get_health(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        async with house.http.get(f"{house.url}/", headers={"accept": browser}, allow_redirects=False) as led:
            assert (303, "/dashboard") == (led.status, led.headers["Location"])
        for accept in ("*/*", "application/json", ""):
            answer = await house.get("/", accept=accept)
            assert (200, b"") == (answer.status, answer.body)


async def test_without_redis_it_says_so(own_redis: RedisServer) -> None:
    async with open_house(own_redis.url) as house:
        answer = await house.get("/dashboard.json")
    assert 503 == answer.status
    assert answer.json["error"]
