"""The bodies of requests: room for them in a worker, and reading them."""

import asyncio

import aiohttp
from aiohttp import web

from autobatch_proxy.http.errors import FrameworkError, TooLarge, TooSlow
from autobatch_shared.contract.errors import QueueFull

SMALL_BYTES = 65_536  # aiohttp reads as much of a body before it is asked for
LARGE_SHARE = 0.75


class BodyRoom:
    """Room for the bodies of the requests that one worker has.

    1. A body is admitted by its `Content-Length`, before it is read; one without, by what has come of it, piece by piece.
    2. It is held until its request is answered. Meanwhile it is there as bytes, as texts, as a job and in buffers: 400
       bodies of 1.9 MB at once made a worker of 66 MB one of 450 MB, with room for 64 MB of bodies, and 1.6 GB without a
       bound.
    3. Small bodies have a share of their own, so that large ones cause no refusal of others.

    Args:
        bytes_max: Bytes of bodies that are held at a time; a body that comes when none is held may be larger.
        body_bytes_max: Bytes of the largest body.
    """

    def __init__(self, bytes_max: int, body_bytes_max: int) -> None:
        self.held_bytes = 0
        self._bytes_max = bytes_max
        self._large_bytes_max = int(bytes_max * LARGE_SHARE)
        self._body_bytes_max = body_bytes_max

    def admit(self, request: web.BaseRequest) -> "HeldBody":
        """Make room for a body that may not have arrived yet.

        Raises:
            TooLarge: It has more bytes than a body may have.
            QueueFull: There is no room.
        """
        body_bytes = request.content_length
        held = HeldBody(self)
        held.grow(request.content.total_bytes if body_bytes is None else body_bytes)
        return held

    def hold(self, before_bytes: int, body_bytes: int) -> None:
        """Hold so many bytes of a body of which `before_bytes` are held; what is raised is what `admit` raises."""
        if body_bytes > self._body_bytes_max:
            raise TooLarge  # and not only when so much of it has come
        others_bytes = self.held_bytes - before_bytes
        bytes_max = self._bytes_max if body_bytes <= SMALL_BYTES else self._large_bytes_max
        if others_bytes and others_bytes + body_bytes > bytes_max:
            raise QueueFull("Model is overloaded: this worker holds too many bytes of requests")
        self.held_bytes = others_bytes + body_bytes


class HeldBody:
    """The room that one body has."""

    __slots__ = ("_bytes", "_room")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._bytes = 0

    def grow(self, body_bytes: int) -> None:
        """Make room for so many bytes of it in all; what is raised is what `BodyRoom.admit` raises."""
        self._room.hold(self._bytes, body_bytes)
        self._bytes = body_bytes

    def release(self) -> None:
        """Give its room back."""
        self._room.held_bytes -= self._bytes


async def read_body(request: web.Request, held: HeldBody, timeout_s: float) -> bytes:
    """Read an admitted body; one that has not arrived yet may take so long.

    Raises:
        FrameworkError: It is too large, came too slowly, or did not come whole.
        QueueFull: It has no length, and there is no room for the rest of it.
    """
    content = request.content
    try:
        if content.is_eof():  # nearly always: it came with its headers; aiohttp's own `read` takes 2 us more
            return content.read_nowait()
        body = bytearray()
        async with asyncio.timeout(timeout_s):
            while piece := await content.readany():
                body += piece
                if request.content_length is None:
                    held.grow(len(body))
        return bytes(body)
    except TimeoutError as exc:
        raise TooSlow from exc
    except aiohttp.ClientPayloadError as exc:
        raise FrameworkError from exc
