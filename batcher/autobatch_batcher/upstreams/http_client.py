"""One upstream over HTTP. aiohttp's exceptions end here."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace

import aiohttp

from autobatch_batcher.dialects.base import Answer, Post
from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable

PROBE_TIMEOUT_S = 3.0


class _Connecting:
    """When the connection of one call was made; None: it was there before."""

    at_s: float | None = None


async def _connected(_session: object, context: SimpleNamespace, _params: object) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.at_s = asyncio.get_running_loop().time()


def connection_trace() -> aiohttp.TraceConfig:
    """Return what a session needs so that `HttpClient` learns of new connections: behind one may be another server."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_connected)
    return trace


class HttpClient:
    """Sends what a dialect composed; it knows nothing of what that means.

    Args:
        session: The HTTP session that all upstreams of this process share.
        url: The upstream's URL without a trailing slash.
        api_key: Is sent as a bearer token; None: no token is sent.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, api_key: str | None) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call.

        Raises:
            UpstreamUnavailable: It could not be reached, within the session's time for that.
            UpstreamBroken: It hung up on the call.
            UpstreamTimeout: No whole answer within `timeout_s` seconds.
        """
        content_type, connecting = post.content_type, _Connecting()
        headers = self._headers | {"Content-Type": content_type} if content_type is not None else self._headers
        try:
            async with asyncio.timeout(timeout_s):
                request = self._session.post(
                    self._url + post.path,
                    data=post.body,
                    headers=headers,
                    allow_redirects=False,  # bodies go where we were told to send them, and nowhere else
                    skip_auto_headers=("Accept-Encoding",)
                    if content_type is not None
                    else ("Accept-Encoding", "Content-Type"),
                    trace_request_ctx=connecting,
                )
                async with request as response:
                    said = response.headers
                    return Answer(
                        response.status,
                        said.get("Content-Type", ""),
                        await response.read(),
                        said.get("Retry-After"),
                        {name: value for name in MEASURES if (value := said.get(name)) and value.isascii()},
                        connecting.at_s,
                    )
        except aiohttp.ConnectionTimeoutError as exc:
            raise UpstreamUnavailable from exc
        except TimeoutError as exc:
            raise UpstreamTimeout from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise (UpstreamUnavailable if isinstance(exc, aiohttp.ClientConnectorError) else UpstreamBroken) from exc

    def get(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask what it says at a path; whatever goes wrong is aiohttp's to raise, and a probe's to survive."""
        # No redirects: an upstream must not choose what else we ask inside our network, and publish on its card.
        return self._session.get(self._url + path, headers=self._headers, allow_redirects=False)

    async def listens(self, path: str) -> bool:
        """Whether the upstream answers now, in whatever way; one that is only slow does.

        Args:
            path: The path below the upstream's URL that is asked.
        """
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                async with self.get(path) as response:
                    return response.status < 500
        except aiohttp.ConnectionTimeoutError:
            return False
        except TimeoutError:
            return True
        except (aiohttp.ClientError, OSError):
            return False
