"""Refuse a `model` that is not served: MODEL_CHECK=served. Pure.

TEI takes any name, and clients' defaults are names of OpenAI's models. Where several models are behind one host, a wrong name
is a mistake that would give vectors of the wrong model.
"""

from collections.abc import Container, Iterable

from autobatch_proxy.requests.asked import Asked
from autobatch_proxy.requests.unread import model_in
from autobatch_shared.contract.errors import UnknownModel


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
            InvalidRequest: It would take too long to find out.
        """
        named = asked.model if isinstance(asked, Asked) else model_in(body)
        if named is None or not served or is_name_of(served, named, self._aliases):
            return
        raise UnknownModel(f"The model `{named}` does not exist or you do not have access to it.")


def is_name_of(served: str, named: str, aliases: Container[str]) -> bool:
    """Whether clients may ask for the served model by this name: its own, the part after its last `/`, or an alias."""
    return named in (served, served.rpartition("/")[2]) or named in aliases
