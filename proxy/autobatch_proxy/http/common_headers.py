"""What every answer has in its head: an id, and who may read it in a browser.

The first is the client's or nginx's `x-request-id`, else made here. The second is CORS as TEI has it.
"""

import itertools
import re
from collections.abc import Iterable

from aiohttp import web

REQUEST_ID_HEADER = "x-request-id"
VARY = "origin, access-control-request-method, access-control-request-headers"
PREFLIGHT = {"access-control-allow-methods": "GET,POST", "access-control-allow-headers": "content-type"}

_KEY = web.RequestKey("request_id", str)
_VARY_LINE = f"vary: {VARY}\r\n".encode()
_PUBLIC_LINES = _VARY_LINE + b"access-control-allow-origin: *\r\n"
_is_usable = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


class CommonHeaders:
    """Of one worker.

    Args:
        worker: Its id, with which the ids that it makes begin.
        origins: Whose pages may read answers; `*` among them is everybody.
    """

    def __init__(self, worker: str, origins: Iterable[str]) -> None:
        self._worker = worker
        self._made = itertools.count(1)
        self._origins = frozenset(origins)
        self._is_public = "*" in self._origins

    def request_id(self, request: web.BaseRequest) -> str:
        """The id of a request: the same one whenever it is asked for."""
        said = request.headers.get(REQUEST_ID_HEADER)
        if said is not None and _is_usable(said):  # behind nginx always
            return said
        made = request.get(_KEY)
        if made is None:
            made = request[_KEY] = f"{self._worker}-{next(self._made)}"
        return made

    def lines(self, request: web.BaseRequest, request_id: str) -> bytes:
        """The lines of an HTTP head, each ended by CRLF.

        Args:
            request: To be answered.
            request_id: Its own.
        """
        encoded_id = request_id.encode()
        if self._is_public:
            return b"x-request-id: %b\r\n%b" % (encoded_id, _PUBLIC_LINES)
        origin = self._origin(request)
        allowed = f"access-control-allow-origin: {origin}\r\n" if origin else ""
        return b"x-request-id: %b\r\n%b%b" % (encoded_id, _VARY_LINE, allowed.encode())

    async def add(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Put them into an answer that is about to be sent, and take out what aiohttp adds and the upstream does not."""
        headers = response.headers
        headers.popall("Server", None)
        if isinstance(response, web.HTTPException):  # aiohttp's words, of what never came to a route: `CONNECT`
            response.body = None
            headers["Content-Length"] = "0"
        if isinstance(response, web.Response) and not response.body:
            headers.popall("Content-Type", None)
            if request.method == "HEAD" and response.status != 204:
                headers["Content-Length"] = "0"  # as for GET
        headers[REQUEST_ID_HEADER] = self.request_id(request)
        headers["vary"] = VARY
        if origin := self._origin(request):
            headers["access-control-allow-origin"] = origin

    def _origin(self, request: web.BaseRequest) -> str | None:
        if self._is_public:
            return "*"
        origin = request.headers.get("Origin")
        return origin if origin in self._origins else None
