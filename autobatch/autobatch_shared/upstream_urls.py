"""The URLs of upstreams: which protocol each of them names."""

from urllib.parse import urlsplit

_GRPC_OF = {"http": "grpc", "https": "grpcs", "grpc": "grpc", "grpcs": "grpcs"}
SCHEMES = frozenset(_GRPC_OF)
GRPC_PORT = 8001  # Triton's own


def is_grpc(url: str) -> bool:
    """Whether an upstream with this URL is called over gRPC."""
    return urlsplit(url).scheme in ("grpc", "grpcs")


def over_grpc(url: str, port: int) -> str:
    """Return the URL of the same host over gRPC, at another port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{_GRPC_OF[parts.scheme]}://{host}:{port}"
