"""Ask an upstream what it is, before anything relies on it: its health, its description, and one vector.

A server that does not answer as text-embeddings-inference is asked what else it may be: for a vector by OpenAI's API, if it lists
models as that does, or has no `/embed` either.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import aiohttp

from autobatch_console.preflight.connection_faults import (
    GREETING,
    GREETING_BYTES_MAX,
    ConnectionFault,
    fault_in_greeting,
    fault_of,
)
from autobatch_console.preflight.name_look_up import look_up
from autobatch_console.preflight.upstreams.grpc_inquiry import ask_model
from autobatch_console.preflight.upstreams.upstream_seen import (
    API_KEY,
    LISTS,
    NO_PATH,
    InquiryAnswer,
    UpstreamSeen,
    chosen_of,
    listing_in,
    models_in,
)
from autobatch_shared.install_hints import missing_for_grpc
from autobatch_shared.settings.choices import GRPC_PORT, grpc_target, is_grpc
from autobatch_shared.settings.definitions import without_credentials
from autobatch_shared.settings.named_files import own_authorities

BODY_BYTES_MAX = 1_000_000
CONNECT_SHARE = 0.8  # of the time for an answer: less than all of it, so that the two can be told apart
TEXT = b'{"inputs":"autobatch preflight"}'
JSON = {"Content-Type": "application/json"}


class UpstreamAccess(NamedTuple):
    """How upstreams are asked.

    Attributes:
        headers: What every question has.
        trust: What checks certificates; None: as this machine does.
        model: UPSTREAM_MODEL; None: one that the upstream lists.
        names: What the model is called here; empty: it has no name.
        key_setting: The setting by which upstreams are shown a key.
    """

    headers: Mapping[str, str] = {}
    trust: ssl.SSLContext | None = None
    model: str | None = None
    names: Sequence[str] = ()
    key_setting: str = API_KEY


async def inquire(url: str, access: UpstreamAccess, limit_s: float) -> UpstreamSeen:
    """Ask one upstream; each of two rounds of questions ends after `limit_s` seconds."""
    shown = without_credentials(url).rstrip("/")
    parts = urlsplit(url)
    base, mark, query = url.partition("?")
    query = mark + query
    try:
        await look_up(parts.hostname or "", limit_s)
    except OSError as error:
        return UpstreamSeen(shown, fault_of(error))
    if is_grpc(url):
        return await _inquire_grpc(shown, parts, access, limit_s)
    timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=limit_s * CONNECT_SHARE)
    connector = aiohttp.TCPConnector(ssl=access.trust or True)
    async with aiohttp.ClientSession(connector=connector, headers=access.headers, timeout=timeout) as session:
        try:
            info = await _get(session, f"{base}/info{query}")
        except aiohttp.ConnectionTimeoutError as error:
            return UpstreamSeen(shown, fault_of(error))
        except TimeoutError:
            return UpstreamSeen(shown)
        except (aiohttp.ClientError, OSError) as error:
            is_unread = isinstance(error, aiohttp.ClientResponseError)
            return UpstreamSeen(shown, ConnectionFault("no_http", "as it answers") if is_unread else fault_of(error))
        below = {
            "/health": _get(session, f"{base}/health{query}"),
            "/embed": _embed(session, f"{base}/embed{query}", TEXT),
        }
        if info.status != 200:
            below |= {path: _get(session, base + path + query) for path in LISTS}
        answers = {"/info": info, **await _answered(below)}
        texts = _texts_for(answers, access)
        answers |= await _answered({path: _embed(session, base + path + query, text) for path, text in texts.items()})
        root_answers = {}
        if info.status == 404 and parts.path.strip("/"):
            root = parts._replace(path="").geturl()
            root_answers = await _answered({path: _get(session, root + path) for path in ("/info", "/v1/models")})
    return UpstreamSeen(shown, None, answers, root_answers, access.model or "", access.names, access.key_setting)


async def _inquire_grpc(shown: str, parts: SplitResult, access: UpstreamAccess, limit_s: float) -> UpstreamSeen:
    """Ask one that is called over gRPC: first whether it speaks that, which says best what is wrong where it does not."""
    host, port, model = parts.hostname or "", parts.port or GRPC_PORT, access.model or ""
    own_trust = _trust_of_grpc(access.trust) if parts.scheme == "grpcs" else None
    fault, missing = await _greet(host, port, own_trust, limit_s), missing_for_grpc()
    said = None
    if fault is None and model and not missing:
        authorities = None if own_trust is None else _authorities(access.trust)
        said = await ask_model(grpc_target(parts.geturl()), model, access.headers, authorities, limit_s)
    return UpstreamSeen(
        shown,
        fault,
        model=model,
        key_setting=access.key_setting,
        is_grpc=True,
        grpc_model=said,
        missing=missing,
    )


def _authorities(trust: ssl.SSLContext | None) -> str:
    """The certificates that are trusted, in PEM; empty: those that gRPC brings."""
    further = trust.get_ca_certs(binary_form=True) if trust else ()
    own = own_authorities().decode("ascii", "replace")  # beside certificates it may have comments
    return "\n".join(filter(None, (*map(ssl.DER_cert_to_PEM_cert, further), own)))


async def _greet(host: str, port: int, trust: ssl.SSLContext | None, limit_s: float) -> ConnectionFault | None:
    """Return why gRPC cannot be spoken there.

    Args:
        host: Its host.
        port: Its port.
        trust: What checks its certificate; None: it is called without TLS.
        limit_s: Seconds for all of it.
    """
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=trust)
            try:
                writer.write(GREETING)
                return fault_in_greeting(await reader.read(GREETING_BYTES_MAX))
            finally:
                writer.transport.abort()
    except (TimeoutError, OSError) as error:
        return fault_of(error)


def _trust_of_grpc(trust: ssl.SSLContext | None) -> ssl.SSLContext:
    """What checks certificates as that does, and says that gRPC is spoken; servers of gRPC hang up on one that does not."""
    context = ssl.create_default_context()
    for certificate in trust.get_ca_certs(binary_form=True) if trust else ():
        context.load_verify_locations(cadata=certificate)
    context.set_alpn_protocols(["h2"])
    return context


async def _answered(asked: Mapping[str, Awaitable[InquiryAnswer]]) -> dict[str, InquiryAnswer]:
    """Return what was answered in time; the first question has shown that the server can be reached."""
    answers = await asyncio.gather(*asked.values(), return_exceptions=True)
    return {path: answer for path, answer in zip(asked, answers, strict=True) if isinstance(answer, InquiryAnswer)}


async def _get(session: aiohttp.ClientSession, url: str) -> InquiryAnswer:
    async with session.get(url, allow_redirects=False) as response:
        return await _read(response)


def _texts_for(answers: Mapping[str, InquiryAnswer], access: UpstreamAccess) -> dict[str, bytes]:
    """Return what to ask by OpenAI's API, by path: one that lists no models may compute at either."""
    model = access.model or ""
    if path := listing_in(answers):
        chosen = chosen_of(models_in(answers[path]), model, access.names)
        return {LISTS[path]: _text_for(chosen)} if chosen else {}
    described, embed = (answers.get(path, InquiryAnswer(0)).status for path in ("/info", "/embed"))
    return dict.fromkeys(LISTS.values(), _text_for(model)) if described != 200 and embed in NO_PATH else {}


def _text_for(model: str) -> bytes:
    named = {"model": model} if model else {}
    return json.dumps({"input": ["autobatch preflight"], **named}).encode()


async def _embed(session: aiohttp.ClientSession, url: str, body: bytes) -> InquiryAnswer:
    async with session.post(url, data=body, headers=JSON, allow_redirects=False) as response:
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
