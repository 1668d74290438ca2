"""Requests that aiohttp would answer in its own words: odd spellings of paths, and invalid requests."""

import pytest

from autobatch_proxy.http.pages.fleet_routes import FleetRoutes
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, open_house, ready_house
from tests.support.raw_http import RawAnswer, raw_connection, request

BODY = b'{"inputs":"a"}'
JSON = b"Content-Type: application/json"

#: TEI decodes no path.
OTHER_SPELLINGS = [
    "/%65mbed",
    "/embe%64",
    "/embed%3Fx",
    "/embed%2F",
    "/v1%2Fembeddings",
    "/%2e/embed",
    "/embed;x",
    "/%zz",
]

#: Requests that TEI's own server refuses, too, and requests that only aiohttp refuses.
BAD = {
    "no request": b"HELLO\r\n\r\n",
    "a name with a space": request(BODY, b"a b: c"),
    "lengths that differ": request(BODY, b"Content-Length: 3"),
    "a length in words": request(BODY, b"Content-Length: many", length=False),
    "an unknown transfer encoding": request(BODY, b"Transfer-Encoding: many", length=False),
    "NUL in a value": request(BODY, b"a: \0"),
    "two types": request(BODY, JSON),
    "two hosts": request(BODY, b"Host: b"),
}


async def said(house: House, sent: bytes) -> RawAnswer:
    async with raw_connection(int(house.url.rpartition(":")[2])) as connection:
        await connection.send([sent])
        answer = await connection.answer()
    assert answer is not None
    return answer


@pytest.mark.parametrize("path", OTHER_SPELLINGS)
async def test_another_spelling_is_another_path(redis_url: str, path: str) -> None:
    async with open_house(redis_url) as house:
        answer = await said(house, request(BODY, start=b"POST %b HTTP/1.1" % path.encode()))
        assert (answer.status, answer.body) == (404, b"")
        preflight = await said(house, request(start=b"OPTIONS %b HTTP/1.1" % path.encode()))
        assert (preflight.status, preflight.headers.get("allow")) == (200, None)


async def test_a_models_name_is_decoded(redis_url: str, upstream: FakeUpstream) -> None:
    """Clients write the slash of `org/model` as `%2F`."""
    upstream.info = {"model_id": "an org/the model"}
    async with ready_house(redis_url, upstream.url) as house:
        for path in ("/v1/models/an%20org/the%20model", "/v1/models/an%20org%2Fthe%20model"):
            answer = await said(house, request(start=b"GET %b HTTP/1.1" % path.encode()))
            assert (answer.status, b"an org/the model" in answer.body) == (200, True)


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD)
async def test_what_is_no_request_gets_a_status_and_no_words(redis_url: str, sent: bytes) -> None:
    async with open_house(redis_url) as house:
        answer = await said(house, sent)
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    assert (answer.status, answer.body) == (400, b"")
    assert headers == {"connection": "close", "content-length": "0"}


async def test_a_header_that_is_too_long_is_named_by_the_status(redis_url: str) -> None:
    async with open_house(redis_url) as house:
        answer = await said(house, request(BODY, b"a: " + b"x" * 9000))
    assert (answer.status, answer.body) == (431, b"")


async def test_what_else_a_client_expects_is_not_looked_at(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        for expected in (b"100-continue", b"200-ok"):
            assert (await said(house, request(BODY, b"Expect: " + expected))).status == 200


@pytest.mark.parametrize("start", [b"CONNECT a:80 HTTP/1.1", b"OPTIONS * HTTP/1.1"])
async def test_what_has_no_path_is_not_found(redis_url: str, start: bytes) -> None:
    async with open_house(redis_url) as house:
        answer = await said(house, request(start=start, length=False, is_json=False) + b"\r\n")
    assert (answer.status, answer.body, "server" in answer.headers) == (404, b"", False)
    assert answer.headers["x-request-id"]


async def test_a_fault_beside_the_computing_routes_tells_nothing_of_itself(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(FleetRoutes, "info", fail)
    async with open_house(redis_url) as house:
        reply = await house.ask("GET", "/info", accept="text/html", x_request_id="the-id")
    assert (reply.status, reply.json) == (500, {"error": "The proxy failed", "error_type": "Backend"})
    assert reply.headers["x-request-id"] == "the-id"
    assert "Server" not in reply.headers
