"""The embedder's server in the test's own process, and a client that returns the whole answer."""

from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
import orjson
from yarl import URL

from autobatch_shared.settings.definitions import EmbedderSettings

ServerAnswer = tuple[int, dict[str, str], bytes]
"""Status, headers with lower-case names, body."""
Send = Callable[..., Coroutine[Any, Any, ServerAnswer]]

JSON = {"content-type": "application/json"}
PAYLOAD_LIMIT = 100_000


def settings(**changed: Any) -> EmbedderSettings:
    return EmbedderSettings.model_validate({"embedder_port": 0, "payload_limit": PAYLOAD_LIMIT} | changed)


def sender(client: aiohttp.ClientSession, port: int) -> Send:
    """Return `send(method, path, body, headers)`; a body that is not bytes goes as JSON."""

    async def send(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> ServerAnswer:
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
        async with client.request(method, url, data=data, headers=JSON if headers is None else headers) as response:
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return response.status, lowered, await response.read()

    return send


async def ask(send: Send, path: str, body: Any) -> Any:
    """Return the good answer to a POST."""
    status, headers, answer = await send("POST", path, body)
    assert status == 200, answer
    assert headers["content-type"] == "application/json"
    return orjson.loads(answer)


async def embed(send: Send, inputs: Any, **options: Any) -> npt.NDArray[np.float64]:
    """Return the vectors of these inputs: (inputs, dimensions)."""
    return np.array(await ask(send, "/embed", {"inputs": inputs, **options}))
