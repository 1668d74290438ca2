"""What was measured of a server, as it is written to `report.json` and computed with. Pure.

Lengths are characters, in the order in which a call has its inputs.
"""

from statistics import median

import msgspec

#: How many at a time: so many are measured, and what they would get is computed.
CLIENTS = (1, 4, 16, 64, 256)
REFUSED_PAUSE_S = 0.05  # then a client that was refused asks again, measured or computed


class TimedCall(msgspec.Struct, frozen=True):
    """A call that was made again and again with nothing beside it.

    Attributes:
        lengths: Length of each input.
        seconds: What it took each time.
    """

    lengths: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def in_words(self) -> str:
        """What it took."""
        return f"{texts_in_words(len(self.lengths))} of {sum(self.lengths)} characters: {1000 * self.usual_s:.1f} ms"

    @property
    def usual_s(self) -> float:
        """What it takes usually: a pause of the machine is not a price."""
        return median(self.seconds)


class TimedLoad(msgspec.Struct, frozen=True):
    """Clients that ask again as soon as they are answered.

    Attributes:
        clients: How many.
        lists: What is asked, in turn: the lengths of each request's inputs.
        inputs_per_s: Inputs that were answered, a second.
        p50_ms: Median of the latencies of the requests.
        p99_ms: What 99 of 100 took at most.
        is_whole: Whether each of the texts was answered, so that it does not depend on which they were.
        failed: Requests that were not answered with 200.
        idle: Share of this machine's cores that had nothing to do, 0 to 1; None: unknown.
        own_cpu_ms: CPU milliseconds of a request in this process, which makes the calls as a batcher does.
    """

    clients: int
    lists: tuple[tuple[int, ...], ...]
    inputs_per_s: float
    p50_ms: float
    p99_ms: float
    is_whole: bool = True
    failed: int = 0
    idle: float | None = None
    own_cpu_ms: float = 0.0

    @property
    def in_words(self) -> str:
        """What they got."""
        refused = f", {self.failed} refused" if self.failed else ""
        return f"{self.inputs_per_s:.1f} texts/s, p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms{refused}"

    @property
    def is_single(self) -> bool:
        """Whether each request has one input."""
        return len(self.lists[0]) == 1


class Measured(msgspec.Struct, frozen=True):
    """All that was measured of a server.

    Attributes:
        url: The server, without credentials.
        kind: What it speaks, a word of INFERENCE_DIALECT.
        model: What it says its model is; empty where it says nothing.
        inputs_max: The most inputs in one call.
        tokens_max: Tokens after which it cuts an input; None: unknown.
        characters_per_token: Of the texts; None where the server does not count tokens.
        texts: Where the texts are from.
        texts_kind: What the verdict calls them.
        lengths: Characters of the texts, ascending.
        calls: Single calls.
        loads: Calls side by side, in the order in which they were measured.
        cores: Of this machine, if the server runs on it, too; None: it runs elsewhere.
        pass_inputs_said: The most inputs that it computes at once, as far as it says that.
        busy_before: Share of this machine's cores that others used before anything was measured; None: unknown.
    """

    url: str
    kind: str
    model: str
    inputs_max: int
    tokens_max: int | None
    characters_per_token: float | None
    texts: str
    texts_kind: str
    lengths: tuple[int, ...]
    calls: tuple[TimedCall, ...]
    loads: tuple[TimedLoad, ...]
    cores: int | None = None
    pass_inputs_said: int | None = None
    busy_before: float | None = None

    def single_loads(self, clients: int) -> list[TimedLoad]:
        """Return the measurements of so many clients that send one text each."""
        return [load for load in self.loads if load.is_single and load.clients == clients]


def clients_in_words(number: int) -> str:
    """Return `1 client` or `4 clients`."""
    return f"{number} client{'s' if number > 1 else ''}"


def texts_in_words(number: int) -> str:
    """Return `1 text` or `4 texts`."""
    return f"{number} text{'s' if number > 1 else ''}"
