"""What of an upstream may be used: by bulk work, which the workers count on, and in a minute by all. Pure."""

from dataclasses import dataclass
from math import ceil

BULK_SHARE = 0.25  # of the inputs, beside a full queue of other work
CALLS, TOKENS = "requests", "tokens"  # kinds of limits, as upstreams' headers name them


@dataclass(frozen=True, slots=True)
class SaidLimit:
    """What an upstream said of one limit, with an answer.

    Attributes:
        left: How much is left of it.
        limit: How much it is; None: not said.
        reset_s: Seconds until all of it is left; None: not said.
    """

    left: int
    limit: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class SaidLeft:
    """What that means for what is left of a minute. -1: it was not said.

    Attributes:
        most: The most that may be left, if nothing was used since.
        least: The least; -1 also where what it said is of another limit than ours.
        reset_ms: Milliseconds from the answer until all of it is left.
        is_even: Whether that is as long as takes what comes back evenly; None: that cannot be told.
    """

    most: int = -1
    least: int = -1
    reset_ms: int = -1
    is_even: bool | None = None


NOT_SAID = SaidLeft()


@dataclass(frozen=True, slots=True)
class PacingRules:
    """By what `claim.lua` spends a budget. What is used counts for a window, at first a minute.

    Attributes:
        steps: In a window, in which what was used is remembered.
        slack: Part of a window by which calls may take longer on their way than others.
        check: Part of a minute that a claim waits at most.
        soon: Part of a minute after a reset, when it is believed.
        close: Part of a minute by which two times may differ that are one.
        much: Part of a limit that an upstream forgets at once, at the end of a minute of its own.
        even: Answers, after which it is believed that what was used comes back evenly, as out of a bucket that fills.
        full: Part of a window's worth that is as good as all of it.
        window_min: Part of a minute below which no window gets, where calls are not limited.
        less: The limits after a refusal that no shorter window explains, in parts of them.
        more: Part of the limits that comes back in a minute after that.
        portion_min: The least part of them.
        tiny: What sums of numbers may be off.
    """

    steps: int = 128
    slack: float = 0.004
    check: float = 0.05
    soon: float = 0.001
    close: float = 0.05
    much: float = 0.25
    even: int = 3
    full: float = 0.95
    window_min: float = 0.002
    less: float = 0.95
    more: float = 0.1
    portion_min: float = 0.05
    tiny: float = 0.001


@dataclass(frozen=True, slots=True)
class MinuteBudget:
    """What one upstream may be asked in a minute, by all batchers, and what this one has asked since its last claim.

    Attributes:
        upstream: Names it, in hex digits.
        calls: Calls in a minute; 0: there is no limit.
        tokens: Tokens in a minute; 0: there is no limit.
        minute_ms: The minute, in milliseconds.
        calls_used: Calls that were made beyond those that were granted; below 0 where more were refused than that.
        tokens_used: Tokens that calls had beyond those that were granted; below 0 where they had less.
        calls_needed: Calls that the jobs of this claim need: 0 where one was granted and not made.
        calls_said: What the upstream said of its calls with its last answer.
        tokens_said: What it said of its tokens.
        asked_ms: Milliseconds since the call of that answer was sent.
        said_ms: Milliseconds since the answer came; -1: there is none.
        own_tokens: Tokens that were taken off the budget for that call.
        refused_ms: Milliseconds since a call was sent that it refused though enough should be left; -1: there is none.
        refused: How many there were.
        tokens_owed: Tokens of jobs that are held because their calls were refused: they are needed once more.
        tokens_an_input: Tokens of an input whatever its length, as the last calls showed.
        bytes_a_token: Bytes of a job's body that are a token besides.
        tokens_kept: Tokens that a claim leaves over.
        holds_jobs: Whether jobs are held for which a call is granted though the claim brings none.
    """

    upstream: str
    calls: int
    tokens: int
    minute_ms: int
    calls_used: int = 0
    tokens_used: int = 0
    calls_needed: int = 1
    calls_said: SaidLeft = NOT_SAID
    tokens_said: SaidLeft = NOT_SAID
    asked_ms: int = -1
    said_ms: int = -1
    own_tokens: int = 0
    refused_ms: int = -1
    refused: int = 0
    tokens_owed: int = 0
    tokens_an_input: float = 0.0
    bytes_a_token: float = 4.0
    tokens_kept: int = 0
    holds_jobs: bool = False

    def charged(self, inputs: int, body_bytes: int) -> int:
        """Return the tokens that `claim.lua` takes off for a job."""
        return tokens_guessed(inputs, body_bytes, self.tokens_an_input, self.bytes_a_token)


def tokens_guessed(inputs: int, size_bytes: int, tokens_an_input: float, bytes_a_token: float) -> int:
    """Return how many tokens some inputs are thought to be, of so many bytes together."""
    return ceil(inputs * tokens_an_input + size_bytes / bytes_a_token)
