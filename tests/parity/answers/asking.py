"""Send a case, and keep the whole answer as received."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from tests.parity.cases.case import Case

OF_THE_CLIENT = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers that aiohttp would add of itself; a case says which are sent."""
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """An answer as the client received it.

    Attributes:
        status: As received.
        headers: Names in lower case, in order of arrival.
        body: As received.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, the first one if it is repeated."""
        return next((value for key, value in self.headers if key == name), None)

    def with_headers(self, **changed: str) -> "SeenAnswer":
        """The same answer with other values; a `_` in a name stands for `-`."""
        values = {name.replace("_", "-"): value for name, value in changed.items()}
        return SeenAnswer(
            self.status, tuple((name, values.get(name, value)) for name, value in self.headers), self.body
        )


def open_client() -> aiohttp.ClientSession:
    """A client that adds nothing to a request and changes nothing in an answer."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
        skip_auto_headers=OF_THE_CLIENT,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def ask(http: aiohttp.ClientSession, url: str, case: Case) -> SeenAnswer:
    """Send a case to a server and wait for the whole answer."""
    return await send(http, url, case, case.body)


async def ask_pieces(http: aiohttp.ClientSession, url: str, case: Case) -> list[SeenAnswer]:
    """Send the pieces of a case, one at a time."""
    return [await send(http, url, case, body) for body in case.pieces]


async def send(http: aiohttp.ClientSession, url: str, case: Case, body: bytes | None) -> SeenAnswer:
    """Send a case with this body."""
    data: Any = None
    if body is not None:
        data = _chunks(body) if case.is_chunked else io.BytesIO(body)  # long bytes would cause a warning
    async with http.request(
        case.method,
        URL(url + case.path, encoded=True),
        data=data,
        headers=list(case.headers),
        allow_redirects=False,
    ) as response:
        names = ((name.decode().lower(), value.decode("latin-1")) for name, value in response.raw_headers)
        return SeenAnswer(response.status, tuple(names), await response.read())


async def _chunks(body: bytes) -> Any:
    for begin in range(0, len(body), CHUNK_BYTES):
        yield body[begin : begin + CHUNK_BYTES]


def told(answers: Iterable[SeenAnswer]) -> str:
    """Return answers, shortened for reading."""
    return "\n".join(f"  {answer.status} {answer.body[:160]!r} {dict(answer.headers)}" for answer in answers)
