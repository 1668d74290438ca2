"""The headers in which TEI says what a request cost, where they are true for this one request.

Of a request that shared its call, the upstream's times speak of all of them: its own are its characters and its time here.
"""

from functools import lru_cache

from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.frames import ReplyHeader

_OWN = b"X-Compute-Characters: %d\r\nX-Compute-Time: %d\r\nX-Total-Time: %d\r\n"


def measure_lines(reply: ReplyHeader, characters: int, ms: int) -> bytes:
    """Return lines of an HTTP head.

    Args:
        reply: To a job of the request, or to what stands for all of them.
        characters: Of the request's inputs; 0 for one that was not taken apart.
        ms: How long the request took here, milliseconds.
    """
    measures = reply.measures
    lines = b"".join([_line(name, value) for name, value in measures.items()])
    if characters and len(measures) < 2:
        lines += _OWN % (characters, ms, ms)
        if reply.tokens:
            lines += b"X-Compute-Tokens: %d\r\n" % sum(reply.tokens)
    return lines


@lru_cache(1024)
def _line(name: str, value: str) -> bytes:
    """One line, or nothing for what the upstream would not say: it came through Redis, and a line could be two."""
    is_known = name in MEASURES and len(value) < 64 and value.isascii() and value.isprintable()
    return f"{name}: {value}\r\n".encode() if is_known else b""
