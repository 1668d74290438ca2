"""The names of models: what batchers announce, and clients write into a request's `model`, its path or a header.

A name is one or more parts between slashes, as in `BAAI/bge-m3`. `POST /BAAI/bge-m3/embed` asks that model, so no part may be
the beginning of a route.
"""

import re
from collections.abc import Collection, Iterable

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED
from autobatch_shared.contract.keys import ANNOUNCED_TTL_MS

NAME_LENGTH_MAX = 96
LATEST = ":latest"  # the tag that Ollama means where a name has none

#: What the paths of the workers' routes begin with. A test compares it with their table.
ROUTE_WORDS = frozenset(
    {
        ".well-known",
        "api",
        "api-doc",
        "dashboard",
        "dashboard.json",
        "decode",
        "docs",
        "embed",
        "embed_all",
        "embed_sparse",
        "embeddings",
        "health",
        "info",
        "invocations",
        "live",
        "meta",
        "metrics",
        "ping",
        "predict",
        "ready",
        "rerank",
        "similarity",
        "status",
        "tokenize",
        "v1",
        "v2",
        "vectors",
        "vertex",
    }
)

_is_name = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*").fullmatch


def fault_of(name: str) -> str:
    """Return why a model cannot have this name; empty: it can."""
    if len(name) > NAME_LENGTH_MAX or not _is_name(name):
        return f"must be letters, digits, `.`, `_`, `-` and single slashes between them, at most {NAME_LENGTH_MAX}"
    parts = name.split("/")
    if any(set(part) == {"."} for part in parts):
        return "must have no part of dots only: clients remove it from a path"
    taken = sorted(ROUTE_WORDS.intersection(parts))
    return f"must not have the part `{taken[0]}`: the paths of routes begin with it" if taken else ""


def may_be_in_path(alias: str) -> bool:
    """Whether a model may be asked for by this further name in a path, too. Ollama's names have a tag behind a colon."""
    return not fault_of(alias.replace(":", "-"))


def spellings(name: str) -> tuple[str, ...]:
    """Return a name, and what Ollama takes for the same: it lists `mini:latest` for what is asked for as `mini`, too."""
    return (name, name.removesuffix(LATEST) if name.endswith(LATEST) else f"{name}{LATEST}")


def listed_as(names: Iterable[str], listed: Collection[str]) -> str:
    """Return the model of a server's list that has the first of these names that any has; empty: none has one."""
    return next((spelt for name in names for spelt in spellings(name) if spelt in listed), "")


class Announcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one batcher announces with each report.

    Attributes:
        at: When, unix milliseconds of Redis's clock. The first field: `report.lua` finds it there.
        name: The model's name.
        aliases: Its further names.
        is_default: Whether requests that name no model are for this one.
    """

    at: int
    name: str
    aliases: tuple[str, ...] = ()
    is_default: bool = False


_decode = msgspec.json.Decoder(Announcement).decode


def announced(values: Iterable[bytes], now_ms: int) -> tuple[Announcement, ...]:
    """Return what is announced, or was within ANNOUNCED_TTL_MS; what is something else is left out."""
    found = []
    for value in values:
        try:
            said = _decode(value.decode())
        except NOT_AS_ASKED:
            continue
        if now_ms - said.at < ANNOUNCED_TTL_MS and not fault_of(said.name):
            found.append(said)
    return tuple(found)
