"""Which bytes are a request whose head was read before, and what is taken from them."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.http.plain_requests import HeadFacts, PlainRoute
from autobatch_proxy.server.known_heads import KNOWN_MAX, SEEN_MAX, KnownHeads, KnownRequest


class _FakeRoute:
    def facts_of(self, _headers: object) -> HeadFacts | None:
        return HeadFacts("application/json", 1.0, False, None, None)


ROUTE = cast("PlainRoute", _FakeRoute())


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def sent(body: bytes = b"body", *lines: str, length: str | None = None, start: str = "POST /embed HTTP/1.1") -> bytes:
    """One request, with `lines` between its `Host` and its length."""
    head = [start, "Host: a", *lines, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def read(loop: asyncio.AbstractEventLoop, data: bytes) -> RawRequestMessage:
    """What aiohttp's parser reads."""
    ((message, _),), _, _ = HttpRequestParser(BaseProtocol(loop), loop, 65_536).feed_data(data)
    return message


def fields(message: RawRequestMessage) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in message.headers.items()]


def knowing(loop: asyncio.AbstractEventLoop, *seen: bytes, times: int = 2) -> KnownHeads:
    heads = KnownHeads()
    for data in seen * times:
        heads.learn(data, read(loop, data), ROUTE)
    return heads


def test_a_head_is_known_at_its_third_sight(loop: asyncio.AbstractEventLoop) -> None:
    assert knowing(loop, sent(), times=1).find(sent()) is None
    found = knowing(loop, sent()).find(sent())
    assert found is not None
    assert found.body == b"body"


ids = st.from_regex(r"[0-9A-Za-z.:=_-]{1,128}", fullmatch=True)


@given(ids, ids, st.binary(min_size=1, max_size=300))
def test_what_differs_is_as_the_parser_would_have_read_it(
    loop: asyncio.AbstractEventLoop, request_id: str, start: str, body: bytes
) -> None:
    heads = knowing(loop, sent(b"first", "X-Request-Id: 1", "x-request-start: t=1.0", "Accept: */*"))
    data = sent(body, f"X-Request-Id: {request_id}", f"x-request-start: {start}", "Accept: */*")
    found = heads.find(data)
    assert found is not None
    head, values, found_body = found
    assert (head.request_id(values), head.start(values), found_body) == (request_id, start, body)
    expected, made = read(loop, data), head.message(values)
    assert fields(made) == fields(expected)
    assert repr(made._replace(headers=expected.headers)) == repr(expected._replace(raw_headers=()))


@given(st.binary(max_size=3), st.binary(max_size=3), st.integers(0, 120))
def test_other_bytes_are_no_known_request(
    loop: asyncio.AbstractEventLoop, more: bytes, instead: bytes, place: int
) -> None:
    """However a request is changed, it is known only if the parser reads one whole message there, of the same body."""
    data = sent(b"body", "X-Request-Id: 1")
    changed = data[:place] + instead + data[place + len(instead) :] + more
    found = knowing(loop, data).find(changed)
    if found is not None:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 65_536)
        ((message, payload),), is_upgrade, rest = parser.feed_data(changed)
        assert (payload.is_eof(), is_upgrade, rest) == (True, False, b"")
        assert payload.read_nowait(-1) == found.body
        assert fields(found.head.message(found.values)) == fields(message)


@pytest.mark.parametrize(
    "data",
    [
        sent(length="5"),
        sent(length="3"),
        sent(length="04"),
        sent(length="+4"),
        sent() + sent(),
        sent()[:-1],
        sent()[:30],
        sent(b"", length="0"),
        sent(start="POST /embed HTTP/1.0"),
        sent(start="POST /other HTTP/1.1"),
        sent(b"body", "X-Request-Id: a b"),
        sent(b"body", "Transfer-Encoding: chunked"),
        sent(b"body", "Content-Length: 4"),
        b"\r\n" + sent(),
        b"",
    ],
)
def test_what_is_not_the_same_is_not_known(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    assert knowing(loop, sent(), sent(b"body", "X-Request-Id: 1")).find(data) is None


@pytest.mark.parametrize(
    "data",
    [
        sent(b"body", "Connection: close"),
        sent(start="POST /embed HTTP/1.0"),
        sent(b"body", "X-Request-Id: 1", "X-Request-Id: 2"),
        sent(b"body", "X-Request-Id: 1", "X-REQUEST-ID: 2"),
        sent(b"body", "X-Padding: " + "x" * 2048),
    ],
)
def test_what_is_not_kept(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    assert knowing(loop, data).find(data) is None


def test_heads_that_never_repeat_take_no_memory(loop: asyncio.AbstractEventLoop) -> None:
    heads, message = KnownHeads(), read(loop, sent())
    for number in range(SEEN_MAX + 10):
        heads.learn(sent(b"body", f"X-Other: {number}"), message, ROUTE)
    assert heads._known == {}
    assert len(heads._seen) <= SEEN_MAX


def test_the_oldest_form_leaves(loop: asyncio.AbstractEventLoop) -> None:
    forms = [sent(b"body", f"X-Other: {number}") for number in range(KNOWN_MAX + 1)]
    heads = knowing(loop, *forms)
    assert heads.find(forms[0]) is None
    assert isinstance(heads.find(forms[-1]), KnownRequest)
