"""Where the messages of a connection end, as far as that is certain: between two of them nothing waits in aiohttp's parser. Pure.

A message ends where its head says, which aiohttp's parser has read. Where that is not certain, as when two messages come at
once or half a head, it is unknown for the rest of the connection.
"""

from collections.abc import Sequence

from aiohttp.http import RawRequestMessage

UNKNOWN = -1


class MessageBounds:
    """Those of one connection.

    Attributes:
        owed_bytes: Bytes of a body that are still to come; 0: the next byte is the first one of a message; UNKNOWN.
    """

    __slots__ = ("owed_bytes",)

    def __init__(self) -> None:
        self.owed_bytes = 0

    def note(self, data: bytes, messages: Sequence[object]) -> None:
        """Take note of bytes that came, and of the messages whose heads the parser has found complete with them."""
        if self.owed_bytes == 0 and (data or messages):
            self.owed_bytes = _owed_bytes(data, messages)
        elif self.owed_bytes > 0:
            left_bytes = self.owed_bytes - len(data)
            self.owed_bytes = left_bytes if left_bytes >= 0 and not messages else UNKNOWN


def _owed_bytes(data: bytes, messages: Sequence[object]) -> int:
    """How many bytes the one message that begins with these still lacks."""
    if len(messages) != 1 or not isinstance(message := messages[0], RawRequestMessage):
        return UNKNOWN
    head_bytes = data.find(b"\r\n\r\n") + 4
    # The parser has found the head's end no later than here, and it has read a line for each line that there is up to here.
    is_head = data.count(b"\n", 0, head_bytes) == len(message.raw_headers) + 2
    if head_bytes < 4 or not is_head or message.chunked or message.upgrade:
        return UNKNOWN
    body_bytes = int(message.headers.get("Content-Length", 0))
    return max(head_bytes + body_bytes - len(data), UNKNOWN)
