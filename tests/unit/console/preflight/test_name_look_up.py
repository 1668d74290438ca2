"""A name that the resolver does not answer for in time."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from autobatch_console.preflight.name_look_up import look_up


@pytest.fixture
def stuck_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A resolver that answers when the test is over."""
    is_over = threading.Event()

    def getaddrinfo(*_args: object, **_options: object) -> list[object]:
        is_over.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    is_over.set()


@pytest.mark.usefixtures("stuck_resolver")
async def test_a_resolver_that_does_not_answer_is_not_waited_for() -> None:
    with pytest.raises(socket.gaierror, match="the resolver does not answer"):
        await look_up("queue", 0.01)


@pytest.mark.usefixtures("stuck_resolver")
def test_a_loop_ends_while_the_resolver_still_works() -> None:
    """The loop's own pool of threads would be waited for: then the reason would be there, and the command would hang."""
    with pytest.raises(socket.gaierror):
        asyncio.run(look_up("queue", 0.01))


async def test_an_address_is_its_own_name() -> None:
    await look_up("127.0.0.1", 5.0)


async def test_what_cannot_be_a_name_has_no_address() -> None:
    with pytest.raises(socket.gaierror):
        await look_up("x" * 300 + ".example", 5.0)
