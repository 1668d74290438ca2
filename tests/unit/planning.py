"""What the tests of planning share: rules and limits that do not bind, and the whole way from a body to its plan."""

from typing import Any

from autobatch_proxy.http.route_table import READERS
from autobatch_proxy.requests.asked import AnswerFacts
from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Allowed, Plan, Rules
from autobatch_proxy.requests.planner import make_plan

JSON = "application/json"
RULES = Rules(make_ruler(None), request_inputs_max=2048, bulk_above_inputs=2048)
ALLOWED = Allowed(job_inputs_max=32, length_max=10**9, served_model="the-model")


def plan_of(
    path: str,
    body: bytes,
    rules: Rules = RULES,
    allowed: Allowed = ALLOWED,
    *,
    content_type: str | None = JSON,
    asks_bulk: bool = False,
) -> Plan:
    """Return what a body becomes that came to a path."""
    return make_plan(READERS[path](body), body, content_type, path, rules, allowed, asks_bulk=asks_bulk)


def body_of(plan: Plan, rows: bytes, tokens: int | None = None) -> bytes:
    """Return the answer's body, made of all rows and of the tokens that were counted elsewhere."""
    assert plan.form is not None
    return plan.form(rows, AnswerFacts(plan.model, tokens if plan.tokens is None else plan.tokens, "id"))


def refuse(literal: str) -> Any:
    """Raise for literals that `json` reads and serde_json does not."""
    raise ValueError(literal)


class Members(list[tuple[str, Any]]):
    """A JSON object with its repeated keys: for `object_pairs_hook`."""


def is_text(value: object) -> bool:
    """Whether it is a string that has a UTF-8 form."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
