"""Every kind of REDIS_URL leads to its servers, with its way in."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import NotTheMaster, ReplyError
from autobatch_shared.redis.masters.cluster import ClusterNodes
from autobatch_shared.redis.masters.finder import MasterFinder
from autobatch_shared.redis.masters.fixed import FixedAddress
from autobatch_shared.redis.masters.master import finder_of, redirection
from autobatch_shared.redis.masters.sentinel import Sentinels


def places(addresses: Sequence[Address]) -> list[str]:
    return [repr(address) for address in addresses]


async def test_one_address_is_the_only_candidate() -> None:
    finder = finder_of("redis://user:secret@queue:7000/3")
    assert isinstance(finder, FixedAddress)
    (address,) = await finder.candidates(None)
    assert (repr(address), address.db, address.username, address.password) == ("queue:7000", 3, "user", "secret")


async def test_the_nodes_of_a_cluster_are_candidates_after_the_one_that_had_the_slot() -> None:
    finder = finder_of("rediss+cluster://:secret@one:7001,two,[::1]:7003?ssl_check_hostname=false")
    assert isinstance(finder, ClusterNodes)
    nodes = await finder.candidates(None)
    assert places(nodes) == ["one:7001", "two:6379", "::1:7003"]
    assert all(node.password == "secret" and node.tls is not None for node in nodes)
    assert places(await finder.candidates(nodes[1])) == ["two:6379", "one:7001", "::1:7003"]
    assert places(await finder.candidates(nodes[0].at("new", 7009))) == ["new:7009", "one:7001", "two:6379", "::1:7003"]


def test_sentinels_have_their_own_way_in_and_the_server_has_the_urls() -> None:
    finder = finder_of(
        "redis+sentinel://user:secret@one,two:7002/queue/3?sentinel_username=watch&sentinel_password=an%26other"
    )
    assert isinstance(finder, Sentinels)
    assert places(finder._sentinels) == ["one:26379", "two:7002"]
    assert {(each.username, each.password, each.db) for each in finder._sentinels} == {("watch", "an&other", 0)}
    assert (finder._server.username, finder._server.password, finder._server.db) == ("user", "secret", 3)


@pytest.mark.parametrize("url", ["rediss://one", "rediss+cluster://one,two", "rediss+sentinel://one,two/queue"])
def test_authorities_that_are_replaced_in_their_file_count_for_each_server(url: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    servers = addresses_of(finder_of(f"{url}?ssl_ca_certs={file}"))
    before = [server.tls_context() for server in servers]
    assert [server.tls_context() for server in servers] == before

    file.write_text("not whole")
    for server in servers:
        with pytest.raises(QueueUnavailable, match="REDIS_URL: a certificate or key of its cannot be used"):
            server.tls_context()
    trustme.CA().cert_pem.write_to_path(str(file))
    for server, context in zip(servers, before, strict=True):
        assert server.tls_context() not in (None, context)


def addresses_of(finder: MasterFinder) -> list[Address]:
    """All that are connected to, and one that a node or a Sentinel may name."""
    if isinstance(finder, Sentinels):
        return [*finder._sentinels, finder._server.at("new", 7009)]
    assert isinstance(finder, FixedAddress | ClusterNodes)
    known = [finder._address] if isinstance(finder, FixedAddress) else list(finder._nodes)
    return [*known, known[0].at("new", 7009)]


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (NotTheMaster("MOVED 1234 10.0.0.7:6381"), ("10.0.0.7", 6381)),
        (NotTheMaster("MOVED 1234 fd00::7:6381"), ("fd00::7", 6381)),
        (NotTheMaster("MOVED 1234 :6381"), ("", 6381)),  # the node's own host, as some services say
        (NotTheMaster("MOVED 1234 nonsense"), None),
        (NotTheMaster("READONLY You can't write"), None),
        (ReplyError("MOVED 1234 10.0.0.7:6381"), None),
        (OSError("MOVED 1234 10.0.0.7:6381"), None),
    ],
)
def test_a_redirection_is_read(error: Exception, place: tuple[str, int] | None) -> None:
    assert redirection(error) == place
