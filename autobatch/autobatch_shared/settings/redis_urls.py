"""The kinds of REDIS_URL: one server, the Sentinels that know it, or the nodes of a cluster.

redis[s]://[user:password@]host[:6379][/db][?...]      unix://[user:password@]/path[?...]
redis[s]+sentinel://[user:password@]host1[:26379],host2,.../service[/db][?...]
redis[s]+cluster://[user:password@]host1[:6379],host2,...[?...]
"""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

SINGLE = ("redis", "rediss", "unix")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
CLUSTER = ("redis+cluster", "rediss+cluster")
SCHEMES = (*SINGLE, *SENTINEL, *CLUSTER)


class RedisUrl(NamedTuple):
    """A URL of several servers.

    Attributes:
        scheme: `redis` or `rediss`.
        userinfo: With its `@`; empty if there is none.
        servers: Each host, with its port if it has one.
        path: After the servers.
        query: After the `?`.
    """

    scheme: str
    userinfo: str
    servers: tuple[str, ...]
    path: str
    query: str

    def each_server(self, port: int) -> list[str]:
        """Return a URL for each server alone; `port` is that of those that have none."""
        query = f"?{self.query}" if self.query else ""
        return [f"{self.scheme}://{self.userinfo}{_with_port(server, port)}/{query}" for server in self.servers]

    def without(self, name: str) -> tuple[str | None, "RedisUrl"]:
        """Return a parameter's value, None if it has none, and the URL without it."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        rest = [pair for pair in pairs if pair[0] != name]
        return dict(pairs).get(name), self._replace(query=urlencode(rest))


def split_redis_url(url: str) -> RedisUrl:
    """Take a URL of several servers apart; `check_redis_url` has found no fault in it."""
    parts = urlsplit(url)
    userinfo, at, servers = parts.netloc.rpartition("@")
    return RedisUrl(parts.scheme.partition("+")[0], userinfo + at, tuple(servers.split(",")), parts.path, parts.query)


def check_redis_url(parts: SplitResult) -> None:
    """Say what is wrong with a URL.

    Raises:
        ValueError: With a message that has no piece of it.
    """
    if parts.scheme not in SCHEMES:
        raise ValueError(f"must start with {', '.join(f'{scheme}://' for scheme in SCHEMES[:-1])} or {SCHEMES[-1]}://")
    servers = parts.netloc.rpartition("@")[2].split(",")
    if parts.scheme in SINGLE:
        if len(servers) > 1:
            raise ValueError("must name one server; several with redis+sentinel:// or redis+cluster://")
        return
    if not all(servers):
        raise ValueError("must name a host before and after each comma")
    if parts.scheme in SENTINEL and not re.fullmatch(r"/[^/]+(/\d*)?", parts.path):
        raise ValueError("must name the service that the Sentinels watch: redis+sentinel://host1,host2/service")
    if parts.scheme in CLUSTER and parts.path not in ("", "/", "/0"):
        raise ValueError("must name no database but 0: a cluster has no other")


def _with_port(server: str, port: int) -> str:
    return server if urlsplit(f"//{server}").port is not None else f"{server}:{port}"
