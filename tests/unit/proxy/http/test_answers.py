"""Answers of one job, from replies that any process with access to Redis may have written."""

import pytest

from autobatch_proxy.http.answers import AnswerNotes, answer
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.frames import ReplyHeader

PLAN = Plan([PlannedJob(1, "merge", b'["a"]')], "/embed")
NOTES = AnswerNotes(b"", 1, "")


@pytest.mark.parametrize("content_type", ["a/b\nx: y", "a/b\r\n\r\n", "a\0b"])
def test_a_content_type_is_one_line(content_type: str) -> None:
    response = answer(PLAN, [(ReplyHeader("w.1", 422, "", content_type), b"")], NOTES, None)

    assert response.headers["Content-Type"] == "application/octet-stream"


def test_the_words_of_a_fault_may_be_any_bytes() -> None:
    response = answer(PLAN, [(ReplyHeader("w.1", 0, "queue_full"), b"\xff")], NOTES, None)

    assert response.status == 429
