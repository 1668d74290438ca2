"""A port that another process has is named before anything is started."""

import socket

import pytest

from autobatch_shared.listening import refuse_taken
from autobatch_shared.settings.loading import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_a_taken_port_is_named_with_its_setting(host: str) -> None:
    with socket.create_server((host if host != "localhost" else "127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            SettingsError, match=f"BATCHER_PORT: cannot listen on {host}:{port}: Address already in use"
        ):
            refuse_taken(host, port, "BATCHER_PORT")
    refuse_taken(host, port, "BATCHER_PORT")


def test_an_address_of_another_machine_is_named_too() -> None:
    with pytest.raises(SettingsError, match=r"PORT: cannot listen on 192\.0\.2\.1:80: "):
        refuse_taken("192.0.2.1", 80, "PORT")


def test_any_free_port_is_never_taken() -> None:
    refuse_taken("192.0.2.1", 0, "PORT")
