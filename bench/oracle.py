"""Vectors that name their text: a mixed-up answer is seen at once, and making one costs almost nothing."""

from hashlib import blake2b

DIMENSION = 384  # as all-MiniLM-L6-v2
_NAMED = 8  # components that depend on the text; the others are filler of the usual width
_FILLER = b"".join(b",-0.0%06d" % (100_003 * i % 1_000_000) for i in range(1, DIMENSION - _NAMED + 1))


def row(text: str) -> bytes:
    """Return the JSON array of `DIMENSION` numbers that stands for this text."""
    digest = blake2b(text.encode(), digest_size=_NAMED * 4).digest()
    named = (int.from_bytes(digest[i : i + 4]) for i in range(0, len(digest), 4))
    return b"[%b%b]" % (b",".join(b"0.%010d" % value for value in named), _FILLER)


def answer(texts: list[str]) -> bytes:
    """Return what `/embed` answers to these texts."""
    return b"[%b]" % b",".join(map(row, texts))
