"""Put one call together from the jobs' raw JSON, and their answers from the rows of its answer. Pure; no text is parsed.

An input that several jobs have, or one job twice, is sent once, and its row goes to all of them. Not so in a job that travels
alone: token ids are counted by its call only, for which each of them has to be in it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from autobatch_batcher.jobs import Job
from autobatch_shared.contract.options import Options

_decode_inputs = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Merged(msgspec.Struct, frozen=True):
    """One call.

    Attributes:
        body: Of the call.
        items: The different inputs in it, JSON.
        places: A job's inputs as places in the call, in the job's order; one tuple a job.
    """

    body: bytes
    items: list[bytes]
    places: list[tuple[int, ...]]

    @property
    def inputs(self) -> int:
        """Different inputs in the call."""
        return len(self.items)

    @property
    def ids(self) -> list[int]:
        """Places of those that are lists of token ids: the vocabulary may have none of them."""
        return [place for place, item in enumerate(self.items) if item.lstrip().startswith(b"[")]


def merge(jobs: Sequence[Job]) -> Merged:
    """Return the call that answers these jobs of one lane."""
    if jobs[0].header.kind == "solo":
        (job,) = jobs
        items = list(map(bytes, _decode_inputs(job.body)))
        return Merged(splice(items, job.header.options), items, [tuple(range(len(items)))])
    place_of: dict[bytes, int] = {}
    places = []
    for job in jobs:
        raw = job.body
        inputs = [raw[1:-1]] if job.header.n == 1 else map(bytes, _decode_inputs(raw))
        places.append(tuple([place_of.setdefault(each, len(place_of)) for each in inputs]))
    return Merged(splice(place_of, jobs[0].header.options), list(place_of), places)


def splice(inputs: Iterable[bytes], options: Options | None) -> bytes:
    """Return the body of one call of `/embed` and the routes like it.

    Args:
        inputs: JSON, one each.
        options: Of all of them; None: all defaults.
    """
    joined = b",".join(inputs)
    members = b"" if options is None else _members(options)
    return b'{"inputs":[%b],%b}' % (joined, members) if members else b'{"inputs":[%b]}' % joined


def _members(options: Options) -> bytes:
    """Those that are not defaults as JSON members, in TEI's words."""
    members = []
    if options.truncate is not None:
        members.append(b'"truncate":true' if options.truncate else b'"truncate":false')
    if options.truncation_direction == "left":
        members.append(b'"truncation_direction":"Left"')  # the spelling that all versions know
    if options.prompt_name is not None:
        members.append(b'"prompt_name":%b' % _encode(options.prompt_name))
    if not options.normalize:
        members.append(b'"normalize":false')
    if options.dimensions is not None:
        members.append(b'"dimensions":%d' % options.dimensions)
    if options.raw_scores:
        members.append(b'"raw_scores":true')
    return b",".join(members)


def part(rows: Sequence[bytes], places: tuple[int, ...]) -> bytes:
    """Return one job's answer: its rows as a JSON array."""
    if len(places) == 1:
        return b"[%b]" % rows[places[0]]
    return b"[%b]" % b",".join([rows[place] for place in places])
