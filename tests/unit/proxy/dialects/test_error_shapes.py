"""Errors in OpenAI's shape, whatever they were before."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.dialects.error_shapes import as_json, as_openai

AXUM = "Failed to deserialize the JSON body into the target type: "


def told(status: int, body: bytes) -> tuple[str, str, str | None]:
    """Message, type and param; the rest of the shape is checked."""
    answer = json.loads(as_openai(status, body))
    assert list(answer) == ["error", "message", "type", "code"]
    assert list(answer["error"]) == ["message", "type", "param", "code"]
    error = answer["error"]
    assert (answer["message"], answer["type"], answer["code"]) == (error["message"], error["type"], status)
    spent = "insufficient_quota" if error["type"] == "insufficient_quota" else None
    assert error["code"] == (spent or {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status))
    return error["message"], error["type"], error["param"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"", ("Missing or wrong API key", "Unauthorized", None)),
        (404, b"", ("No such route or model", "NotFound", None)),
        (405, b"", ("Method not allowed", "MethodNotAllowed", None)),
        (418, b"", ("The request failed", "Backend", None)),
        (500, b" \n", ("The request failed", "Backend", None)),
        (413, b"too much", ("too much", "Validation", None)),
        (415, b"Expected request with `Content-Type: application/json`", None),
        (422, b'{"error":"no `inputs` here","error_type":"Validation"}', ("no `inputs` here", "Validation", "input")),
        (
            429,
            b'{"error":"Model is overloaded","error_type":"Overloaded"}',
            ("Model is overloaded", "Overloaded", None),
        ),
        (429, b'{"error":"Pay","error_type":"insufficient_quota"}', ("Pay", "insufficient_quota", None)),
        (
            424,
            b'{"error":"Backend error: `inputs`","error_type":"Backend"}',
            ("Backend error: `inputs`", "Backend", None),
        ),
        (400, b'{"message":"m","code":400,"type":"Empty"}', ("m", "Empty", None)),
        (502, b'{"error":{"message":"theirs"}}', ("theirs", "Backend", None)),
        (502, b'["a"]', ('["a"]', "Backend", None)),
        (500, b"\xff<html>", ("\ufffd<html>", "Backend", None)),
    ],
)
def test_an_error_of_any_form_is_told(status: int, body: bytes, expected: tuple[str, str, str | None] | None) -> None:
    assert told(status, body) == (expected or (body.decode(), "Validation", None))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"{AXUM}missing field `input` at line 1 column 2", "input"),
        (f"{AXUM}input: data did not match any variant of untagged enum Input at line 1 column 9", "input"),
        (f"{AXUM}input[0]: invalid type", "input"),
        (f"{AXUM}encoding_format: unknown variant `x`", "encoding_format"),
        (f"{AXUM}dimensions: invalid type: string", "dimensions"),
        (f"{AXUM}user: invalid type", "user"),
        (f"{AXUM}model: invalid type", "model"),
        ("`dimensions` should be positive", "dimensions"),
        ("batch size 2049 > maximum allowed batch size 2048", None),
    ],
)
def test_the_field_that_an_error_names_is_its_param(message: str, expected: str | None) -> None:
    assert told(422, message.encode())[2] == expected


@given(st.integers(400, 599), st.binary(max_size=40) | st.text().map(lambda text: json.dumps({"error": text}).encode()))
def test_any_body_is_told(status: int, body: bytes) -> None:
    message, kind, _ = told(status, body)
    assert message
    assert kind


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (422, b"Failed to \xff", {"error": "Failed to \ufffd", "error_type": "Validation"}),
        (502, b"", {"error": "The request failed", "error_type": "Backend"}),
        (424, b'{"error":"m","error_type":"Backend"}', {"error": "m", "error_type": "Backend"}),
    ],
)
def test_every_error_is_an_object_with_its_text(status: int, body: bytes, expected: dict[str, str]) -> None:
    assert expected == json.loads(as_json(status, body))
