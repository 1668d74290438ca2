"""The call that answers the jobs of a batch, and which of its rows belong to which job. Pure; no text is parsed.

An input that several jobs have, or one job twice, is sent once, and its row goes to all of them. Not so in a job that travels
alone: token ids are counted by its call only, for which each of them has to be in it.
"""

from collections.abc import Sequence

import msgspec

from autobatch_batcher.dialects.base import AskedRows, Dialect, Post
from autobatch_batcher.jobs import Job

_decode_inputs = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Merged(msgspec.Struct, frozen=True):
    """The inputs of a call that several jobs may share.

    Attributes:
        items: The different inputs, each as JSON.
        places: One tuple for each job: its inputs as places in `items`, in the job's order.
    """

    items: list[bytes]
    places: list[tuple[int, ...]]

    @property
    def ids(self) -> list[int]:
        """Places of those that are lists of token ids: the vocabulary may have none of them."""
        return [place for place, item in enumerate(self.items) if item.lstrip().startswith(b"[")]


class Call(msgspec.Struct, frozen=True):
    """What is posted for some jobs.

    Attributes:
        jobs: The jobs, all of one lane.
        inputs: Number of different inputs in it.
        merged: Which input belongs to which job; None when verbatim.
        is_rest: Whether it is a piece of a call, and not its first.
    """

    jobs: Sequence[Job]
    inputs: int
    merged: Merged | None
    is_rest: bool = False

    @property
    def bodies(self) -> list[bytes]:
        """The different bodies of its jobs, in their order: jobs that asked for the same share its fate."""
        return list(dict.fromkeys([job.body for job in self.jobs]))

    @property
    def asked(self) -> AskedRows | None:
        """The rows that it asks for; None of one whose answer is passed on as it comes."""
        if self.merged is None:
            return None
        route = self.jobs[0].header.route
        return AskedRows(route, self.merged.items, self.merged.ids if route == "/embed_all" else ())

    @property
    def charged_tokens(self) -> int:
        """What the claims of its jobs took off a budget, said once of all the pieces of a call."""
        return 0 if self.is_rest else sum([job.charged_tokens for job in self.jobs])

    @property
    def tokens(self) -> int:
        """The tokens of its jobs' inputs, by their lengths; 0 where these are unknown."""
        return sum({job.body: job.units // job.per_token for job in self.jobs}.values())

    @property
    def size_bytes(self) -> int:
        """The bytes of its inputs, as they count in jobs: with a comma each."""
        items = [job.body for job in self.jobs] if self.merged is None else self.merged.items
        return sum(map(len, items)) + len(items)

    def post(self, dialect: Dialect) -> Post:
        """Return it as it goes over the wire, to an upstream that speaks this dialect.

        Raises:
            InvalidRequest, NotComputed, UpstreamProtocolError: The upstream cannot take it: see `Dialect`.
        """
        header = self.jobs[0].header
        if self.merged is None:
            return dialect.pass_on(header.route, self.jobs[0].body, header.content_type)
        return dialect.compose(header.route, self.merged.items, header.options)


def call_for(jobs: Sequence[Job]) -> Call:
    """Return the call that answers these jobs of one lane."""
    header = jobs[0].header
    if header.kind == "verbatim":
        return Call(jobs, header.n, None)
    merged = merge(jobs)
    return Call(jobs, len(merged.items), merged)


def piece_of(call: Call, start: int, inputs_max: int) -> Call:
    """Return the call for `inputs_max` inputs of a merged call, from place `start` on; it has the jobs of the whole."""
    items = [] if call.merged is None else call.merged.items[start : start + inputs_max]
    return Call(call.jobs, len(items), Merged(items, []), is_rest=start > 0)


def merge(jobs: Sequence[Job]) -> Merged:
    """Return the different inputs of these jobs of one lane, and where each job's own are."""
    if jobs[0].header.kind == "solo":
        (job,) = jobs
        items = list(map(bytes, _decode_inputs(job.body)))
        return Merged(items, [tuple(range(len(items)))])
    place_of: dict[bytes, int] = {}
    places = []
    for job in jobs:
        raw = job.body
        inputs = [raw[1:-1]] if job.header.n == 1 else map(bytes, _decode_inputs(raw))
        places.append(tuple([place_of.setdefault(each, len(place_of)) for each in inputs]))
    return Merged(list(place_of), places)


def part(rows: Sequence[bytes], places: tuple[int, ...]) -> bytes:
    """Return one job's answer: its rows as a JSON array."""
    if len(places) == 1:
        return b"[%b]" % rows[places[0]]
    return b"[%b]" % b",".join([rows[place] for place in places])
