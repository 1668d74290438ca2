"""Resolve a name within a time limit. The system's resolver may take many seconds, and cannot be stopped.

So it runs in a thread that a process may end without; the loop's own pool would be waited for at the end.
"""

import asyncio
import socket
import threading
from contextlib import suppress


async def look_up(host: str, limit_s: float) -> None:
    """Return once the name has an address.

    Raises:
        OSError: It has none: `socket.gaierror`, or `TimeoutError` where the resolver did not answer in time.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[OSError | None] = loop.create_future()

    def tell(error: OSError | None) -> None:
        if not found.done():
            found.set_result(error)

    def ask() -> None:
        error: OSError | None = None
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError:  # a label that is too long
            error = socket.gaierror(socket.EAI_NONAME, "not a host's name")
        except OSError as exc:
            error = exc
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        error = await asyncio.wait_for(found, limit_s)
    except TimeoutError:
        error = socket.gaierror(socket.EAI_AGAIN, "the resolver does not answer")
    if error is not None:
        raise error
