"""Heads of requests that aiohttp's parser has read: clients on kept connections send the same ones again and again.

    POST /embed HTTP/1.1 | Host: ... | Content-Length: 52 | X-Request-Id: 0123456789abcdef

1. Only aiohttp's parser says what a head means, and it says so once for each *form*: the head without the values of the headers
   that differ from request to request. Their values are of characters that mean nothing to a parser.
2. Only the head of a plain request is kept: a `POST` with a body of a known length, after which the connection stays.
3. A form is kept at its second sight, and the oldest one leaves: heads that never repeat take no memory.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from autobatch_proxy.http.headers import REQUEST_ID_HEADER, START_HEADER
from autobatch_proxy.http.plain_requests import HeadFacts, PlainRoute

HEAD_BYTES_MAX = 2048
KNOWN_MAX = 256
SEEN_MAX = 1024
VALUE_BYTES_MAX = 128
LENGTH_HEADER = "content-length"

# nginx and the usual clients write these names so; another spelling belongs to the form.
_split = re.compile(
    rb"\r\n([Cc]ontent-[Ll]ength|[Xx]-[Rr]equest-[Ii]d|[Xx]-[Rr]equest-[Ss]tart|[Xx]-[Ff]orwarded-[Ff]or): "
    rb"([0-9A-Za-z.:=_-]{1,%d})(?=\r\n)" % VALUE_BYTES_MAX
).split
_Form = tuple[bytes, ...]


class KnownHead:
    """What is known of the heads of one form.

    Attributes:
        route: Answers its requests.
        facts: What the head says to it.
    """

    __slots__ = ("_id_at", "_length_at", "_message", "_names", "_start_at", "facts", "route")

    def __init__(self, message: RawRequestMessage, names: Sequence[str], route: PlainRoute, facts: HeadFacts) -> None:
        self.route = route
        self.facts = facts
        self._message = message
        self._names = names
        lower = [name.lower() for name in names]
        self._length_at = lower.index(LENGTH_HEADER)
        self._id_at = lower.index(REQUEST_ID_HEADER) if REQUEST_ID_HEADER in lower else None
        self._start_at = lower.index(START_HEADER) if START_HEADER in lower else None

    def has_length(self, values: Sequence[bytes], body_bytes: int) -> bool:
        """Whether these values say that the body has so many bytes, and more than none."""
        return body_bytes > 0 and values[self._length_at] == b"%d" % body_bytes

    def request_id(self, values: Sequence[bytes]) -> str | None:
        """The id that the client or nginx gave the request, if any."""
        return None if self._id_at is None else values[self._id_at].decode()

    def start(self, values: Sequence[bytes]) -> str | None:
        """When nginx first sent the request, in its words, if it says so."""
        return None if self._start_at is None else values[self._start_at].decode()

    def message(self, values: Sequence[bytes]) -> RawRequestMessage:
        """Return the head with these values as aiohttp's parser would, without the headers as bytes."""
        headers = CIMultiDict(self._message.headers)
        for name, value in zip(self._names, values, strict=True):
            headers[name] = value.decode()
        return self._message._replace(headers=CIMultiDictProxy(headers), raw_headers=())


class KnownRequest(NamedTuple):
    """A request that came whole, with a known head.

    Attributes:
        head: The form of its head.
        values: Those of the headers that the form has no values of, in their order.
        body: Its body.
    """

    head: KnownHead
    values: Sequence[bytes]
    body: bytes


class KnownHeads:
    """Those of one worker."""

    def __init__(self) -> None:
        self._known: dict[_Form, KnownHead] = {}
        self._seen: set[int] = set()

    def find(self, data: bytes) -> KnownRequest | None:
        """Return the one request that these bytes are from the first to the last, if its head is known."""
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX) + 4
        form, values = _form_of(data[:end])
        head = self._known.get(form)
        if head is None or not head.has_length(values, len(data) - end):
            return None
        return KnownRequest(head, values, data[end:])

    def learn(self, data: bytes, message: RawRequestMessage, route: PlainRoute) -> None:
        """Take note of the head of a plain request, and keep it if it was seen before.

        Args:
            data: The bytes of the request: its head, and a body that is not empty.
            message: What aiohttp's parser has read in the head.
            route: Answers it.
        """
        form, _ = _form_of(data[: data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX) + 4])
        if form in self._known or message.should_close or message.version != HttpVersion11:
            return
        names = [name.decode() for name in form[1::2]]
        lower = {name.lower() for name in names}
        if (
            LENGTH_HEADER not in lower
            or len(lower) < len(names)
            or any(len(message.headers.getall(n)) > 1 for n in lower)
        ):
            return
        if hash(form) not in self._seen:
            if len(self._seen) >= SEEN_MAX:
                self._seen.clear()
            self._seen.add(hash(form))
            return
        if (facts := route.facts_of(message.headers)) is None:
            return
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[form] = KnownHead(message, names, route, facts)


def _form_of(head: bytes) -> tuple[_Form, list[bytes]]:
    """Return a head's form, every second part of which is a name whose value follows, and these values."""
    parts = _split(head)
    values = parts[2::3]
    del parts[2::3]
    return tuple(parts), values
