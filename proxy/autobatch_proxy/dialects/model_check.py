"""Refuse a `model` that is not served: MODEL_CHECK=served. Pure.

TEI takes any name, and clients' defaults are names of OpenAI's models. Where several models are behind one host, a wrong name
is a mistake that would give vectors of the wrong model.
"""

from collections.abc import Container, Iterable
from typing import Any

import msgspec

from autobatch_proxy.requests.asked import Asked
from autobatch_shared.contract.errors import NOT_AS_ASKED, UnknownModel


class _Named(msgspec.Struct):
    """The one field that counts here, of a body that may be anything else."""

    model: Any = None


_decode = msgspec.json.Decoder(_Named).decode


class ModelCheck:
    """Knows the names under which clients may ask for the served model.

    Args:
        aliases: Its names besides its own.
    """

    def __init__(self, aliases: Iterable[str]) -> None:
        self._aliases = frozenset(aliases)

    def check(self, asked: object, body: bytes, served: str) -> None:
        """Raise unless the request names the served model, or none.

        Args:
            asked: What the reader of the route made of the body.
            body: The body, which goes on as it came where the reader did not take it apart.
            served: The name of the upstreams' model; empty while it is unknown, and then nothing is refused.

        Raises:
            UnknownModel: It names another one.
        """
        named = asked.model if isinstance(asked, Asked) else _named_in(body)
        if named is None or not served or is_name_of(served, named, self._aliases):
            return
        raise UnknownModel(f"The model `{named}` does not exist or you do not have access to it.")


def is_name_of(served: str, named: str, aliases: Container[str]) -> bool:
    """Whether clients may ask for the served model by this name: its own, the part after its last `/`, or an alias."""
    return named in (served, served.rpartition("/")[2]) or named in aliases


def _named_in(body: bytes) -> str | None:
    try:
        named = _decode(body).model
    except NOT_AS_ASKED:
        return None  # the upstream says what is wrong with it
    return named if isinstance(named, str) else None
