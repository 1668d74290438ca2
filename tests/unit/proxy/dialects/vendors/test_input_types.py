"""What clients' input types mean for the model."""

import json

import msgspec
import pytest

from autobatch_proxy.dialects.vendors.input_types import WORDS_MAX, InputTypes
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.settings.definitions import ProxySettings
from autobatch_shared.settings.loading import SettingsError, read
from tests.unit.planning import RULES, plan_of


def test_a_type_of_the_table_is_its_prompt() -> None:
    rules = msgspec.structs.replace(RULES, prompt_of=InputTypes({"search_query": "query"}).prompt_of)
    body = {"texts": ["a"], "input_type": "search_query", "truncate": "NONE"}

    (job,) = plan_of("/v2/embed", json.dumps(body).encode(), rules).jobs

    assert job.options is not None
    assert (job.options.prompt_name, job.options.truncate) == ("query", False)


def test_a_type_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="`search_query`"):
        InputTypes({"search_query": "query"}).prompt_of("clustering")


def test_without_a_table_every_type_is_taken_and_told_once() -> None:
    types = InputTypes({})

    assert [types.prompt_of(kind) for kind in ("b", "a", "b")] == [None] * 3
    assert (types.take_unsaid(), types.take_unsaid()) == (["a", "b"], [])
    types.prompt_of("a")
    assert types.take_unsaid() == []


def test_clients_words_are_bounded() -> None:
    types = InputTypes({})
    for number in range(100):
        types.prompt_of(f"{number}" + "x" * 1000)

    told = types.take_unsaid()
    assert len(told) == WORDS_MAX
    assert max(map(len, told)) <= 64


def test_the_setting_is_a_comma_list() -> None:
    settings = read(ProxySettings, ["--input-type-prompts", "search_query=query, search_document = passage"])

    assert settings.prompts == {"search_query": "query", "search_document": "passage"}
    with pytest.raises(SettingsError):
        read(ProxySettings, ["--input-type-prompts", "search_query"])
