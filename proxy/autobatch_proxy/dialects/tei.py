"""Decide what a request body of TEI's routes becomes: jobs that may share a call, or the bytes as they came.

Only what is plainly a request is taken apart. Whatever is not, down to a repeated key or a stray byte, goes to the
upstream verbatim and alone, so its answer, errors included, is the upstream's own.

Source: the routes of text-embeddings-inference 1.9.
"""

from functools import wraps
from typing import Annotated, Any, Literal, Protocol

import msgspec

from autobatch_proxy.dialects import forms as shapes
from autobatch_proxy.dialects.strict_json import Grammar, grammar, plan_inputs, read, read_inputs
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.plan import Allowed, Piece, Plan, Rules
from autobatch_shared.contract.options import Options, unless_default

Dimensions = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]  # 0 is refused by TEI, and `-0` in other words


class _TokensOptions(msgspec.Struct, kw_only=True):
    """Beside the inputs, the fields of `POST /embed_all` and `/embed_sparse`; null is valid where None is."""

    truncate: bool | None = None
    truncation_direction: Literal["right", "left", "Right", "Left"] = "right"
    prompt_name: str | None = None


class _EmbedOptions(_TokensOptions, kw_only=True):
    """Those of `POST /embed`."""

    normalize: bool = True
    dimensions: Dimensions | None = None


class _TokensBody(_TokensOptions, kw_only=True):
    inputs: msgspec.Raw


class _EmbedBody(_EmbedOptions, kw_only=True):
    inputs: msgspec.Raw


class _InputBody(_EmbedOptions, kw_only=True):
    """From clients of proxies that call the inputs `input`. Where `inputs` is there too, it counts."""

    input: msgspec.Raw
    inputs: Any = msgspec.UNSET


_TOKENS = grammar(_TokensBody)
_EMBED = grammar(_EmbedBody)
_INPUT = grammar(_InputBody, "input")


class Planner(Protocol):
    """Decides what a body becomes."""

    def __call__(
        self, body: bytes, content_type: str | None, rules: Rules, allowed: Allowed, /, *, asks_bulk: bool = False
    ) -> Plan:
        """Return the plan.

        Raises:
            InvalidRequest: More inputs than a request may have.
        """


class PlainPlanner(Protocol):
    """Decides what a body of JSON becomes that is plainly what its route takes."""

    def __call__(self, body: bytes, rules: Rules, allowed: Allowed, /, *, asks_bulk: bool) -> Plan | Alone:
        """Return the plan, or say why it is not plainly that."""


def or_verbatim(plan_plain: PlainPlanner) -> Planner:
    """Return the planner of a route whose other bodies go on as they came."""

    @wraps(plan_plain)
    def plan(
        body: bytes, content_type: str | None, rules: Rules, allowed: Allowed, /, *, asks_bulk: bool = False
    ) -> Plan:
        plain = plan_plain(body, rules, allowed, asks_bulk=asks_bulk)
        if isinstance(plain, Plan):
            return plain
        return plan_verbatim(body, content_type, asks_bulk=asks_bulk, alone=plain)

    return plan


@or_verbatim
def plan_embed(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /embed`, also one whose inputs are called `input`."""
    plan = _plan_tei(body, _EMBED, "/embed", rules, allowed, asks_bulk=asks_bulk)
    if plan is Alone.FIELDS:
        plan = _plan_input(body, rules, allowed, asks_bulk=asks_bulk)
    return plan


@or_verbatim
def plan_embed_all(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /embed_all`: a vector for each token."""
    return _plan_tei(body, _TOKENS, "/embed_all", rules, allowed, asks_bulk=asks_bulk)


@or_verbatim
def plan_embed_sparse(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /embed_sparse`: an index and a value for each component that is not zero."""
    return _plan_tei(body, _TOKENS, "/embed_sparse", rules, allowed, asks_bulk=asks_bulk)


def plan_verbatim(
    body: bytes,
    content_type: str | None,
    _rules: Rules | None = None,
    _allowed: Allowed | None = None,
    *,
    asks_bulk: bool = False,
    alone: Alone = Alone.ROUTE,
) -> Plan:
    """Plan a request that goes on as it came, to the route at which it came."""
    return Plan([Piece(1, "verbatim", body, content_type=content_type)], asks_bulk, "", alone=alone)


def _plan_tei(
    body: bytes, fields: Grammar, route: str, rules: Rules, allowed: Allowed, *, asks_bulk: bool
) -> Plan | Alone:
    """The jobs of a request, or why it is not plainly one."""
    plain = read(body, fields)
    if isinstance(plain, Alone):
        return plain
    inputs = read_inputs(plain.raw)
    if inputs is None:
        return Alone.INPUTS
    plan = plan_inputs(inputs, plain.raw, _options(plain.request), rules, allowed, asks_bulk=asks_bulk)
    plan.route = route
    return plan


def _plan_input(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """The jobs of a request that calls its inputs `input`: one text, or several."""
    plain = read(body, _INPUT)
    if isinstance(plain, Alone):
        return plain
    if plain.request.inputs is not msgspec.UNSET:
        return Alone.FIELDS
    inputs = read_inputs(plain.raw)
    if inputs is None or (not isinstance(inputs, str) and set(map(type, inputs)) != {str}):
        return Alone.INPUTS
    plan = plan_inputs(inputs, plain.raw, _options(plain.request), rules, allowed, asks_bulk=asks_bulk)
    plan.shape = shapes.one_embedding if isinstance(inputs, str) else shapes.all_embeddings
    return plan


def direction_of(request: Any) -> Literal["right", "left"]:
    """The end at which a request has its inputs cut."""
    return "left" if request.truncation_direction in ("left", "Left") else "right"


def _options(request: _TokensOptions) -> Options | None:
    normalize, dimensions = True, None
    if isinstance(request, _EmbedOptions):
        normalize, dimensions = request.normalize, request.dimensions
    return unless_default(
        Options(
            truncate=request.truncate,
            truncation_direction=direction_of(request),
            prompt_name=request.prompt_name,
            normalize=normalize,
            dimensions=dimensions,
        )
    )
