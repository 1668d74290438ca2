"""Ask every route of a running system, and say what each is to its clients: answered with what the server itself says, or refused."""

import asyncio
from collections.abc import Mapping

import aiohttp
import numpy as np
import orjson

from autobatch_proxy.dialects.error_shapes import message_of
from autobatch_proxy.http.route_table import ROUTES, Route
from tests.servers.direct import Vector
from tests.servers.matrix.document import YES, RouteCell
from tests.servers.matrix.questions import Json, name_of, question_for

OWN_API = {"TEI", "OpenAI"}  # tags of the routes that text-embeddings-inference has, too


class Asker:
    """Asks one system.

    Args:
        http: A client.
        url: Of the system.
        own: The vectors of texts as the server computes them.
        change_max: What a number of a vector differs by at most, whatever is in the same call.
        tei_url: Of the server, where it has text-embeddings-inference's routes: then whole answers are compared.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        own: Mapping[str, Vector],
        change_max: float,
        tei_url: str | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._own = own
        self._change_max = change_max
        self._tei_url = tei_url

    async def is_ready(self) -> bool:
        """Whether the system says that it is healthy."""
        try:
            async with self._http.get(f"{self._url}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def ask_all(self) -> dict[str, RouteCell]:
        """Return a cell for each route; all of them are asked at once."""
        answers = await asyncio.gather(*(self._ask(self._url, route) for route in ROUTES))
        return {name_of(route): _cell(*answer) for route, answer in zip(ROUTES, answers, strict=True)}

    async def check(self) -> None:
        """Ask each route once more: what is answered is what the server itself says."""
        for route in ROUTES:
            question = question_for(route)
            if question.body is None:
                continue
            status, body = await self._ask(self._url, route)
            if self._tei_url is not None and route.tag in OWN_API:
                own_status, own_body = await self._ask(self._tei_url, route)
                assert status == own_status, (route.path, body[:300], own_body[:300])
                if status == 200:
                    _check_alike(orjson.loads(body), orjson.loads(own_body), self._change_max)
            if status == 200 and question.vectors is not None:
                received = question.vectors(orjson.loads(body))
                for text, vector in zip(question.texts, received, strict=True):
                    assert np.abs(np.array(vector, np.float32) - self._own[text]).max() < self._change_max, route.path

    async def _ask(self, url: str, route: Route) -> tuple[int, bytes]:
        question = question_for(route)
        path = question.path
        if "{name}" in path:
            async with self._http.get(f"{url}/v1/models") as answer:
                path = path.replace("{name}", (await answer.json())["data"][0]["id"])
        async with self._http.request(route.method, url + path, json=question.body) as answer:
            return answer.status, await answer.read()


def _cell(status: int, body: bytes) -> RouteCell:
    return YES if status in (200, 204) else RouteCell(status, " ".join(message_of(status, body).split()))


def _check_alike(received: Json, own: Json, change_max: float) -> None:
    """Two answers are alike but for what companions change; `id` is added for OpenAI's clients."""
    if isinstance(own, dict):
        assert received.keys() - own.keys() <= {"id"}
        for name in own:
            _check_alike(received[name], own[name], change_max)
    elif isinstance(own, list):
        assert len(received) == len(own)
        for mine, theirs in zip(received, own, strict=True):
            _check_alike(mine, theirs, change_max)
    elif isinstance(own, float):
        assert np.abs(np.float64(received) - own) < change_max
    else:
        assert received == own
