"""Ask an upstream what it is, before anything relies on it: its health, its description, and one vector.

A server that does not answer as text-embeddings-inference is asked what else it may be.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from urllib.parse import urlsplit

import aiohttp

from autobatch_console.preflight.connection_faults import fault_of
from autobatch_console.preflight.name_look_up import look_up
from autobatch_console.preflight.upstream_seen import InquiryAnswer, UpstreamSeen
from autobatch_shared.settings.definitions import without_credentials
from autobatch_shared.settings.upstream_urls import GRPC_PORT, is_grpc

BODY_BYTES_MAX = 1_000_000
CONNECT_SHARE = 0.8  # of the time for an answer: less than all of it, so that the two can be told apart
TEXT = b'{"inputs":"autobatch preflight"}'
JSON = {"Content-Type": "application/json"}


async def inquire(url: str, api_key: str | None, limit_s: float) -> UpstreamSeen:
    """Ask one upstream; each of two rounds of questions ends after `limit_s` seconds."""
    shown = without_credentials(url).rstrip("/")
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        await look_up(parts.hostname or "", limit_s)
    except OSError as error:
        return UpstreamSeen(shown, fault_of(error))
    if is_grpc(url):
        return await _connect(shown, parts.hostname or "", parts.port or GRPC_PORT, limit_s)
    timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=limit_s * CONNECT_SHARE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        try:
            info = await _get(session, f"{url}/info")
        except aiohttp.ConnectionTimeoutError as error:
            return UpstreamSeen(shown, fault_of(error))
        except TimeoutError:
            return UpstreamSeen(shown)
        except (aiohttp.ClientError, OSError) as error:
            return UpstreamSeen(shown, fault_of(error))
        below = {"/health": _get(session, f"{url}/health"), "/embed": _embed(session, f"{url}/embed")}
        if info.status != 200:
            below["/v1/models"] = _get(session, f"{url}/v1/models")
        answers = {"/info": info, **await _answered(below)}
        root_answers = {}
        if info.status == 404 and parts.path.strip("/"):
            root = parts._replace(path="").geturl()
            root_answers = await _answered({path: _get(session, root + path) for path in ("/info", "/v1/models")})
    return UpstreamSeen(shown, None, answers, root_answers)


async def _connect(shown: str, host: str, port: int, limit_s: float) -> UpstreamSeen:
    """See whether something listens; what it serves the batcher finds out."""
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(host, port)
    except (TimeoutError, OSError) as error:
        return UpstreamSeen(shown, fault_of(error))
    writer.close()
    return UpstreamSeen(shown, is_grpc=True)


async def _answered(asked: Mapping[str, Awaitable[InquiryAnswer]]) -> dict[str, InquiryAnswer]:
    """Return what was answered in time; the first question has shown that the server can be reached."""
    answers = await asyncio.gather(*asked.values(), return_exceptions=True)
    return {path: answer for path, answer in zip(asked, answers, strict=True) if isinstance(answer, InquiryAnswer)}


async def _get(session: aiohttp.ClientSession, url: str) -> InquiryAnswer:
    async with session.get(url, allow_redirects=False) as response:
        return await _read(response)


async def _embed(session: aiohttp.ClientSession, url: str) -> InquiryAnswer:
    async with session.post(url, data=TEXT, headers=JSON, allow_redirects=False) as response:
        return await _read(response)


async def _read(response: aiohttp.ClientResponse) -> InquiryAnswer:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break
    headers = response.headers
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return InquiryAnswer(response.status, content_type, body, headers.get("Location", ""))
