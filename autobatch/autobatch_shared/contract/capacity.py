"""What of an upstream may be used: by bulk work, which the workers count on, and in a minute by all. Pure."""

from dataclasses import dataclass
from math import ceil

BULK_SHARE = 0.25  # of the inputs, beside a full queue of other work
COUNTS_DIFFER_SHARE = (
    0.01  # of a limit: by so much what an upstream says is left may be less without more having been used
)


@dataclass(frozen=True, slots=True)
class MinuteBudget:
    """What one upstream may be asked in a minute, by all batchers, and what this one has asked since its last claim.

    Attributes:
        upstream: Names it, in hex digits.
        calls: Calls in a minute; 0: there is no limit.
        tokens: Tokens in a minute; 0: there is no limit.
        minute_ms: The minute, in milliseconds.
        calls_used: Calls that were made beyond those that were granted.
        tokens_used: Tokens that calls had beyond those that were granted; below 0 where they had less.
        calls_needed: Calls that the jobs of this claim need: 0 where one was granted and not made.
        calls_said: Calls that the upstream said are left; -1: it does not say.
        tokens_said: Tokens that it said are left, in the same way.
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
    calls_said: int = -1
    tokens_said: int = -1
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
