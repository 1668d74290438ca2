"""What a body asks for, as the dialect of its route reads it: no limits, no settings, nothing of the upstreams.

A reader returns one of three things:

1. `Asked`: inputs which may share a call with those of others.
2. `AskedList`: a list of a route whose requests share no call, and how to write a smaller request of the same route.
3. `Alone`: why the body goes on as it came.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_shared.contract.options import Options

#: One text; the token ids of one text; or a list with a text or a list of token ids for each input.
Inputs = str | Sequence[str | list[int] | int]


class AnswerFacts(NamedTuple):
    """What an answer may say beside its rows.

    Attributes:
        model: Name of the model; empty while it is unknown.
        tokens: Number of tokens of all inputs; None where it is unknown or was not asked for.
        request_id: The id of the request.
        ms: Milliseconds that the request took in this worker.
    """

    model: str
    tokens: int | None
    request_id: str
    ms: int = 0


#: Makes an answer's body of the array of all rows, one for each input and in the upstream's own bytes.
AnswerForm = Callable[[bytes, AnswerFacts], bytes]

#: Makes an answer's body of the number of items in each of several requests, and of the array of all their rows.
ListJoin = Callable[[Sequence[int], bytes], bytes]


class Asked(msgspec.Struct, frozen=True):
    """Inputs for one computation of the upstream.

    Attributes:
        route: Path of the computation at the upstream.
        inputs: At least one input; a pair of texts is one.
        raw: The inputs as JSON.
        options: How the inputs are computed; None: all defaults.
        form: Makes the answer's body; None: the array of all rows is the body.
        is_native: Whether the upstream's route of the same path answers the body as it came, in the same form.
        model: The model's name as the client wrote it; None where it named none.
        counts_tokens: Whether the answer says how many tokens the inputs are.
        may_be_openai_ids: Whether token ids among the inputs may be of OpenAI's vocabulary.
        alone: Why the inputs share no call, where their form alone says so.
        input_type: What the inputs are for, in the client's word, such as `search_query`; None where it does not say.
    """

    route: str
    inputs: Inputs
    raw: bytes
    options: Options | None = None
    form: AnswerForm | None = None
    is_native: bool = True
    model: str | None = None
    counts_tokens: bool = False
    may_be_openai_ids: bool = False
    alone: Alone | None = None
    input_type: str | None = None


class AskedList(msgspec.Struct, frozen=True):
    """A list that can be cut into several requests of its route.

    Attributes:
        count: Number of items.
        raw: The items as a JSON array.
        write: Returns the body of a request for some of the items, with the whole rest of this one.
        beside: Number of inputs that the upstream counts with the items of each request.
        characters: Returns how many characters the inputs are, cut into this number of requests; None: not counted.
        join: Makes the answer's body of several requests; None: the array of all rows is the body.
        pairs: Returns the same as inputs that may share calls, where the upstream is a re-ranker; None: there is no such way.
        route: The path of its requests at the upstream, if the body cannot go on as it came; None: as the client's path.
        form: Makes the client's answer of the body that TEI's route answers; None: that is it.
    """

    count: int
    raw: bytes
    write: Callable[[Sequence[msgspec.Raw]], bytes]
    beside: int = 0
    characters: Callable[[int], int] | None = None
    join: ListJoin | None = None
    pairs: Callable[[], Asked] | None = None
    route: str | None = None
    form: AnswerForm | None = None


AnyAsked = Asked | AskedList | Alone

#: Reads a body. Raises InvalidRequest where the upstream has no such route, so that the error is ours to word.
Reader = Callable[[bytes], AnyAsked]
