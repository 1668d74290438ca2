"""SDKs reach only this machine: their own switches are set, and connections to other hosts are refused and recorded.

It must be on before the first SDK is imported: some connect to their vendor while they are imported.
"""

import ipaddress
import os
import socket
from typing import Any

#: Variables that a developer's shell may have: keys, other servers, proxies.
FOREIGN = ("OPENAI_", "HF_", "HUGGINGFACE", "LITELLM_", "LANGCHAIN_", "LANGSMITH_", "CHROMA_", "HAYSTACK_", "TIKTOKEN_")

# HF_HUB_OFFLINE is not among them: with it, InferenceClient refuses every address, ours too.
SWITCHES = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "*",
}


class Offline:
    """While it is on, Python code of this process reaches only loopback and unix sockets.

    Attributes:
        environment: The variables that were set before it was on.
        refused: Every other host to which a connection was tried.
    """

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.refused: list[str] = []
        self._patched: list[tuple[Any, str, Any]] = []

    def start(self) -> None:
        """Set the switches for good; watch sockets until `stop`."""
        for name in [name for name in os.environ if name.startswith(FOREIGN) or name.lower().endswith("_proxy")]:
            del os.environ[name]
        os.environ.update(SWITCHES)
        self._watch(socket, "getaddrinfo", lambda host, *_: host)
        self._watch(socket.socket, "connect", _host_of_connect)
        self._watch(socket.socket, "connect_ex", _host_of_connect)

    def stop(self) -> None:
        """Allow all connections again."""
        while self._patched:
            setattr(*self._patched.pop())

    def _watch(self, owner: Any, name: str, host_of: Any) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            host = host_of(*args)
            if not _is_here(host):
                self.refused.append(str(host))
                raise OSError(f"tests reach only this machine, not {host}")
            return original(*args, **kwargs)

        self._patched.append((owner, name, original))
        setattr(owner, name, watched)


def _host_of_connect(sock: socket.socket, address: Any, *_: Any) -> Any:
    return None if sock.family == socket.AF_UNIX else address[0]


def _is_here(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
