"""The tables `[[models]]` of `config.toml`: one for each model, with any of the batcher's settings, and two of the workers'.

    [[models]]
    name = "BAAI/bge-m3"
    aliases = ["bge-m3"]
    default = true
    url = ["http://gpu1:8080", "http://gpu2:8080"]
    kind = "tei"
    max_batch_size = 64
    tokenizer_file = "bge-m3.json"
    prompts = { search_query = "query" }

A flag counts before a table, and a table before the environment, `.env` and the rest of the file: it is about one model.
"""

import tomllib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from autobatch_shared.settings.loading import (
    CONFIG_FILE,
    MODELS,
    SettingsError,
    advice,
    end_with,
    names_of,
    read,
    read_config,
)

#: The short names of a table, and the settings that they stand for.
SHORT = {
    "name": "served_model_name",
    "aliases": "model_aliases",
    "default": "model_is_default",
    "url": "inference_url",
    "kind": "inference_dialect",
    "prompts": "input_type_prompts",
}
#: A setting of workers and batchers that no model has of another one: its table has it, or it has none.
TOKENIZER = "tokenizer_file"
#: Settings of the workers that each model has of its own.
WORKERS = frozenset({TOKENIZER, "input_type_prompts"})
#: Settings of the process, which its models share.
COMMON = frozenset({"redis_url", "namespace", "log_level", "log_format", "batcher_host", "batcher_port"})
#: All names of the settings that a table may have, in lower case, and the setting that each of them is.
MODEL_SETTINGS = {
    alias: name
    for name, field in BatcherSettings.model_fields.items()
    if name not in COMMON
    for alias in names_of(name, field)
}
#: What each key of a table stands for.
KEYS = {**MODEL_SETTINGS, **SHORT, **{name: name for name in WORKERS}}

Table = dict[str, Any]


class WrittenTable(NamedTuple):
    """A table as it is written.

    Attributes:
        values: By the settings' own names.
        places: Where each of them is: the file, the table and the key there.
    """

    values: Table
    places: dict[str, str]


B = TypeVar("B", bound=BatcherSettings)
T = TypeVar("T")


def load_models(cls: type[B], argv: Sequence[str]) -> list[B]:
    """Return the settings of each model that one batcher process serves, or print every fault and exit with status 2."""
    try:
        return read_models(cls, argv)
    except SettingsError as error:
        end_with(error)


def load_tables() -> list[Table]:
    """Return the tables by the settings' own names, or print every fault of them and exit with status 2."""
    try:
        tables, faults = _tables()
    except SettingsError as error:
        end_with(error)
    if faults:
        end_with(SettingsError(faults))
    return [table.values for table in tables]


def read_workers_models(argv: Sequence[str]) -> dict[str, ProxySettings]:
    """Return the settings of the workers for each model that has a table, by its name.

    Raises:
        SettingsError: With every fault of every source.
    """
    tables, faults = _tables()

    def read_one(table: WrittenTable) -> tuple[str, ProxySettings]:
        own = {name: table.values.get(name, "") for name in WORKERS}
        return str(table.values.get("served_model_name")), read(ProxySettings, argv, own, _places(table, own))

    return dict(_each(tables, read_one, faults))


def read_models(cls: type[B], argv: Sequence[str]) -> list[B]:
    """Return the settings of each model that one batcher process serves.

    Without tables it is one. With them it is each of them; or the one that `--model` names, which may have no table.

    Args:
        cls: The settings that are read: a batcher's, or those of `autobatch up`, which has them too.
        argv: The flags.

    Raises:
        SettingsError: With every fault of every source.
    """
    tables, faults = _tables()
    if not tables:
        return [read(cls, argv)]

    def read_one(table: WrittenTable) -> B:
        own = {name: value for name, value in {TOKENIZER: "", **table.values}.items() if name in cls.model_fields}
        return read(cls, argv, own, _places(table, own))

    if not faults and (wanted := _wanted(tables[0], read_one)) is not None:
        own = next((table for table in tables if table.values["served_model_name"] == wanted), None)
        return [read(cls, argv) if own is None else read_one(own)]
    models = _each(tables, read_one, faults)
    if faults := _clashes(models):
        raise SettingsError(faults)
    return models


def _wanted(first: WrittenTable, read_one: Callable[[WrittenTable], B]) -> str | None:
    """The one model that `--model` or the environment names; None where none is."""
    unnamed = {name: value for name, value in first.values.items() if name != "served_model_name"}
    try:
        return read_one(WrittenTable(unnamed, first.places)).served_model_name
    except SettingsError:
        return None  # what is wrong is among the faults of all tables


def _each(tables: Sequence[WrittenTable], read_one: Callable[[WrittenTable], T], faults: Sequence[str]) -> list[T]:
    """Read each table.

    Raises:
        SettingsError: With every fault of all of them, each once, behind those that were found before.
    """
    made, found = [], list(faults)
    for table in tables:
        try:
            made.append(read_one(table))
        except SettingsError as error:
            found += error.faults
    if found:
        raise SettingsError(list(dict.fromkeys(found)))
    return made


def _places(table: WrittenTable, own: Table) -> dict[str, str]:
    """Where those of these settings are that the table has."""
    return {name: place for name, place in table.places.items() if name in own}


def _clashes(models: Sequence[BatcherSettings]) -> list[str]:
    """What is wrong with them together: requests would get an error, or another model than their alias names."""
    place = f"{CONFIG_FILE}: [[{MODELS}]]"
    owners: dict[str, list[str]] = {}
    for model in models:
        for alias in model.aliases:
            owners.setdefault(alias, []).append(str(model.served_model_name))
    names = {model.served_model_name for model in models}
    faults = [f"{place}: {alias} is an alias of {', '.join(of)}" for alias, of in owners.items() if len(of) > 1]
    faults += [
        f"{place}: {alias}, an alias of {', '.join(of)}, is the name of another one"
        for alias, of in owners.items()
        if alias in names - set(of)
    ]
    defaults = [str(model.served_model_name) for model in models if model.model_is_default]
    if len(defaults) > 1:
        faults.append(f"{place}: more than one is the default: {', '.join(defaults)}")
    return faults


def _tables() -> tuple[list[WrittenTable], list[str]]:
    """The tables, and what is wrong with their keys.

    Raises:
        SettingsError: They are no tables.
    """
    try:
        found = read_config().get(MODELS, [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return [], []  # `read` says what is wrong
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise SettingsError([f"{CONFIG_FILE}: {MODELS}: must be tables, each below [[{MODELS}]]"])
    faults: list[str] = []
    tables: list[WrittenTable] = []
    for number, table in enumerate(found, 1):
        place = f"{CONFIG_FILE}: [[{MODELS}]] {number}"
        own = {KEYS[key]: _text(value) for key, value in table.items() if key in KEYS}
        faults += [
            f"{place}: {key}: no setting of one model{advice(key.lower(), KEYS, str.lower)}"
            for key in table
            if key not in KEYS
        ]
        faults += [
            f'{place}: {key}: must be words, as in {{ search_query = "query" }}'
            for key, value in table.items()
            if isinstance(value, dict) and not all(isinstance(word, str) for word in value.values())
        ]
        if "served_model_name" not in own:
            faults.append(f"{place}: it needs a `name`")
        elif any(own["served_model_name"] == other.values.get("served_model_name") for other in tables):
            faults.append(f"{place}: another one has the name {own['served_model_name']}")
        tables.append(WrittenTable(own, {KEYS[key]: f"{place}: {key}" for key in table if key in KEYS}))
    return tables, faults


def _text(value: object) -> object:
    """A list, or a table of words, as the comma list that the settings are."""
    if isinstance(value, dict):
        value = [f"{name}={word}" for name, word in value.items()]
    return ",".join(map(str, value)) if isinstance(value, list) else value
