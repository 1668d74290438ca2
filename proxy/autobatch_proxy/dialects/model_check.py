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
        named = model_named_in(asked, body)
        if named is None or not served or is_name_of(served, named, self._aliases):
            return
        raise unknown(named)


def model_named_in(asked: object, body: bytes) -> str | None:
    """Return the model that a body of OpenAI's routes names; None where it names none.

    Args:
        asked: What the reader of the route made of the body.
        body: The body, which goes on as it came where the reader did not take it apart.

    Raises:
        InvalidRequest: It would take too long to find out.
    """
    return asked.model if isinstance(asked, Asked) else model_in(body)


def is_name_of(served: str, named: str, aliases: Container[str]) -> bool:
    """Whether clients may ask for the unnamed model by this name: that of its upstreams, the part after its last `/`, or an alias.

    Args:
        served: What its upstreams call it; empty while it is unknown.
        named: The name that is asked for.
        aliases: The model's further names.
    """
    return named in aliases or (served != "" and named in (served, served.rpartition("/")[2]))


def unknown(name: str) -> UnknownModel:
    """Return the refusal of a request for a model that is not served, in OpenAI's words."""
    return UnknownModel(f"The model `{name}` does not exist or you do not have access to it.")
