"""The tables of what varies: the words that a setting may have, and where the batcher finds what each of them names.

A row has a place, not a class: every program that reads settings checks the word, and only the batcher imports what it names.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit


class Choice(NamedTuple):
    """What one word of a setting means.

    Attributes:
        place: The class that the word names, as `<module>:<class>`.
        meaning: What the settings' documents say about the word.
    """

    place: str
    meaning: str


#: BATCH_POLICY: each is an `autobatch_batcher.forming.policy.Policy`.
POLICIES = {
    "adaptive": Choice("autobatch_batcher.forming.adaptive:AdaptivePolicy", "never wait when waiting cannot pay"),
    "full": Choice("autobatch_batcher.forming.full:FullPolicy", "wait out the time unless full"),
}

#: With TARGET_P99_MS it is this one, which is called with the target, too.
TARGET_POLICY = "autobatch_batcher.forming.target:TargetPolicy"

#: INFERENCE_DIALECT: each is an `autobatch_batcher.dialects.base.Dialect`.
DIALECTS = {
    "tei": Choice("autobatch_batcher.dialects.tei:Tei", "text-embeddings-inference"),
    "openai": Choice(
        "autobatch_batcher.dialects.openai:OpenAI",
        "`/v1/embeddings`, such as vLLM, Ollama, llama.cpp, infinity or a paid API",
    ),
    "triton": Choice("autobatch_batcher.dialects.triton:Triton", "KServe v2 over gRPC, such as Triton or MLServer"),
}
#: What the scheme of an upstream's URL may be, and which of them allows what.
_GRPC_OF = {"http": "grpc", "https": "grpcs", "grpc": "grpc", "grpcs": "grpcs"}
SCHEMES = frozenset(_GRPC_OF)
GRPC_PORT = 8001  # Triton's own
OVER_HTTP, OVER_GRPC = ("tei", "openai"), ("triton",)

_is_api_root = re.compile(r".*/(?:v\d\w*|openai|deployments/[^/]+)").fullmatch

#: INFERENCE_DIALECT: the upstream is asked which of those that its URL allows it is, in their order.
AUTO = "auto"


def described(choices: Mapping[str, Choice]) -> str:
    """Return what the words mean, for the description of their setting."""
    return "; ".join(f"`{word}`: {choice.meaning}" for word, choice in choices.items())


def is_api_root(url: str) -> bool:
    """Whether `/embeddings` is right below this URL, without `/v1`: it is of another version, Google's or Azure's."""
    return _is_api_root(urlsplit(url).path) is not None


def is_grpc(url: str) -> bool:
    """Whether an upstream with this URL is called over gRPC."""
    return urlsplit(url).scheme in ("grpc", "grpcs")


def over_grpc(url: str, port: int) -> str:
    """Return the URL of the same host over gRPC, at another port."""
    parts = urlsplit(url)
    return f"{_GRPC_OF[parts.scheme]}://{_host(parts)}:{port}"


def grpc_target(url: str) -> str:
    """Return the host and port of a URL over gRPC, as gRPC takes them."""
    parts = urlsplit(url)
    return f"{_host(parts)}:{parts.port or GRPC_PORT}"


def _host(parts: SplitResult) -> str:
    """The host, in brackets if it is an address of IPv6."""
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
