"""Where Redis is and how to get in, read from REDIS_URL."""

import ssl
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import parse_url

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where Redis is and how to get in. Its repr shows no secret."""

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __repr__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    @classmethod
    def from_url(cls, url: str) -> "Address":
        """Read `redis://`, `rediss://` and `unix://` URLs as redis-py does, so both reach the same server."""
        options: dict[str, Any] = dict(parse_url(url))
        tls = None
        if url.startswith("rediss://"):
            tls = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
            if options.get("ssl_check_hostname") in (False, "False", "false", "no", "0"):
                tls.check_hostname = False
            if options.get("ssl_cert_reqs") == "none":
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            if options.get("ssl_certfile"):
                tls.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        return cls(
            host=options.get("host", "localhost"),
            port=options.get("port", DEFAULT_PORT),
            path=options.get("path"),
            db=int(options.get("db", 0)),
            username=options.get("username"),
            password=options.get("password"),
            tls=tls,
        )
