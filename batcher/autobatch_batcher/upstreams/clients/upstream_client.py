"""What a replica asks of its client: how bytes get to an upstream and back. One file a transport beside this one."""

from typing import Protocol

from autobatch_batcher.dialects.base import Answer, Post, Question
from autobatch_batcher.upstreams.clients.http_client import CallConnection


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

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question; `cause_of` has words for whatever it raises.

        Args:
            question: What is asked.
            connection: Is filled in; None: only `connected_s` is.
        """
        ...

    async def listens(self, question: Question) -> bool:
        """Whether the upstream answers this question now, in whatever way; one that is only slow does."""
        ...
