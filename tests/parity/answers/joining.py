"""The upstream's answer if it took long lists: its answers to the pieces, joined."""

import json
from collections.abc import Sequence
from typing import Self

from tests.parity.answers.asking import SeenAnswer
from tests.parity.cases.case import Join, Json

COUNTED = ("x-compute-characters", "x-compute-tokens")


def joined(answers: Sequence[SeenAnswer], join: Join) -> SeenAnswer:
    """Return one answer: the first that failed, or the joined bodies, with their counts added.

    Floats keep their texts: they are cut out and inserted again as written.
    """
    failed = next((answer for answer in answers if answer.status != 200), None)
    if failed is not None:
        return failed
    counts = {name: [int(answer.header(name) or 0) for answer in answers] for name in COUNTED}
    body = {"lists": _join_bytes, "openai": _join_openai, "ranks": _join_ranks}[join](answers)
    totals = {name.replace("-", "_"): str(sum(values)) for name, values in counts.items() if answers[0].header(name)}
    first = answers[0]
    return SeenAnswer(first.status, first.headers, body).with_headers(content_length=str(len(body)), **totals)


class _Written(float):
    """A float that is written as it was read."""

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str

    def __repr__(self) -> str:
        return self.text


def _written(value: Json) -> bytes:
    """Return JSON as TEI writes it."""
    if isinstance(value, _Written):
        return value.text.encode()
    if isinstance(value, list):
        return b"[" + b",".join(map(_written, value)) + b"]"
    if isinstance(value, dict):
        return b"{" + b",".join(_written(key) + b":" + _written(item) for key, item in value.items()) + b"}"
    return json.dumps(value, ensure_ascii=False).encode()


def _join_bytes(answers: Sequence[SeenAnswer]) -> bytes:
    assert all(answer.body[:1] + answer.body[-1:] == b"[]" for answer in answers)
    return b"[" + b",".join(answer.body[1:-1] for answer in answers) + b"]"


def _join_openai(answers: Sequence[SeenAnswer]) -> bytes:
    bodies = [json.loads(answer.body, parse_float=_Written) for answer in answers]
    items = [item for body in bodies for item in body["data"]]
    for index, item in enumerate(items):
        item["index"] = index
    total = sum(body["usage"]["total_tokens"] for body in bodies)
    return _written({**bodies[0], "data": items, "usage": {"prompt_tokens": total, "total_tokens": total}})


def _join_ranks(answers: Sequence[SeenAnswer]) -> bytes:
    """Return the ranks of all pieces, the best first; of equal ones the last first."""
    items: list[Json] = []
    for answer in answers:
        start = len(items)
        items += [{**rank, "index": rank["index"] + start} for rank in json.loads(answer.body, parse_float=_Written)]
    return _written(sorted(items, key=lambda rank: (rank["score"], rank["index"]), reverse=True))
