"""Make the body of an answer from the array of all its rows, in the shape that a route's clients read. Pure.

Each takes the array, a row for each input in the upstream's own bytes, the number of tokens where it is known, and the
request's id.
"""

from autobatch_proxy.requests.rows import rows_in


def only_row(answer: bytes, _tokens: int | None = None, _request_id: str = "") -> bytes:
    """The row itself, where there is one."""
    return answer.strip()[1:-1]


def one_embedding(answer: bytes, _tokens: int | None = None, _request_id: str = "") -> bytes:
    """`{"embedding": [...]}`, where there is one row."""
    return b'{"embedding":%b}' % only_row(answer)


def all_embeddings(answer: bytes, _tokens: int | None = None, _request_id: str = "") -> bytes:
    """`{"embeddings": [[...], ...]}`."""
    return b'{"embeddings":%b}' % answer


def listed_embeddings(answer: bytes, _tokens: int | None = None, _request_id: str = "") -> bytes:
    """`[{"embedding": [...]}, ...]`."""
    return b"[%b]" % b",".join([b'{"embedding":%b}' % row for row in rows_in(answer)])


#: By EMBED_ANSWER: what `POST /embed` answers. None: the array itself.
EMBED_ANSWERS = {"tei": None, "embeddings": all_embeddings}
