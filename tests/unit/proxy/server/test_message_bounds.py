"""Between two messages nothing of the connection waits in aiohttp's parser: compared with that parser itself."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.server.message_bounds import UNKNOWN, MessageBounds

PLAIN = b"POST /embed HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
MESSAGES = (
    PLAIN,
    b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nPOST / HTTP/1.1\r\n\r\n\r\n",
    b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def bounds_after(loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> MessageBounds:
    """Feed pieces to aiohttp's parser; say of each to the bounds what a connection says."""
    parser, bounds = HttpRequestParser(BaseProtocol(loop), loop, 65_536), MessageBounds()
    for piece in pieces:
        messages, _, _ = parser.feed_data(piece)
        bounds.note(piece, [message for message, _ in messages])
    return bounds


@given(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4), st.lists(st.integers(0, 300), max_size=6))
def test_a_message_ends_only_where_one_ends(
    loop: asyncio.AbstractEventLoop, messages: list[bytes], cuts: list[int]
) -> None:
    sent = b"".join(messages)
    ends = {len(b"".join(messages[:count])) for count in range(len(messages) + 1)}
    places = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
    pieces = [sent[start:stop] for start, stop in pairwise(places)]
    for count in range(len(pieces) + 1):
        if bounds_after(loop, pieces[:count]).owed_bytes == 0:
            assert len(b"".join(pieces[:count])) in ends


@pytest.mark.parametrize(
    ("pieces", "owed_bytes"),
    [
        ([PLAIN, PLAIN], 0),
        ([PLAIN[:-3], PLAIN[-3:]], 0),
        ([PLAIN[:-3]], 3),
        ([b""], 0),
        ([PLAIN[:20]], UNKNOWN),
        ([PLAIN[:20], PLAIN[20:]], UNKNOWN),
        ([PLAIN + PLAIN], UNKNOWN),
        ([PLAIN + PLAIN[:20]], UNKNOWN),
        ([PLAIN[:-3], PLAIN[-3:] + PLAIN[:20]], UNKNOWN),
        ([MESSAGES[2]], UNKNOWN),
    ],
)
def test_what_is_owed(loop: asyncio.AbstractEventLoop, pieces: list[bytes], owed_bytes: int) -> None:
    assert owed_bytes == bounds_after(loop, pieces).owed_bytes
