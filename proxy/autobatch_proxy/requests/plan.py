"""What one request becomes: jobs, and how their rows become its answer; and the rules and limits by which it is planned."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import AnswerForm
from autobatch_proxy.requests.lengths import Ruler
from autobatch_proxy.requests.token_ids import TextOfIds
from autobatch_shared.contract.options import Options

UNLIMITED = 10**12

JobKind = Literal["merge", "solo", "verbatim"]

#: The prompt's name for a client's input type; None: without one. Raises InvalidRequest for a type that is not known.
PromptOf = Callable[[str], str | None]


def no_prompt(_input_type: str) -> None:
    """Every input type is without a prompt."""


class RequestNames(msgspec.Struct, frozen=True):
    """What names a request elsewhere: as `request` and `trace` of `autobatch_shared.contract.frames.JobHeader`."""

    request: str = ""
    trace: dict[str, str] = {}


NAMELESS = RequestNames()


class PlannedJob(msgspec.Struct, frozen=True):
    """One job: but for `places`, the fields mean what they mean in `autobatch_shared.contract.frames.JobHeader`.

    Attributes:
        places: Where its inputs stand in the request, in the job's order; empty for a job that is the whole request.
    """

    n: int
    kind: JobKind
    body: bytes
    options: Options | None = None
    content_type: str | None = None
    longest: int = 0
    places: Sequence[int] = ()


class Plan(msgspec.Struct, frozen=True):
    """What one request becomes.

    Attributes:
        jobs: At least one job; together they have each of the request's inputs once.
        route: The path of all its jobs at the upstream.
        is_bulk: Whether its jobs use only spare capacity.
        characters: Number of characters of the inputs; a token id counts as one. 0 where it is unknown.
        are_counted: Whether the batcher has to say how many tokens the inputs are.
        wants_each: Whether it has to say so for each input rather than for all together.
        form: Makes the answer's body; None: the array of all rows is the body.
        model: The model's name in the answer, as far as it is known before that; empty: it is not.
        tokens: Number of tokens of all inputs; None where this worker did not count them.
        largest_id: The largest token id that has to be in the model's vocabulary; None where there is none to check.
        alone: Why its jobs share no call with others; None: they may.
        answer_bytes_max: Bytes that the replies to all its jobs may have; of one job's reply the batcher has a limit.
        is_in_tokens: Whether the lengths of its jobs are in tokens.
        names: What names the request in logs and traces.
    """

    jobs: list[PlannedJob]
    route: str
    is_bulk: bool = False
    characters: int = 0
    are_counted: bool = False
    wants_each: bool = False
    form: AnswerForm | None = None
    model: str = ""
    tokens: int | None = None
    largest_id: int | None = None
    alone: Alone | None = None
    answer_bytes_max: int = UNLIMITED
    is_in_tokens: bool = False
    names: RequestNames = NAMELESS


class Rules(msgspec.Struct, frozen=True):
    """How this worker plans all its requests.

    Attributes:
        ruler: Measures the inputs.
        request_inputs_max: The most inputs that one request may have.
        bulk_above_inputs: Inputs above which a request is bulk.
        text_of_ids: Returns the text of token ids of OpenAI's vocabulary, or refuses them; None: the upstream takes
            them as its own model's.
        answer_bytes_max: Bytes that an answer may have, as far as they are known before it is asked for.
        prompt_of: Returns the name of the prompt for a client's input type; None: without one.
    """

    ruler: Ruler
    request_inputs_max: int
    bulk_above_inputs: int
    text_of_ids: TextOfIds | None = None
    answer_bytes_max: int = UNLIMITED
    prompt_of: PromptOf = no_prompt


class Allowed(msgspec.Struct, frozen=True):
    """What the upstreams take at the moment.

    Attributes:
        job_inputs_max: The most inputs that one job may have, at least 1.
        length_max: Length, in the ruler's unit, beyond which an input costs no more: it is cut off or refused.
        countable_characters_max: Characters of the longest text whose tokens the upstreams count.
        served_model: The name of the upstreams' model; empty while it is unknown.
        alias: The route that `POST /` stands for.
        request_bytes_max: The most bytes of a body whose inputs are one job; a larger body is passed on unchanged.
        dimension: Number of components of a vector; None while it is unknown.
        job_length_max: The most that the inputs of one job times the longest of them may be, in the ruler's unit; one input may
            be longer.
    """

    job_inputs_max: int
    length_max: int
    countable_characters_max: int = UNLIMITED
    served_model: str = ""
    alias: str = "/embed"
    request_bytes_max: int = UNLIMITED
    dimension: int | None = None
    job_length_max: int = UNLIMITED
