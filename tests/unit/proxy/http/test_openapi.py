"""The hand-kept OpenAPI document: valid, true to itself, and of this version."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import orjson
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.paths import ROOT

DOCS = files("autobatch_proxy") / "docs"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads(DOCS.joinpath("openapi.json").read_bytes())
    return loaded


def nodes(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every object of the document, with its JSON pointer."""
    if isinstance(node, dict):
        yield pointer, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from nodes(child, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")


def examples() -> Iterator[Any]:
    """Each example beside a schema, and each in one: its name, the pointer of its schema, and the value."""
    for pointer, node in nodes(document()):
        if "schema" in node:
            named = {name: each["value"] for name, each in node.get("examples", {}).items()}
            given = named | ({"example": node["example"]} if "example" in node else {})
            at = f"{pointer}/schema"
        else:
            is_schema = "type" in node or "anyOf" in node
            listed = node.get("examples", []) if is_schema else []
            given = {str(number): value for number, value in enumerate(listed)}
            at = pointer
        for name, value in given.items():
            yield pytest.param(at, value, id=f"{pointer}:{name}")


def test_the_document_is_valid() -> None:
    validate(document())


@pytest.mark.parametrize(("schema", "example"), [*examples()])
def test_an_example_is_what_its_schema_says(schema: str, example: Any) -> None:
    registry: Registry[Any] = Registry().with_resource("urn:document", DRAFT202012.create_resource(document()))

    OAS31Validator({"$ref": f"urn:document#{schema}"}, registry=registry).validate(example)


def test_every_request_has_an_example() -> None:
    bodies = [node["requestBody"] for _, node in nodes(document()) if "requestBody" in node]

    assert bodies
    assert all(body["content"]["application/json"]["examples"] for body in bodies)


def test_it_is_of_the_version_of_the_package() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]

    assert project["version"] == document()["info"]["version"]
    assert project["license"] == document()["info"]["license"]["identifier"]


def test_operations_have_a_name_a_tag_and_a_request_id() -> None:
    operations = [
        operation for path in document()["paths"].values() for method, operation in path.items() if method in METHODS
    ]
    tags = {tag["name"] for tag in document()["tags"]}

    assert len(operations) == len({operation["operationId"] for operation in operations})
    assert tags == {operation["tags"][0] for operation in operations}
    assert all({"$ref": "#/components/parameters/RequestId"} in operation["parameters"] for operation in operations)


def test_no_component_is_unused() -> None:
    used = {node["$ref"] for _, node in nodes(document()) if "$ref" in node}
    kept = {
        f"#/components/{kind}/{name}"
        for kind, components in document()["components"].items()
        if kind != "securitySchemes"
        for name in components
    }

    assert kept == used


def has_null(schema: Any) -> bool:
    return "null" in schema.get("type", ()) or {"type": "null"} in schema.get("anyOf", ())


def test_every_union_is_a_schema_with_a_name() -> None:
    """Go's generator calls others by what is in them, which can be no name. A schema or null is no union to it."""
    unions = [pointer for pointer, node in nodes(document()) if "anyOf" in node and not has_null(node)]

    assert unions
    assert [pointer for pointer in unions if not re.fullmatch(r"/components/schemas/\w+", pointer)] == []
    assert [pointer for pointer, node in nodes(document()) if "oneOf" in node] == []


def test_no_list_has_nulls() -> None:
    """Nor can a union then be named by Go's generator."""
    by_name = document()["components"]["schemas"]
    items = [(pointer, node["items"]) for pointer, node in nodes(document()) if "items" in node]

    assert items
    assert [
        pointer for pointer, each in items if has_null(by_name[each["$ref"].split("/")[-1]] if "$ref" in each else each)
    ] == []


def test_an_enums_values_differ_in_more_than_their_case() -> None:
    """They are names of constants in generated clients."""
    enums = {pointer: node["enum"] for pointer, node in nodes(document()) if isinstance(node.get("enum"), list)}

    assert enums
    assert [pointer for pointer, values in enums.items() if len({str(v).lower() for v in values}) < len(values)] == []


def test_no_value_is_in_two_named_enums() -> None:
    """Go has one constant of each name in a package."""
    values = [
        str(value).lower()
        for schema in document()["components"]["schemas"].values()
        for value in schema.get("enum", ())
        if value is not None
    ]

    assert values
    assert len(set(values)) == len(values)


def test_an_internal_error_is_never_promised() -> None:
    assert not [pointer for pointer, _ in nodes(document()) if pointer.endswith("/responses/500")]


@pytest.mark.parametrize("file", ["index.html", "initializer.js", "page.css"])
def test_the_page_asks_no_other_host(file: str) -> None:
    assert not re.search(r"//[a-z]|https?:", DOCS.joinpath(file).read_text(), re.IGNORECASE)


def test_vendored_files_are_what_their_list_says() -> None:
    folder = DOCS / "swagger-ui"
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", folder.joinpath("VERSION").read_text(), re.MULTILINE)

    assert {
        (sha256(file.read_bytes()).hexdigest(), file.name) for file in folder.iterdir() if file.name != "VERSION"
    } == {*listed}
