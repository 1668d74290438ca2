"""Answers of several dialects, made of the array of all rows: see `autobatch_proxy.requests.asked.AnswerForm`. Pure."""

from autobatch_proxy.requests.asked import AnswerFacts
from autobatch_proxy.requests.rows import rows_in


def only_row(rows: bytes, _facts: AnswerFacts | None = None) -> bytes:
    """The row itself, where there is one."""
    return rows.strip()[1:-1]


def one_embedding(rows: bytes, _facts: AnswerFacts | None = None) -> bytes:
    """`{"embedding": [...]}`, where there is one row."""
    return b'{"embedding":%b}' % only_row(rows)


def all_embeddings(rows: bytes, _facts: AnswerFacts | None = None) -> bytes:
    """`{"embeddings": [[...], ...]}`."""
    return b'{"embeddings":%b}' % rows


def listed_embeddings(rows: bytes, _facts: AnswerFacts | None = None) -> bytes:
    """`[{"embedding": [...]}, ...]`."""
    return b"[%b]" % b",".join([b'{"embedding":%b}' % row for row in rows_in(rows)])
