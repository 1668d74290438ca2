"""The table of routes, which the OpenAPI document describes for clients."""

import re
from typing import Any

import orjson
import pytest

from autobatch_proxy.dialects.error_shapes import JSON_ERRORS, OPENAI_ERRORS
from autobatch_proxy.dialects.forms import all_embeddings
from autobatch_proxy.http.route_table import READERS, ROUTES, Route, routes
from autobatch_shared.contract.errors import WrongContentType
from autobatch_shared.contract.model_names import ROUTE_WORDS
from tests.servers.matrix.document import statuses_in
from tests.servers.matrix.questions import name_of
from tests.support.paths import ROOT

DOCUMENT = orjson.loads(ROOT.joinpath("proxy/autobatch_proxy/docs/openapi.json").read_bytes())
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), re.sub(r"{[^}]*}", "{}", path)): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def described(route: Route) -> dict[str, Any]:
    """What the document says of a row."""
    return OPERATIONS[route.method, re.sub(r"{.*}", "{}", route.path)]


def test_the_document_has_every_row_and_no_other() -> None:
    rows = [(route.method, re.sub(r"{.*}", "{}", route.path)) for route in ROUTES]
    assert sorted(OPERATIONS) == sorted(rows)


def test_the_matrix_of_routes_and_upstreams_has_every_row_and_no_other() -> None:
    said = statuses_in(ROOT.joinpath("docs/upstreams/matrix.md").read_text(encoding="utf-8"))

    assert [*said] == [name_of(route) for route in ROUTES]
    assert {status for row in said.values() for status in row.values()} <= {200, 404, 422, 424}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_row_is_as_documented(route: Route) -> None:
    operation = described(route)
    responses = operation["responses"]
    assert operation["tags"] == [route.tag]
    assert (operation.get("security") != []) is route.needs_key is ("401" in responses)
    if route.needs_key:
        names = {None: "Unauthorized", OPENAI_ERRORS: "OpenAIUnauthorized"}  # another shape says its own
        name = names.get(route.errors, "")
        assert responses["401"] == {"$ref": f"#/components/responses/{name}"} or not name
    if route.method == "POST":
        assert ("415" in responses) is (route.unless_json is not None)
        assert route.unless_json is not WrongContentType or route.tag == "Other shapes"  # TEI says it in plain text


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_row_has_what_its_method_needs(route: Route) -> None:
    assert (route.page is not None) is (route.method == "GET")
    assert route.method == "POST" or route.read is None


def test_the_route_that_stands_for_another_has_a_reader_for_each() -> None:
    """`POST /` is the route of the kind of model that the upstream serves."""
    assert {"/embed", "/embed_sparse", "/predict", "/rerank"} <= READERS.keys()
    assert [route.path for route in ROUTES if route.method == "POST" and route.read is None] == ["/", "/invocations"]


def test_no_model_can_have_a_name_that_a_route_begins_with() -> None:
    assert {route.path.split("/")[1] for route in ROUTES} - {""} == ROUTE_WORDS


def test_no_two_rows_are_the_same_route() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_an_answer_as_an_object_is_another_row() -> None:
    changed = {route.path: route for route in routes("embeddings") if route not in ROUTES}
    assert [*changed] == ["/embed"]
    assert (changed["/embed"].form, changed["/embed"].errors) == (all_embeddings, JSON_ERRORS)
    assert routes("tei") == [*ROUTES]
