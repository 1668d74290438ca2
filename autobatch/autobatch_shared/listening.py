"""Whether an address can be listened on: asked before a process starts its work, so that a taken port is one clear line."""

import os
import socket

from autobatch_shared.settings.loading import SettingsError


def refuse_taken(host: str, port: int, setting: str) -> None:
    """Refuse an address that another process has.

    Args:
        host: Address or name; empty: all addresses.
        port: TCP port; 0, any free one, is never taken.
        setting: Name of the setting that has the port, for the error.

    Raises:
        SettingsError: It cannot be listened on.
    """
    if port == 0:
        return
    try:
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.create_server(address[:2], family=family):
            return
    except OSError as error:
        # asyncio's and socket's own texts repeat the address; a name that cannot be resolved has no number of the system's.
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise SettingsError([f"{setting}: cannot listen on {host}:{port}: {why}"]) from error
