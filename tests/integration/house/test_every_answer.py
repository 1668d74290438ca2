"""Every answer, of any status: it has an id and CORS headers, and needs a key."""

from typing import Any

import pytest
from pydantic import SecretStr

from autobatch_proxy.http.handler import Compute
from autobatch_proxy.http.route_table import ROUTES
from tests.support.clerk import open_clerk
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import HttpAnswer, open_house, ready_house

VARY = "origin, access-control-request-method, access-control-request-headers"
KEYED = {"api_keys": SecretStr("first,second")}
OPEN = ["/", "/health", "/ping", "/metrics", "/dashboard", "/.well-known/ready", "/.well-known/live"]
CLOSED = ["/info", "/meta", "/status", "/dashboard.json", "/v1/models", "/v1/models/x"]
HAVE_BODIES = {
    "/v1/models/x",
    *(route.path for route in ROUTES if route.errors is not None and route.errors.fills_refusals),
}


def check(reply: HttpAnswer, request_id: str | None = None) -> None:
    assert reply.headers["vary"] == VARY
    assert "Server" not in reply.headers
    said = reply.headers["x-request-id"]
    assert said == request_id if request_id else 0 < len(said) <= 128


@pytest.mark.parametrize(
    ("method", "path", "body", "proxy", "status"),
    [
        ("GET", "/health", None, {}, 503),
        ("GET", "/info", None, {}, 503),
        ("GET", "/metrics", None, {}, 200),
        ("HEAD", "/metrics", None, {}, 200),
        ("OPTIONS", "/any/where", None, {}, 200),
        ("GET", "/nothing", None, {}, 404),
        ("HEAD", "/nothing", None, {}, 404),
        ("POST", "/embed/", b"", {}, 404),
        ("GET", "/embed", None, {}, 405),
        ("PUT", "/v1/embeddings", b"", {}, 405),
        ("DELETE", "/", None, {}, 405),
        ("POST", "/embed", {"inputs": "a"}, KEYED, 401),
        ("POST", "/embed", {"inputs": "a" * 2000}, {"payload_limit": 1000}, 413),
        ("POST", "/embed", {"inputs": ["a"] * 3}, {"max_client_batch_size": 2}, 422),
        ("POST", "/embed", {"inputs": ["a"] * 3}, {"max_queue_size": 2}, 429),
        ("POST", "/embed", {"inputs": "a"}, {"request_timeout_ms": 20}, 504),
        ("POST", "/v1/embedding", b"", {}, 415),
    ],
)
async def test_every_answer_has_an_id(
    redis_url: str, method: str, path: str, body: Any, proxy: dict[str, Any], status: int
) -> None:
    async with open_clerk(redis_url), open_house(redis_url, **proxy) as house:
        for request_id in ("a-clients-own", None):
            headers = {"x_request_id": request_id} if request_id else {}
            reply = await house.ask(method, path, body, **headers)
            assert reply.status == status
            check(reply, request_id)
            assert reply.headers["access-control-allow-origin"] == "*"
        made = [(await house.ask(method, path, body)).headers["x-request-id"] for _ in range(2)]
        assert len(set(made)) == 2


async def test_an_odd_id_is_replaced(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        for said in ("a b", "x" * 129, "é"):
            reply = await house.post("/embed", {"inputs": "a"}, x_request_id=said)
            assert reply.status == 200
            check(reply)
            assert reply.headers["x-request-id"] != said
        check(await house.post("/embed", {"inputs": "a"}, x_request_id="x" * 128), "x" * 128)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/", "POST,GET,HEAD"),
        ("GET", "/embed", "POST"),
        ("GET", "/vectors", "POST"),
        ("POST", "/info", "GET,HEAD"),
        ("POST", "/metrics", "GET,HEAD"),
        ("DELETE", "/v1/models", "GET,HEAD"),
        ("POST", "/docs", "GET,HEAD"),
        ("POST", "/docs/x", "GET,HEAD"),
        ("PUT", "/docs/x/y", "GET,HEAD"),
    ],
)
async def test_a_wrong_method_hears_the_right_ones(redis_url: str, method: str, path: str, allow: str) -> None:
    async with open_house(redis_url) as house:
        reply = await house.ask(method, path)
        assert (reply.status, reply.headers["Allow"]) == (405, allow)
        assert (reply.body == b"") is (path not in HAVE_BODIES)
        assert ("Content-Type" in reply.headers) is (path in HAVE_BODIES)


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/metrics", "/info", "/v1/models", "/nothing"])
async def test_head_is_get_without_a_body(redis_url: str, upstream: FakeUpstream, path: str) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        head, get = await house.ask("HEAD", path), await house.get(path)
    assert (head.status, head.body) == (get.status, b"")
    if path != "/metrics":  # which has grown meanwhile
        names = ("Content-Type", "Content-Length", "vary")
        assert [head.headers.get(name) for name in names] == [get.headers.get(name) for name in names]


@pytest.mark.parametrize("key", ["first", "second"])
async def test_any_of_the_keys_opens(redis_url: str, upstream: FakeUpstream, key: str) -> None:
    async with ready_house(redis_url, upstream.url, proxy=KEYED) as house:
        reply = await house.post("/embed", {"inputs": "a"}, authorization=f"Bearer {key}")
        assert (reply.status, reply.json) == (200, [vector("a")])


@pytest.mark.parametrize("said", [None, "first", "Bearer third", "bearer first", "Bearer", "Basic first"])
async def test_nothing_else_does(redis_url: str, upstream: FakeUpstream, said: str | None) -> None:
    headers = {"authorization": said} if said else {}
    async with ready_house(redis_url, upstream.url, proxy=KEYED) as house:
        for path in [route.path for route in ROUTES if route.method == "POST"]:
            reply = await house.post(path, b"{", **headers)
            assert reply.status == 401
            assert (reply.body == b"") is (path not in HAVE_BODIES)
        for path in CLOSED:
            assert (await house.get(path, **headers)).status == 401
    assert upstream.calls == []


async def test_some_routes_are_open(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy=KEYED) as house:
        for path in OPEN:
            assert (await house.get(path)).status in (200, 204)
            assert (await house.ask("HEAD", path)).status in (200, 204)
            assert (await house.ask("OPTIONS", path)).status == 200
        assert (await house.get("/nothing")).status == 404  # an unknown path reveals nothing
        assert (await house.post("/health", b"")).status == 405
        assert (await house.get("/embed")).status == 401  # before the method is checked
        assert (await house.post("/", {"inputs": "a"})).status == 401


async def test_a_preflight_is_answered_everywhere(redis_url: str) -> None:
    async with open_house(redis_url, **KEYED) as house:
        for path in ("/embed", "/v1/embeddings", "/v1/models/x", "/health", "/nothing/at/all"):
            reply = await house.ask("OPTIONS", path, origin="https://a", access_control_request_method="POST")
            assert (reply.status, reply.body) == (200, b"")
            assert reply.headers["access-control-allow-methods"] == "GET,POST"
            assert reply.headers["access-control-allow-headers"] == "content-type"
            assert reply.headers["access-control-allow-origin"] == "*"
            assert "Content-Type" not in reply.headers


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/", "POST,GET,HEAD"),
        ("/embed", "POST"),
        ("/v1/embeddings", "POST"),
        ("/info", "GET,HEAD"),
        ("/docs/x", "GET,HEAD"),
        ("/v1/models/x", "GET,HEAD"),
        ("/nothing", None),
    ],
)
async def test_a_preflight_hears_what_the_path_has(redis_url: str, path: str, allow: str | None) -> None:
    async with open_house(redis_url, **KEYED) as house:
        reply = await house.ask("OPTIONS", path)
        assert (reply.status, reply.headers.get("Allow")) == (200, allow)


async def test_with_a_list_only_those_pages_may_read(redis_url: str, upstream: FakeUpstream) -> None:
    proxy = {"cors_allow_origin": "https://a, https://b"}
    async with ready_house(redis_url, upstream.url, proxy=proxy) as house:
        for origin, allowed in ((None, None), ("https://b", "https://b"), ("https://c", None), ("null", None)):
            headers = {"origin": origin} if origin else {}
            for reply in (
                await house.post("/embed", {"inputs": "a"}, **headers),
                await house.get("/nothing", **headers),
                await house.ask("OPTIONS", "/embed", **headers),
            ):
                assert reply.headers.get("access-control-allow-origin") == allowed
                check(reply)


async def test_a_fault_of_ours_tells_nothing_of_itself(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Compute, "_answer", fail)
    async with open_house(redis_url) as house:
        tei = await house.post("/embed", {"inputs": "a"}, x_request_id="the-id")
        openai = await house.post("/v1/embeddings", {"input": "a"})
    assert (tei.status, tei.json) == (500, {"error": "The proxy failed", "error_type": "Backend"})
    assert (openai.status, openai.json["error"]["message"]) == (500, "The proxy failed")
    check(tei, "the-id")
    assert b"secret" not in tei.body + openai.body
    (logged, _) = [each for each in caplog.records if each.message == "request_failed_unforeseen"]
    assert getattr(logged, "request_id", None) == "the-id"
    caplog.clear()
