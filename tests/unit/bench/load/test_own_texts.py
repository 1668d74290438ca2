"""Requests of a user's own texts."""

import orjson

from autobatch_bench.load.asking import TEI, openai
from autobatch_bench.load.workloads import of_texts

TEXTS = ['she said "no" \\ yes', "été à la mer", "plain"]


def test_any_text_is_sent_as_it_is_with_a_number_and_the_right_length() -> None:
    for serial in range(5):
        head, _, body = of_texts(TEXTS, TEI).request(serial).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert f"{TEXTS[serial % 3]} {serial:07}" == orjson.loads(body)["inputs"]


def test_a_form_may_have_lines_of_its_own_in_the_head() -> None:
    form = openai("m", "float")._replace(head="Authorization: Bearer K\r\n")
    head, _, body = of_texts(TEXTS, form).request(1).partition(b"\r\n\r\n")
    assert b"\r\nAuthorization: Bearer K\r\n" in head
    assert {"model": "m", "input": f"{TEXTS[1]} 0000001", "encoding_format": "float"} == orjson.loads(body)
