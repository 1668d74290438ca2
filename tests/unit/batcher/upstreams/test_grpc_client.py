"""What UNAVAILABLE means: each of gRPC's details as grpcio 1.80 and 1.85 gave it, whatever was seen of the connection."""

import pytest

from autobatch_batcher.upstreams.clients.grpc_client import error_of_unavailable
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamUnavailable

NEVER_CONNECTED = {
    "refused": "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused",
    "unknown host": "errors resolving nope.invalid:80: [field:hostname lookup error:address lookup failed for nope.invalid:80: Domain name not found]",
    "says nothing": "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: connection attempt timed out before receiving SETTINGS frame",
    "speaks HTTP/1": "failed to connect to all addresses; last error: INTERNAL: ipv4:127.0.0.1:9: Trying to connect an http1.x server (HTTP status 400)",
    "closes at once": "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:9: Socket closed",
    "resets at once": "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:9: recvmsg:Connection reset by peer (104)",
    "no TLS": "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Tls handshake failed (TSI_PROTOCOL_FAILURE)",
}
CONNECTION_LOST = {
    "killed": "Stream removed (Socket closed)",
    "reset": "Stream removed (recvmsg:Connection reset by peer (104))",
    "went away": "Stream removed (GOAWAY received; Error code: 0; Debug Text: )",
    "went away and closed": "Stream removed (Socket closed (GOAWAY received; Error code: 2; Debug Text: ))",
    "killed, 1.80": "Socket closed",
    "reset, 1.80": "recvmsg:Connection reset by peer",
    "went away, 1.80": "GOAWAY received; Error code: 0; Debug Text: ",
}
BY_THE_SERVER = {
    "stopping": "Cancelling all calls",
    "refused stream": "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))",
    "refused stream, 1.80": "Received RST_STREAM with error code 7",
    "its own words": "the model is being loaded",
}
SEEN = [(False, False), (False, True), (True, False), (True, True)]


def meaning(details: str, *, was_connected: bool, is_connected: bool) -> type[UpstreamUnavailable] | None:
    error = error_of_unavailable(details, was_connected=was_connected, is_connected=is_connected)
    return None if error is None else type(error)


@pytest.mark.parametrize(("was_connected", "is_connected"), SEEN)
@pytest.mark.parametrize("details", NEVER_CONNECTED.values(), ids=NEVER_CONNECTED)
def test_where_there_was_no_connection_it_cannot_be_reached(
    details: str,
    was_connected: bool,  # noqa: FBT001  # parametrized
    is_connected: bool,  # noqa: FBT001
) -> None:
    assert meaning(details, was_connected=was_connected, is_connected=is_connected) is UpstreamUnavailable


@pytest.mark.parametrize(("was_connected", "is_connected"), SEEN)
@pytest.mark.parametrize("details", CONNECTION_LOST.values(), ids=CONNECTION_LOST)
def test_a_connection_that_ended_under_the_call_was_hung_up(
    details: str,
    was_connected: bool,  # noqa: FBT001  # parametrized
    is_connected: bool,  # noqa: FBT001
) -> None:
    """Also where it came and went before it was seen, and where its end was not seen yet."""
    assert meaning(details, was_connected=was_connected, is_connected=is_connected) is UpstreamBroken


@pytest.mark.parametrize("details", BY_THE_SERVER.values(), ids=BY_THE_SERVER)
def test_other_words_mean_what_the_connection_shows(details: str) -> None:
    assert meaning(details, was_connected=True, is_connected=True) is None
    assert meaning(details, was_connected=True, is_connected=False) is UpstreamBroken
    assert meaning(details, was_connected=False, is_connected=False) is UpstreamUnavailable


def test_the_cause_is_the_last_error_of_grpc() -> None:
    error = error_of_unavailable(NEVER_CONNECTED["refused"], was_connected=False, is_connected=False)

    assert error is not None
    assert error.cause == "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused"
