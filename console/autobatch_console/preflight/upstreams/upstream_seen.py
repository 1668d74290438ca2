"""What was seen of an upstream before the start, and what an answer to one text must be: one row of numbers. Pure.

The batcher passes a component that is `null` on, which is how text-embeddings-inference writes one that is not a number; a model
that answers so to a plain text computes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autobatch_console.preflight.connection_faults import ConnectionFault
from autobatch_shared.contract.model_names import listed_as

API_KEY = "INFERENCE_API_KEY"
CHARACTERS_MAX = 100  # of a server's own words
#: Where servers with OpenAI's API list their models, below the URL, and where those with that list compute vectors.
LISTS = {"/v1/models": "/v1/embeddings", "/models": "/embeddings"}
#: Statuses of a path that a server has not.
NO_PATH = {404, 405}


class InquiryAnswer(NamedTuple):
    """One answer of an upstream.

    Attributes:
        status: Its status.
        content_type: Its type without parameters; empty: none.
        body: Its bytes; of more than a megabyte only the first.
        location: Where it redirects to, as it was sent; empty: nowhere.
    """

    status: int
    content_type: str = ""
    body: bytes = b""
    location: str = ""


def models_in(answer: InquiryAnswer | None) -> list[str]:
    """Return the names of the models that an answer lists as OpenAI does; none where it is another answer."""
    try:
        listed = json.loads(answer.body)["data"] if answer is not None and answer.status == 200 else []
        return [name for each in listed if isinstance(name := each["id"], str)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def listing_in(answers: Mapping[str, InquiryAnswer]) -> str:
    """Return the path at which a server lists its models as OpenAI does; empty: at none."""
    return next((path for path in LISTS if models_in(answers.get(path))), "")


def words_of(answer: InquiryAnswer) -> tuple[str, str]:
    """Return the message and the code of an error as OpenAI's API writes it; both empty of another answer."""
    try:
        match json.loads(answer.body):
            case {"error": {"message": str() as message, **other}}:
                return message, str(other.get("code", ""))
    except (ValueError, RecursionError):
        pass
    return "", ""


def chosen_of(listed: Sequence[str], model: str, names: Sequence[str]) -> str:
    """Return the model that a batcher asks a server for; empty: none is listed, or of several none has a name of ours."""
    if model:
        return model
    first = listed[0] if listed and (len(set(listed)) == 1 or not names) else ""
    return listed_as(names, listed) or first


class GrpcModel(NamedTuple):
    """What a server says of a model over gRPC.

    Attributes:
        status: The status of HTTP that means the same as gRPC's.
        is_ready: Whether the model is ready.
        dimension: Components of its vectors; None where the description leaves that open.
    """

    status: int
    is_ready: bool = False
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSeen:
    """What one upstream answered.

    Attributes:
        url: Its URL without credentials and without a trailing slash.
        fault: Why it could not be asked; None: it answered.
        answers: By path below its URL; a path that was not asked, or not answered in time, is not there. Empty: it accepts
            connections and answers nothing.
        model: UPSTREAM_MODEL; empty: one that it lists is chosen, see `chosen_of`.
        names: What the model is called here; empty: it has no name.
        key_setting: The setting by which it is shown a key.
        root_answers: The same below the root of its server, asked where its URL has a path and answers nothing.
        is_grpc: Whether it is called over gRPC.
        grpc_model: What it said of the model over gRPC; None: nothing in time.
        missing: What has to be installed before it can be asked; empty: nothing.
    """

    url: str
    fault: ConnectionFault | None = None
    answers: Mapping[str, InquiryAnswer] = field(default_factory=dict)
    root_answers: Mapping[str, InquiryAnswer] = field(default_factory=dict)
    model: str = ""
    names: Sequence[str] = ()
    key_setting: str = API_KEY
    is_grpc: bool = False
    grpc_model: GrpcModel | None = None
    missing: str = ""


def dimension_in(rows: Any) -> int | None:
    """Return the length of the one vector; None where there is none."""
    match rows:
        case [[_, *_] as row] if all(type(component) in (int, float) for component in row):
            return len(row)
    return None


def fault_in(rows: Any) -> str:
    """Return what the rows of one text are where they are no vector, in a few words."""
    match rows:
        case [[]]:
            return "an empty vector"
        case [[_, *_] as row] if all(type(component) in (int, float, type(None)) for component in row):
            return "a vector with components that are not numbers (null)"
    return f"{shown(rows)}, which is not one array of numbers"


def shown(value: object) -> str:
    """Return a server's own words, as far as they may stand in a line of ours."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(character for character in text[:CHARACTERS_MAX] if character.isprintable())
