"""Rules and limits for the tests of the planners, large enough not to matter."""

from typing import Any

from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Allowed, Rules

JSON = "application/json"
RULES = Rules(make_ruler(None), request_inputs_max=2048, bulk_above_inputs=2048)
ALLOWED = Allowed(job_inputs_max=32, length_max=10**9, served_model="the-model")


def refuse(literal: str) -> Any:
    """Raise for literals that `json` reads and serde_json does not."""
    raise ValueError(literal)


class Members(list[tuple[str, Any]]):
    """A JSON object with its repeated keys: for `object_pairs_hook`."""


def is_text(value: object) -> bool:
    """Whether it is a string that has a UTF-8 form."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
