"""What one request becomes: jobs, and how their rows become its answer; and the rules and limits by which it is planned."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import AnswerForm
from autobatch_proxy.requests.lengths import Ruler
from autobatch_proxy.requests.token_ids import TextOfIds
from autobatch_shared.contract.options import Options

UNLIMITED = 10**12

Kind = Literal["merge", "solo", "verbatim"]


class PlannedJob(msgspec.Struct, frozen=True):
    """One job: but for `places`, the fields mean what they mean in `autobatch_shared.contract.frames.JobHeader`.

    Attributes:
        places: Where its inputs stand in the request, in the job's order; empty for a job that is the whole request.
    """

    n: int
    kind: Kind
    body: bytes
    options: Options | None = None
    content_type: str | None = None
    longest: int = 0
    places: Sequence[int] = ()


class Plan(msgspec.Struct, frozen=True):
    """What one request becomes.

    Attributes:
        jobs: At least one; together they have each of the request's inputs once.
        route: Their path at the upstream.
        is_bulk: Whether they fill what room the others leave.
        characters: Number of characters of the inputs; a token id counts as one. 0 where it is unknown.
        are_counted: Whether the batcher has to say how many tokens the inputs are.
        wants_each: Whether for each of them rather than for all together.
        form: Makes the answer's body; None: the array of all rows is the body.
        model: Name of the model that the answer says; empty while it is unknown.
        tokens: Number of tokens of all inputs, where this worker counted them.
        largest_id: The largest token id among them whose vocabulary has to be checked.
        alone: Why its jobs share no call with others; None: they may.
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


class Rules(msgspec.Struct, frozen=True):
    """How this worker plans all its requests.

    Attributes:
        ruler: Measures the inputs.
        request_inputs_max: Inputs that one request may have.
        bulk_above_inputs: A request of more inputs is bulk.
        text_of_ids: Returns the text of token ids of OpenAI's vocabulary, or refuses them; None: the upstream takes
            them as its own model's.
    """

    ruler: Ruler
    request_inputs_max: int
    bulk_above_inputs: int
    text_of_ids: TextOfIds | None = None


class Allowed(msgspec.Struct, frozen=True):
    """What the upstreams take at the moment.

    Attributes:
        job_inputs_max: Inputs that one job may have, at least 1.
        length_max: Beyond this length an input costs no more: it is cut off or refused. In the unit of the ruler.
        countable_characters_max: Characters of the longest text whose tokens they count.
        served_model: Name of their model; empty while it is unknown.
        alias: The route that `POST /` stands for.
        request_bytes_max: Bytes that a body may have whose inputs go on in one call; a larger one goes on as it came.
    """

    job_inputs_max: int
    length_max: int
    countable_characters_max: int = UNLIMITED
    served_model: str = ""
    alias: str = "/embed"
    request_bytes_max: int = UNLIMITED
