"""Which models the upstreams serve, by what they answered, and what there is to say of it. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autobatch_console.preflight.diagnoses import Diagnosis
from autobatch_console.preflight.upstreams.upstream_seen import (
    LISTS,
    InquiryAnswer,
    UpstreamSeen,
    chosen_of,
    dimension_in,
    listing_in,
    models_in,
    shown,
)
from autobatch_shared.contract.models import NAMELESS
from autobatch_shared.contract.status import Fleet

NAME_ONE = "set it: the first is taken, and another one once that is not listed any more"
OWN_NAMESPACE = "choose another one, or stop those batchers: while they run this upstream gets no calls"
NAMED_MAX = 5  # models in one line


class ModelSeen(NamedTuple):
    """Which model an upstream serves, as far as it says.

    Attributes:
        name: Its name; empty: unknown.
        fields: What decides its vectors, without what it does not say.
    """

    name: str
    fields: Mapping[str, object]


def several_models(seen: Sequence[UpstreamSeen]) -> list[Diagnosis]:
    """Return a diagnosis for each upstream that lists several models, where nothing says which of them is meant."""
    return [
        Diagnosis("risky", "UPSTREAM_MODEL", f"not set, and {each.url} lists the models {named(listed)}", NAME_ONE)
        for each in seen
        if not each.model and not each.names and len(listed := models_listed(each)) > 1
    ]


def different_models(seen: Sequence[UpstreamSeen]) -> list[Diagnosis]:
    """Return a diagnosis for each upstream whose model differs from the first one's in something that both say.

    It prevents no start: such an upstream gets no calls, and while a new model is rolled out there are two for a while.
    """
    first, *others = [each for each in seen if model_of(each).fields] or [UpstreamSeen("")]
    return [
        Diagnosis(
            "risky",
            "INFERENCE_URL",
            f"{other.url} serves another model than {first.url}: {difference}",
            "list only replicas of one model; several models have a table [[models]] each in config.toml",
        )
        for other in others
        if (difference := _difference(model_of(first).fields, model_of(other).fields))
    ]


def other_model_kept(seen: Sequence[UpstreamSeen], fleet: Fleet, namespace: str) -> list[Diagnosis]:
    """Return a diagnosis where live batchers serve another model in our namespace than every upstream that says what it serves.

    It prevents no start: these batchers may be on their way out, and then the namespace moves to the new model.
    """
    kept = fleet.model
    identity = None if kept is None else kept.decoded_identity
    at = next((upstream.url for upstream in fleet.upstreams if upstream.is_healthy), "")
    if kept is None or identity is None or not at:
        return []
    known = ("model_id", identity.model), ("model_sha", identity.revision), ("model_dtype", identity.dtype)
    theirs = {name: value for name, value in (*known, ("dimension", identity.dimension)) if value}
    differences = {
        each.url: ""
        if _goes_on_with(each, kept.name)
        else _difference(theirs, {"model_id": name, **model_of(each).fields})
        for each in seen
        if (name := model_of(each).name)
    }
    if not differences or not all(differences.values()):
        return []
    url, difference = next(iter(differences.items()))
    what = f"batchers of `{namespace}` serve {shown(kept.name or NAMELESS)} ({shown(at)}), and {url} serves another model: {difference}"
    return [Diagnosis("risky", "NAMESPACE", what, OWN_NAMESPACE)]


def _difference(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    differing = [name for name in ours if name in theirs and ours[name] != theirs[name]]
    return ", ".join(f"{name} {shown(theirs[name])} and not {shown(ours[name])}" for name in differing)


def _goes_on_with(seen: UpstreamSeen, model: str) -> bool:
    """Whether a batcher would ask this upstream for the model that its namespace has: by UPSTREAM_MODEL, or as it is listed."""
    return model in ([seen.model] if seen.model else models_listed(seen))


def models_listed(seen: UpstreamSeen) -> list[str]:
    """Return the names of the models that an upstream lists as OpenAI does; none where it describes itself."""
    return models_in(seen.answers.get(listing_in(seen.answers)))


def model_chosen(seen: UpstreamSeen) -> str:
    """Return the model that is asked for; empty: the upstream lists none, or of several none has a name of ours."""
    return chosen_of(models_listed(seen), seen.model, seen.names)


def model_of(seen: UpstreamSeen) -> ModelSeen:
    """Return which model an upstream serves, by its /info or its list of models, and by the length of its vector."""
    info = decoded(seen.answers.get("/info"))
    info = info if isinstance(info, dict) else {}
    told = {name: info.get(name) for name in ("model_id", "model_sha", "model_dtype", "model_type")}
    vectors = (seen.answers.get(path) for path in ("/embed", *LISTS.values()))
    told["dimension"] = next(filter(None, map(dimension_of, vectors)), None)
    name = info.get("served_model_name") or info.get("model_id") or model_chosen(seen)
    return ModelSeen(shown(name) if name else "", {key: value for key, value in told.items() if value is not None})


def dimension_of(answer: InquiryAnswer | None) -> int | None:
    """Return the length of the one vector of an answer by either API; None where it is no vector."""
    match said := decoded(answer):
        case {"data": [{"embedding": row}]}:
            return dimension_in([row])
    return dimension_in(said)


def named(models: Sequence[str]) -> str:
    """Return some models as one line shows them."""
    return ", ".join(map(shown, models[:NAMED_MAX]))


def decoded(answer: InquiryAnswer | None) -> Any:
    """Return the JSON of an answer of status 200; None where there is none."""
    if answer is None or answer.status != 200:
        return None
    try:
        return json.loads(answer.body.decode(), parse_constant=_refuse)  # of bytes Python takes a byte order mark, too
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    """Refuse `NaN` and `Infinity`, which Python reads and JSON does not have."""
    raise ValueError(constant)
