"""Errors in JSON for clients that read nothing else."""

import json

import pytest

from autobatch_proxy.dialects.json_errors import as_json


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
