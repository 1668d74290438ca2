"""The OpenAPI document against the running system: the same routes, and no answer that it does not describe."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import aiohttp
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from autobatch_proxy.app import make_app
from autobatch_proxy.http.headers import TIMEOUT_HEADER
from autobatch_shared.settings.definitions import ProxySettings
from tests.support.house import defaults_of
from tests.support.servers.served_model import served_model

EXAMPLES = 15  # random ones for each operation, beside the document's own and those at the limits of its schemas

document: dict[str, Any] = orjson.loads((files("autobatch_proxy") / "docs" / "openapi.json").read_bytes())


def without_names(path: str) -> str:
    """A path with its parameters' names left out."""
    return re.sub(r"\{[^}]*\}", "{}", path)


async def test_the_document_has_every_route_and_no_other() -> None:
    routes = make_app(ProxySettings.model_construct(**defaults_of(ProxySettings))).router.routes()
    served = {
        (route.method, without_names(route.resource.canonical))
        for route in routes
        if route.resource is not None and route.method not in {"*", "HEAD", "OPTIONS"}
    }
    documented = {
        (method.upper(), without_names(path)) for path, operations in document["paths"].items() for method in operations
    }

    assert served == documented


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_model() as started:
        yield started


schema = schemathesis.openapi.from_dict(document)
AnyCase = schemathesis.Case[Any]


def has_a_name(_ctx: CheckContext, response: Response, _case: AnyCase) -> None:
    """Every answer is named, also those of which the document does not say so each time."""
    assert response.headers["x-request-id"][0]


def is_served(_ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """The document has a 404 for upstreams without a route; this one has them all."""
    assert response.status_code != 404 or case.path_parameters


CHECKS = [
    not_a_server_error,
    has_a_name,
    is_served,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_is_as_documented(case: AnyCase, url: str) -> None:
    if case.headers.get(TIMEOUT_HEADER, "").isdigit():  # the least of it, 1 ms, would make a 504 of nearly everything
        case.headers[TIMEOUT_HEADER] = "20000"
    case.call_and_validate(base_url=url, checks=CHECKS, allow_redirects=False)


#: What the model of these tests is not for.
OTHER_MODELS = {"/embed_sparse", "/predict", "/rerank", "/v1/rerank", "/v2/rerank"}


def requests() -> Iterator[Any]:
    for path, operations in document["paths"].items():
        body = operations.get("post", {}).get("requestBody", {"content": {"application/json": {"examples": {}}}})
        for name, example in body["content"]["application/json"]["examples"].items():
            yield pytest.param(path, example["value"], id=f"{path}:{name}")


@pytest.mark.parametrize(("path", "body"), [*requests()])
async def test_the_documented_requests_work(url: str, path: str, body: Any) -> None:
    async with aiohttp.ClientSession() as http, http.post(url + path, json=body) as answer:
        assert (424 if path in OTHER_MODELS else 200) == answer.status, await answer.text()
