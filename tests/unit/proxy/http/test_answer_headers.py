"""The headers of every answer: an id that cannot be a second header, and CORS as TEI has it."""

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from autobatch_proxy.http.headers import VARY, CommonHeaders, slowest_timings, timings_of
from autobatch_shared.contract.frames import ReplyHeader


def asking(said: str | None) -> web.BaseRequest:
    """A request with this id, whatever a parser may let through."""
    request = make_mocked_request("GET", "/")
    if said is not None:
        request._headers = CIMultiDictProxy(CIMultiDict({"X-Request-Id": said}))
    return request


def request_id(said: str | None, common: CommonHeaders | None = None) -> str:
    return (common or CommonHeaders("w1", ["*"])).request_id(asking(said))


@pytest.mark.parametrize("said", ["a", "abc-123", "!~", "x" * 128, "00-4bf92f3577b34da6a3ce929d0e0e4736-01"])
def test_a_clients_id_is_taken(said: str) -> None:
    assert request_id(said) == said


@pytest.mark.parametrize("said", [None, "", " ", "a b", "a\tb", "x" * 129, "é", "a\x7f", "a\udcff", "a\x00", "a\u2028"])
def test_another_is_made_anew(said: str | None) -> None:
    assert request_id(said) == "w1-1"


def test_ids_that_are_made_differ_and_stay() -> None:
    common = CommonHeaders("w1", ["*"])
    request = make_mocked_request("GET", "/")

    assert common.request_id(request) == common.request_id(request) == "w1-1"
    assert request_id(None, common) == "w1-2"


@given(st.text(max_size=20))
def test_no_id_can_be_a_second_header(said: str) -> None:
    common, request = CommonHeaders("w1", ["*"]), asking(said)
    lines = common.lines(request.headers.get("Origin"), common.request_id(request))

    assert re.fullmatch(
        rb"x-request-id: [\x21-\x7e]+\r\nvary: %b\r\naccess-control-allow-origin: \*\r\n" % VARY.encode(), lines
    )


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (["*"], None, "*"),
        (["*"], "https://a", "*"),
        (["https://a", "*"], "https://b", "*"),
        (["https://a", "https://b"], "https://b", "https://b"),
        (["https://a"], "https://A", None),
        (["https://a"], "https://a.evil", None),
        (["https://a"], None, None),
        ([], "https://a", None),
    ],
)
def test_only_listed_pages_may_read(origins: list[str], origin: str | None, allowed: str | None) -> None:
    lines = CommonHeaders("w1", origins).lines(origin, "id").decode().split("\r\n")

    assert lines[1] == f"vary: {VARY}"
    assert lines[2:] == ([f"access-control-allow-origin: {allowed}", ""] if allowed else [""])


def reply(queue_us: int, upstream_us: int, batch: int) -> ReplyHeader:
    return ReplyHeader("w.1", 200, queue_us=queue_us, upstream_us=upstream_us, batch=batch)


def test_microseconds_are_told_as_milliseconds() -> None:
    assert timings_of(reply(1234, 40_250, 17)) == {
        "Server-Timing": "queue;dur=1.2, upstream;dur=40.2",
        "X-Batch-Size": "17",
    }


def test_no_call_no_headers() -> None:
    assert timings_of(reply(1234, 0, 0)) == {}
    assert slowest_timings([reply(1234, 0, 0), reply(5000, 0, 0)]) == {}


def test_of_several_jobs_the_slowest_parts_and_the_largest_batch_are_told() -> None:
    replies = [reply(1000, 9000, 3), reply(5000, 2000, 32), reply(0, 0, 0)]

    assert slowest_timings(replies) == {"Server-Timing": "queue;dur=5.0, upstream;dur=9.0", "X-Batch-Size": "32"}
