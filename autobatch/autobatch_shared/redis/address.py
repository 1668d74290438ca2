"""Where one Redis server is and how to get in, read from REDIS_URL."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.settings.files.renewed_files import TlsFiles
from autobatch_shared.settings.loading import SettingsError

if TYPE_CHECKING:
    from redis.asyncio.connection import RedisSSLContext

PORT = 6379


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where one server is and how to get in. Its repr shows no secret."""

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None
    tls: TlsFiles | None

    def __repr__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> "Address":
        """Return the address of another server that is entered in the same way."""
        return replace(self, host=host, port=port, path=None)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return that of a connection that is made now; None: it has no TLS.

        Raises:
            QueueUnavailable: A certificate, key or authority cannot be read, or is not whole yet.
        """
        try:
            return None if self.tls is None else self.tls.context()
        except SettingsError as error:
            raise QueueUnavailable(str(error)) from error

    @classmethod
    def from_url(cls, url: str) -> "Address":
        """Read `redis://`, `rediss://` and `unix://` URLs, as redis-py does.

        TLS is set by redis-py's parameters: `ssl_ca_certs` (a file; unset: the system's), `ssl_certfile` and
        `ssl_keyfile` for a client certificate, `ssl_check_hostname`, `ssl_cert_reqs`, `ssl_min_version`, ...

        Raises:
            SettingsError: An unknown parameter, an impossible value, or a file that cannot be read.
        """
        scheme, _, rest = url.partition("://")
        return _plain(url) if scheme in ("redis", "unix") and "?" not in rest else _with_parameters(url)


def _plain(url: str) -> Address:
    """Read a URL without redis-py, whose import takes a tenth of a process's start."""
    parts = urlsplit(url)
    is_path, db = parts.scheme == "unix", 0
    with suppress(ValueError):
        db = 0 if is_path else int(unquote(parts.path).replace("/", ""))
    return Address(
        host="localhost" if is_path else unquote(parts.hostname or "localhost"),
        port=0 if is_path else parts.port or PORT,
        path=unquote(parts.path) if is_path else None,
        db=db,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=None,
    )


def _with_parameters(url: str) -> Address:
    from redis.asyncio import ConnectionPool  # noqa: PLC0415  # see _plain
    from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        connection = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RedisError) as error:
        raise SettingsError([f"REDIS_URL: {_fault(error)}"]) from None
    tls = _tls_files(connection.ssl_context) if isinstance(connection, SSLConnection) else None
    is_tcp = isinstance(connection, Connection)
    return Address(
        host=connection.host if is_tcp else "localhost",
        port=int(connection.port) if is_tcp else 0,
        path=connection.path if isinstance(connection, UnixDomainSocketConnection) else None,
        db=int(connection.db),
        username=connection.username,
        password=connection.password,
        tls=tls,
    )


def _tls_files(parameters: "RedisSSLContext") -> TlsFiles:
    """Read the files, so that one that cannot be used prevents the start."""

    def made() -> ssl.SSLContext:
        parameters.context = None  # it keeps the one that it has made
        try:
            return parameters.get()
        except (TypeError, ValueError, OSError) as error:
            raise SettingsError([f"REDIS_URL: {_fault(error)}"]) from None

    paths = (parameters.certfile, parameters.keyfile, parameters.ca_certs, parameters.ca_path)
    found = TlsFiles(made, filter(None, paths))
    found.context()
    return found


def _fault(error: Exception) -> str:
    """Say what is wrong; of the URL, only the name of a parameter is quoted."""
    match error:
        case TypeError():  # ... got an unexpected keyword argument 'ssl_cafile'
            return f"no such parameter: {str(error).rpartition('argument ')[2]}"
        case ssl.SSLError():
            return f"a certificate or key of its cannot be used: {error.reason or 'it is not whole PEM'}"
        case OSError():
            return f"a file of its parameters cannot be read: {error.strerror}"
        case _:
            return "a parameter has a value that it cannot have"
