"""What a replica asks of its client, `http_client` or `grpc_client`: how bytes get to an upstream and back."""

from dataclasses import dataclass
from typing import Protocol

from autobatch_batcher.dialects.base import Answer, Post, Question

PROBE_TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 100_000_000  # the default of ANSWER_LIMIT


class UpstreamClient(Protocol):
    """Sends what a dialect composed; it knows nothing of what that means.

    Attributes:
        connected_s: When the last connection was made, in seconds of the loop's clock: since then another server may answer.
    """

    connected_s: float

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call.

        Raises:
            UpstreamUnavailable: It could not be reached.
            UpstreamBroken: It hung up on the call.
            UpstreamTimeout: No whole answer within `timeout_s` seconds.
            UpstreamProtocolError: The answer is too large.
        """
        ...

    async def fetch(self, question: Question, connection: "CallConnection | None" = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question; `cause_of` has words for whatever it raises.

        Args:
            question: What is asked.
            connection: Is filled in; None: only `connected_s` is.
        """
        ...

    async def listens(self, question: Question) -> bool:
        """Whether the upstream answers this question now, in whatever way; one that is only slow does."""
        ...


@dataclass(slots=True)
class CallConnection:
    """The connection of one call, filled in if it is made for it.

    Attributes:
        client: Whose call it is.
        made_s: When its socket was made, in seconds of the loop's clock; -inf for one that was there before.
    """

    client: UpstreamClient
    made_s: float = float("-inf")
