"""One table from errors to HTTP, in TEI's shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.http.errors import RETRY_LATER, STATUSES, status_of, tei_error
from autobatch_shared.contract import errors
from autobatch_shared.contract.errors import AutobatchError, InvalidRequest, QueueFull, UpstreamError

EXPECTED = {
    "AutobatchError": (500, "Backend"),
    "Rejected": (500, "Backend"),
    "InvalidRequest": (422, "Validation"),
    "NotJson": (400, "Validation"),
    "EmptyInput": (400, "Empty"),
    "AnswerTooLarge": (413, "Validation"),
    "RequestTooLarge": (413, "Validation"),
    "ForeignTokenIds": (400, "Validation"),
    "UnknownModel": (404, "NotFound"),
    "WrongContentType": (415, "Validation"),
    "NotComputed": (424, "Backend"),
    "QueueFull": (429, "Overloaded"),
    "DeadlineExceeded": (504, "Backend"),
    "ModelNotNamed": (400, "Validation"),
    "WorkerOutOfMemory": (503, "Unhealthy"),
    "QueueUnavailable": (503, "Unhealthy"),
    "QueueOutOfMemory": (503, "Unhealthy"),
    "QueueReadOnly": (503, "Unhealthy"),
    "NoBatcher": (503, "Unhealthy"),
    "UpstreamError": (500, "Backend"),
    "UpstreamUnavailable": (503, "Unhealthy"),
    "UpstreamChanged": (503, "Unhealthy"),
    "UpstreamBroken": (503, "Unhealthy"),
    "UpstreamOverloaded": (429, "Overloaded"),
    "UpstreamTimeout": (504, "Backend"),
    "UpstreamProtocolError": (502, "Backend"),
    "InvalidAnswer": (502, "Backend"),
    "JobPoisonous": (502, "Backend"),
    "MalformedFrame": (502, "Backend"),
    "FrameOfAnotherVersion": (502, "Backend"),
}
CLASSES = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, AutobatchError)}
TEI_TYPES = {"Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty", "NotFound"}


def test_every_error_of_the_tree_is_expected_here() -> None:
    assert EXPECTED.keys() == CLASSES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_error_has_the_status_of_the_table(name: str) -> None:
    assert EXPECTED[name] == status_of(CLASSES[name]())


def test_an_error_without_a_row_has_its_parents() -> None:
    class Surprising(QueueFull):
        """Something new."""

    assert status_of(Surprising()) == (429, "Overloaded")


def test_types_are_teis() -> None:
    assert {error_type for _, error_type in STATUSES.values()} <= TEI_TYPES


def test_overload_and_outage_say_when_to_come_again() -> None:
    """And nothing else does: repeating an invalid request, or one that took too long, does not help."""
    assert {429, 503} == RETRY_LATER


@pytest.mark.parametrize("cls", CLASSES.values())
def test_a_body_has_the_shape_of_teis_errors(cls: type[AutobatchError]) -> None:
    status, body = tei_error(cls())

    assert (status, json.loads(body)["error_type"]) == status_of(cls())
    assert list(json.loads(body)) == ["error", "error_type"]
    assert json.loads(body)["error"] == str(cls())


@given(st.text(min_size=1))
def test_any_message_can_be_told(message: str) -> None:
    status, body = tei_error(InvalidRequest(message))

    assert (status, json.loads(body)) == (422, {"error": message, "error_type": "Validation"})


def test_an_upstreams_fault_without_a_row_is_an_internal_one() -> None:
    assert tei_error(UpstreamError("x")) == (500, b'{"error":"x","error_type":"Backend"}')
