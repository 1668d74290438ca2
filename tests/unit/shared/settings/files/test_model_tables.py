"""The tables `[[models]]` of `config.toml`: one model each, whatever else is set."""

from pathlib import Path

import pytest

from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from autobatch_shared.settings.files.model_tables import read_models, read_workers_models
from autobatch_shared.settings.loading import SettingsError, read

TWO = """
max_batch_size = 16

[[models]]
name = "org/small"
aliases = ["small", "embeddings"]
default = true
url = ["http://a:1", "http://b:2"]
kind = "tei"
max_batch_size = 8

[[models]]
name = "large"
url = "http://c:3"
"""

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def write(text: str) -> None:
    Path("config.toml").write_text(text)


def faults_of(text: str) -> tuple[str, ...]:
    write(text)
    with pytest.raises(SettingsError) as caught:
        read_models(BatcherSettings, [])
    return caught.value.faults


def test_each_table_is_a_model_of_one_batcher() -> None:
    write(TWO)
    small, large = read_models(BatcherSettings, [])

    assert (small.served_model_name, small.aliases) == ("org/small", ("small", "embeddings"))
    assert (small.inference_urls, small.max_batch_size) == (("http://a:1", "http://b:2"), 8)
    assert (small.model_is_default, large.model_is_default) == (True, False)
    assert small.inference_dialect == "tei"
    assert (large.served_model_name, large.inference_urls, large.max_batch_size) == ("large", ("http://c:3",), 16)


@pytest.mark.parametrize(
    ("of_a", "of_b", "fault"),
    [
        ("default = true", "default = true", "config.toml: [[models]]: more than one is the default: a, b"),
        ('aliases = ["x", "y"]', 'aliases = ["y"]', "config.toml: [[models]]: y is an alias of a, b"),
    ],
)
def test_tables_that_clash_are_refused(of_a: str, of_b: str, fault: str) -> None:
    """Requests without a name, or with that alias, would get an error each."""
    assert faults_of(f'[[models]]\nname = "a"\n{of_a}\n[[models]]\nname = "b"\n{of_b}\n') == (fault,)


def test_an_alias_that_is_another_tables_name_is_refused() -> None:
    fault = "config.toml: [[models]]: b, an alias of a, is the name of another one"
    assert faults_of('[[models]]\nname = "a"\naliases = ["b"]\n[[models]]\nname = "b"\n') == (fault,)


def test_a_flag_counts_before_a_table_and_a_table_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    write(TWO)
    monkeypatch.setenv("MAX_BATCH_SIZE", "4")
    monkeypatch.setenv("INFERENCE_SERVICE_URL", "http://other:1")

    assert [each.max_batch_size for each in read_models(BatcherSettings, [])] == [8, 4]
    assert [each.max_batch_size for each in read_models(BatcherSettings, ["--max-batch-size", "2"])] == [2, 2]
    assert [each.inference_urls[-1] for each in read_models(BatcherSettings, [])] == ["http://b:2", "http://c:3"]


def test_a_name_picks_its_table_or_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    write(TWO)
    (picked,) = read_models(BatcherSettings, ["--model", "large"])
    (other,) = read_models(BatcherSettings, ["--model=third", "--inference-url", "http://d:4"])
    monkeypatch.setenv("SERVED_MODEL_NAME", "org/small")
    (named,) = read_models(BatcherSettings, [])

    assert picked.inference_urls == ("http://c:3",)
    assert (other.served_model_name, other.inference_urls) == ("third", ("http://d:4",))
    assert named.aliases == ("small", "embeddings")


def test_without_tables_there_is_one_model() -> None:
    (settings,) = read_models(BatcherSettings, [])
    assert settings.served_model_name is None


def test_a_model_has_a_tokenizer_and_prompts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = 'tokenizer_file = "large.json"\nprompts = { search_query = "query", search_document = "passage" }\n'
    write(TWO + own)
    monkeypatch.setenv("TOKENIZER_FILE", "unnamed.json")
    models = read_workers_models([])

    assert models["large"].tokenizer_file == "large.json"
    assert models["large"].prompts == {"search_query": "query", "search_document": "passage"}
    assert (models["org/small"].tokenizer_file, models["org/small"].prompts) == ("", {})
    batchers = read_models(BatcherSettings, [])
    assert [(each.served_model_name, each.tokenizer_file) for each in batchers] == [
        ("org/small", ""),
        ("large", "large.json"),
    ]


def test_other_processes_leave_the_tables_alone() -> None:
    write(TWO)
    assert read(ProxySettings, []).max_batch_size == 16


def test_every_fault_of_the_tables_is_said() -> None:
    text = '[[models]]\nname = "a"\nurls = "x"\nport = 1\nnamespace = "n"\n[[models]]\nurl = "http://a"\n[[models]]\nname = "a"\n'
    place = "config.toml: [[models]]"
    assert set(faults_of(text)) == {
        f"{place} 1: urls: no setting of one model; did you mean url?",
        f"{place} 1: port: no setting of one model",
        f"{place} 1: namespace: no setting of one model",
        f"{place} 2: it needs a `name`",
        f"{place} 3: another one has the name a",
    }
    assert faults_of("models = 3\n") == ("config.toml: models: must be tables, each below [[models]]",)
    assert "paths of routes" in faults_of('[[models]]\nname = "embed"\n')[0]
    assert "config.toml" in faults_of("[[models]\n")[0]


def test_what_is_wrong_in_all_tables_is_said_at_once_with_the_table_and_the_key() -> None:
    found = faults_of(
        '[[models]]\nname = "a"\nurl = 8080\nmax_batch_size = "x"\n\n'
        '[[models]]\nname = "b"\nurl = "http://b:1"\nkind = "nosuch"\nprompst = "q=query"\n\n'
        '[[models]]\nname = "c"\nurl = "http://c:1"\nprompts = {q = 3}\n'
    )
    assert [fault.split(": ")[:3] for fault in found] == [
        ["config.toml", "[[models]] 2", "prompst"],
        ["config.toml", "[[models]] 3", "prompts"],
        ["config.toml", "[[models]] 1", "max_batch_size"],
        ["config.toml", "[[models]] 1", "url"],
        ["config.toml", "[[models]] 2", "kind"],
    ]


def test_a_flag_that_is_wrong_is_not_said_to_be_the_tables() -> None:
    write('[[models]]\nname = "a"\nurl = "http://a:1"\nmax_batch_size = 8\n')
    with pytest.raises(SettingsError, match=r"^MAX_BATCH_SIZE: ") as caught:
        read_models(BatcherSettings, ["--max-batch-size", "x"])
    assert len(caught.value.faults) == 1


def test_the_workers_settings_of_a_table_are_wrong_for_all_who_read_them() -> None:
    write('[[models]]\nname = "a"\nurl = "http://a:1"\nprompts = "x"\n')
    with pytest.raises(SettingsError, match=r"config\.toml: \[\[models\]\] 1: prompts: "):
        read_workers_models([])
