"""`autobatch config`: what every setting of a command is, and where it came from.

It reads the settings as that command does, so the same flags may follow. Nothing is started or asked.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import typer

from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.definitions import PROCESSES, BatcherSettings, CommonSettings, ProxySettings
from autobatch_shared.settings.files.model_tables import KEYS, WORKERS, load_models, load_tables
from autobatch_shared.settings.loading import UNSET, load
from autobatch_shared.settings.origins import DEFAULT, TABLE, SettingOrigin, origins_of
from autobatch_shared.settings.remarks import remarks_of

COMMANDS: Mapping[str, type[CommonSettings]] = {"up": UpSettings, **PROCESSES}
JSON_FLAG = "--json"
VALUE_COLUMN = 40  # a longer value moves only its own source to the right
HELP = f"""Print every setting as it counts, and the source that it came from: flag, environment, `.env` or `config.toml` with its line.

Usage: autobatch config [{"|".join(COMMANDS)}] [--json] [FLAGS]

The settings are those of `autobatch up`, or of the command that is named first; its flags may follow. Of a key nothing is shown but
that it is set, and URLs are shown without user, password and query. What looks like a misspelt setting in the environment is named.

Exit status 2: the settings are wrong, and each fault is printed.
"""


def command(ctx: typer.Context) -> None:
    """Print, and end."""
    words = [word for word in ctx.args if word != JSON_FLAG]
    name = words.pop(0) if words and words[0] in COMMANDS else "up"
    cls = COMMANDS[name]
    settings = load(cls, words)
    origins, models = origins_of(settings, words), _of_models(cls, words)
    remarks = remarks_of(settings)
    if JSON_FLAG in ctx.args:
        document = {
            "command": name,
            "settings": [origin._asdict() for origin in origins],
            "models": {model: [origin._asdict() for origin in of] for model, of in models.items()},
            "remarks": remarks,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    sys.stdout.write(_table("Set", [each for each in origins if each.source != DEFAULT]))
    for model, of_model in models.items():
        sys.stdout.write(_table(f"Of the model {model} alone", of_model))
    sys.stdout.write(_table("As by default", [each for each in origins if each.source == DEFAULT]))
    for remark in remarks:
        sys.stdout.write(f"{remark}\n")


def _of_models(cls: type[CommonSettings], words: Sequence[str]) -> dict[str, list[SettingOrigin]]:
    """What the tables of `config.toml` say to such a process, by the name of their model."""
    if issubclass(cls, BatcherSettings):
        load_models(cls, words)  # ends where the tables do not go together
    known = WORKERS if cls is ProxySettings else cls.model_fields.keys() & set(KEYS.values())
    said = {}
    for number, table in enumerate(load_tables()):
        own = {name: value for name, value in table.items() if name in known}
        origins = origins_of(load(cls, words, own), words, number)
        said[table["served_model_name"]] = [
            each for each in origins if each.setting.lower() in own and each.source == TABLE
        ]
    return {name: origins for name, origins in said.items() if origins}


def _said(value: str | int | None) -> str:
    if value is None:
        return UNSET
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(title: str, origins: Iterable[SettingOrigin]) -> str:
    """Lines of three columns below a title; nothing where there are none."""
    rows = [(each.setting, _said(each.value), each.place) for each in origins]
    if not rows:
        return ""
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    values = min(values, VALUE_COLUMN)
    lines = [f"  {name:{names}}  {value:{values}}  {place}".rstrip() for name, value, place in rows]
    return "\n".join([f"{title}:", *lines, "", ""])
