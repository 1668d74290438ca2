"""What an upstream that counts may be asked in a minute, as a claim is told it."""

from dataclasses import dataclass

BYTES_PER_TOKEN = 4  # of a job's body, until the upstream says what its texts were
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
        bytes_a_token: Bytes of a job's body that are a token, as the last calls showed.
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
    bytes_a_token: float = BYTES_PER_TOKEN
