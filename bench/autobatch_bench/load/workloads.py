"""What is sent: generated texts, and the requests that carry them. Pure: everything follows from a seed.

1. No two serial numbers share a text: the last word is the number. The proxy may join identical inputs.
2. A request costs the load generator one `bytes.join`: all except the number is prepared before the clock starts.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autobatch_bench.load.asking import TEI, TEI_LISTED, Form, openai

SEED = 20_240_607
SERIAL_DIGITS = 7  # fixed, so that Content-Length is fixed; ten million requests are hours of load
STEMS = 2048  # texts that differ in more than their number; more would only cost memory
LIST_STEMS = 256  # texts in all lists of one size
BULK_INPUTS = 2000
SHORT_WORDS = 12
MIXED_MEDIAN_WORDS, MIXED_SIGMA, MIXED_WORDS_MAX = 20, 1.0, 300  # as in real traffic: most are short, a few very long
SEVERAL_INPUTS = 8
#: Common English words, so that a real tokenizer sees text as it usually does: about 1.2 tokens a word.
WORDS = tuple(
    """
    the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which
    one you were all her she there would their we him been has when who will no more if out so up said what its about
    than into them can only other time new some could these two may first then do any like my now over such our man
    even most made after also did many must before back see through way where get much go well your know should down
    work because come people just say each those take day good how long little use us state very make world still see
    own man work between never life being under another while last might great year since against year go right house
    both during without again place American around however home small found thought went say part once general high
    upon school every does got united left number course war until always away something fact water though less public
    put think almost hand enough far took head yet government system better set told nothing night end why called eyes
    find going look asked later knew point next city business give group toward young days let room word side social
    given present several order national second possible rather per face among form important often things looked early
    white case large become need four within felt children along saw best church ever least power development light
    thing seemed family interest want members mind country area others done turned although open service certain kind
    problem began different door thus help sense means whole matter measurement embedding latency throughput batching
    tokenizer vectors retrieval semantic paragraph warehouse shipment invoice customer refund warranty subscription
    keyboard compressor thermostat bicycle orchestra microscope glacier volcano penguin croissant espresso umbrella
    photosynthesis constitution jurisdiction pharmaceutical archaeology entrepreneurship hydraulic polymer catalyst
    lighthouse harbour sailboat hurricane earthquake biography screenplay choreography watercolour sculptor
    """.split()  # noqa: SIM905 - a list would be four hundred lines
)


class WorkloadKind(StrEnum):
    """The workloads that the command line offers."""

    SHORT = "short"
    FIXED = "fixed"
    MIXED = "mixed"
    SEVERAL = "several"
    OPENAI = "openai"
    OPENAI_BASE64 = "openai-base64"


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of one kind, by serial number.

    Attributes:
        name: For people and results.
        about: A sentence for the report.
        path: Where the requests go.
        inputs: Texts in one request.
        stems: For each of a cycle of requests, its texts without their number.
        pieces: The same requests as bytes, cut at the place of the number.
    """

    name: str
    about: str
    path: str
    inputs: int
    stems: tuple[tuple[str, ...], ...]
    pieces: tuple[tuple[bytes, ...], ...]

    def texts(self, serial: int) -> list[str]:
        """The texts of a request."""
        number = _number(serial).decode()
        return [stem + number for stem in self.stems[serial % len(self.stems)]]

    def request(self, serial: int) -> bytes:
        """The request as it goes over the wire."""
        return _number(serial).join(self.pieces[serial % len(self.pieces)])

    def in_form(self, form: Form) -> "Workload":
        """Return the same texts in requests of another form."""
        return _workload(self.name, self.about, self.stems, form)


def make(kind: WorkloadKind, *, words: int = 64, form: Form = TEI, seed: int = SEED) -> Workload:
    """Return a workload.

    Args:
        kind: What is sent.
        words: Length of its texts if that is fixed.
        form: How a single text is asked for, of the kinds that do not say so themselves.
        seed: Of the texts.
    """
    draw = random.Random(f"{seed} {kind}")  # noqa: S311 - texts, not secrets
    match kind:
        case WorkloadKind.SHORT:
            return _single(kind, f"one text of {SHORT_WORDS} words", _stems(draw, lambda: SHORT_WORDS), form)
        case WorkloadKind.FIXED:
            return _single(f"{kind} {words}", f"one text of {words} words", _stems(draw, lambda: words), form)
        case WorkloadKind.MIXED:
            return _single(kind, f"one text; {_MIXED}", _stems(draw, lambda: _mixed_words(draw)), form)
        case WorkloadKind.SEVERAL:
            lists = [_list(draw, SEVERAL_INPUTS, lambda: _mixed_words(draw)) for _ in range(STEMS // SEVERAL_INPUTS)]
            return _workload(kind, f"{SEVERAL_INPUTS} texts; {_MIXED}", lists)
        case WorkloadKind.OPENAI | WorkloadKind.OPENAI_BASE64:
            encoding = "float" if kind is WorkloadKind.OPENAI else "base64"
            about = f"one text of {SHORT_WORDS} words in OpenAI's form, {encoding}"
            return _single(kind, about, _stems(draw, lambda: SHORT_WORDS), openai("bench", encoding))


def of_texts(texts: Sequence[str], form: Form) -> Workload:
    """Return a workload of these texts in turn, one in each request, with a number at the end of each."""
    escaped = [json.dumps(text)[1:-1] + " " for text in texts]  # ASCII: characters are bytes
    return _workload("own texts", f"{len(texts)} texts in turn", [(text,) for text in escaped], form)


def several_short(inputs: int, *, seed: int = SEED) -> Workload:
    """Return a workload with a fixed number of short texts per request: a fixed batch size, or a bulk client."""
    draw = random.Random(f"{seed} list {inputs}")  # noqa: S311 - texts, not secrets
    lists = [_list(draw, inputs, lambda: SHORT_WORDS - 1) for _ in range(max(1, LIST_STEMS // inputs))]
    return _workload(f"list {inputs}", f"{inputs} texts of {SHORT_WORDS} words", lists)


def serials(fresh: Iterator[int], repeat_share: float, *, seed: int = SEED) -> Iterator[int]:
    """Yield serial numbers from `fresh`; this share of them, 0 to 1, repeats one of the last hundred."""
    if not repeat_share:
        yield from fresh
        return
    draw = random.Random(seed)  # noqa: S311 - traffic, not secrets
    recent: list[int] = []
    while True:
        if recent and draw.random() < repeat_share:
            yield draw.choice(recent)
            continue
        serial = next(fresh)
        recent.append(serial)
        del recent[:-100]
        yield serial


_MIXED = (
    f"log-normal number of words, median {MIXED_MEDIAN_WORDS}, sigma {MIXED_SIGMA}, at most {MIXED_WORDS_MAX}: "
    "most are short and few are very long"
)


def _number(serial: int) -> bytes:
    return b"%0*d" % (SERIAL_DIGITS, serial)


def _mixed_words(draw: random.Random) -> int:
    return min(MIXED_WORDS_MAX, max(1, round(draw.lognormvariate(math.log(MIXED_MEDIAN_WORDS), MIXED_SIGMA))))


def _stems(draw: random.Random, words: Callable[[], int]) -> list[str]:
    return [_stem(draw, words()) for _ in range(STEMS)]


def _stem(draw: random.Random, words: int) -> str:
    """Return a text of that many words, with a mark for its number."""
    return "".join(f"{word} " for word in draw.choices(WORDS, k=words - 1))


def _list(draw: random.Random, inputs: int, words: Callable[[], int]) -> tuple[str, ...]:
    """Stems of one request, which differ by their last word: its place."""
    return tuple(_stem(draw, words()) + f"{place} " for place in range(inputs))


def _single(name: str, about: str, stems: list[str], form: Form) -> Workload:
    return _workload(name, about, [(stem,) for stem in stems], form)


def _workload(name: str, about: str, groups: Sequence[tuple[str, ...]], form: Form = TEI_LISTED) -> Workload:
    mark = "\0"  # not in any text; each is replaced by the number
    pieces = []
    for stems in groups:
        body = form.body_of(tuple(stem + mark for stem in stems))
        length = len(body) + (SERIAL_DIGITS - 1) * len(stems)
        head = f"POST {form.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{form.head}Content-Length: {length}\r\n\r\n"
        pieces.append(tuple(part.encode() for part in (head + body).split(mark)))
    return Workload(str(name), about, form.path, len(groups[0]), tuple(groups), tuple(pieces))
