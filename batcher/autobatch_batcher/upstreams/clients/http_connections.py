"""The connections that calls over HTTP share: how a new one is made, by which authorities its server is trusted, for which call."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp

from autobatch_batcher.upstreams.clients.upstream_client import CallConnection
from autobatch_shared.settings.files.renewed_files import TlsFiles
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import trust_of

CONNECT_MAX_S = 1.0  # an address that has vanished, as of a stopped container, refuses nothing: it says nothing
DNS_TTL_S = 1  # aiohttp's own 10 s are how long a call would still go to the address of the container before
ALPN = ("http/1.1",)  # as aiohttp's own
KEEPALIVE_S = 15  # below what servers usually keep an idle connection

#: The connection of the call that is made in this context; aiohttp's tracing would tell the same for 25 us a call.
current_connection: ContextVar[CallConnection | None] = ContextVar("current_connection", default=None)


class TrustingConnector(aiohttp.TCPConnector):
    """Checks each new connection by what the files of authorities have then; aiohttp itself reads this machine's once.

    Args:
        trust: The files.
        options: Those of aiohttp's.
    """

    def __init__(self, trust: TlsFiles, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust

    def _get_ssl_context(self, req: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        if not req.is_ssl():
            return None
        try:
            return self._trust.context()
        except SettingsError as exc:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, ssl.SSLError(0, str(exc))) from exc


@asynccontextmanager
async def open_sessions(
    ca_file: str | None = None,
) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """Open two HTTP sessions and close them in the end: the usual one, and one that makes a new connection for each call.

    Args:
        ca_file: The file of authorities to trust besides this machine's.

    Raises:
        SettingsError: It cannot be used.
    """
    trust = trust_of(ca_file, ALPN)
    if ca_file is not None:
        trust.context()
    options: dict[str, Any] = {"limit": 0, "ttl_dns_cache": DNS_TTL_S, "socket_factory": _new_socket}
    async with (
        _session(TrustingConnector(trust, keepalive_timeout=KEEPALIVE_S, **options)) as usual,
        _session(TrustingConnector(trust, force_close=True, **options)) as fresh,
    ):
        yield usual, fresh


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    # For the answer every call has a timeout of its own.
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_MAX_S),
        cookie_jar=aiohttp.DummyCookieJar(),  # an upstream must not recognise its callers
        auto_decompress=False,  # of a false `Content-Encoding` it makes a connection that ended, or waits for more
    )


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket of a new connection, as without this function, and note for which call."""
    if (connection := current_connection.get()) is not None:
        connection.made_s = connection.client.connected_s = asyncio.get_running_loop().time()
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)
