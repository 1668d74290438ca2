"""Free ports and taken ones."""

import socket

import pytest

from autobatch_console.preflight import ports
from autobatch_console.preflight.ports import PortError


def test_a_port_that_somebody_has_is_refused_with_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            ports.check("127.0.0.1", port)
        assert not ports.is_free("0.0.0.0", port)
    ports.check("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(PortError, match=r"192\.0\.2\.1"):
        ports.check("192.0.2.1", 3000)
    with pytest.raises(PortError, match="no-such-host"):
        ports.check("no-such-host.invalid", 3000)


def test_the_configured_port_is_kept_unless_somebody_has_it_or_will() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        assert ports.choose("127.0.0.1", port, ()) != port
    assert ports.choose("127.0.0.1", port, ()) == port
    assert ports.choose("127.0.0.1", port, {port}) != port
    assert ports.choose("127.0.0.1", 0, ()) > 0
