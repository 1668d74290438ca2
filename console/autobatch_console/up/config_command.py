"""`autobatch config`: what every setting of a command is, and where it came from.

It reads the settings as that command does, and the files that they name, so the same flags may follow. Nothing is started or asked.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import typer

from autobatch_console.preflight.diagnoses import faults_of
from autobatch_console.up.settings import UpSettings
from autobatch_console.up.survey import look_at_named_files
from autobatch_shared.redis.masters.master import finder_of
from autobatch_shared.settings.definitions import PROCESSES, BatcherSettings, CommonSettings, ProxySettings
from autobatch_shared.settings.files.model_tables import KEYS, WORKERS, load_models, load_tables
from autobatch_shared.settings.loading import UNSET, SettingsError, end_with, load
from autobatch_shared.settings.named_files import read_ranks
from autobatch_shared.settings.origins import DEFAULT, TABLE, SettingOrigin, origins_of
from autobatch_shared.settings.remarks import remarks_of
from autobatch_shared.tracing.switch import refuse_unusable, take_env_file

COMMANDS: Mapping[str, type[CommonSettings]] = {"up": UpSettings, **PROCESSES}
JSON_FLAG = "--json"
VALUE_COLUMN = 40  # a longer value moves only its own source to the right
HELP = f"""Print every setting as it counts, and the source that it came from: flag, environment, `.env` or `config.toml` with its line.

Usage: autobatch config [{"|".join(COMMANDS)}] [--json] [FLAGS]

The settings are those of `autobatch up`, or of the command that is named first; its flags may follow. Of a key nothing is shown but
that it is set, and URLs are shown without user, password and query. What looks like a misspelt setting in the environment is named.

Exit status 2: the settings are wrong, or a file that they name cannot be used, and each fault is printed.
"""


def command(ctx: typer.Context) -> None:
    """Print, and end."""
    words = [word for word in ctx.args if word != JSON_FLAG]
    name = words.pop(0) if words and words[0] in COMMANDS else "up"
    cls = COMMANDS[name]
    settings = load(cls, words)
    origins, of_models = origins_of(settings, words), _of_models(cls, words)
    models = {model: own for model, (_, own) in of_models.items() if own}
    remarks = remarks_of(settings)
    faults = _faults(settings, {model: own for model, (own, _) in of_models.items()})
    if JSON_FLAG in ctx.args:
        document = {
            "command": name,
            "settings": [origin._asdict() for origin in origins],
            "models": {model: [origin._asdict() for origin in of] for model, of in models.items()},
            "remarks": remarks,
            "faults": faults,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _print_tables(origins, models, remarks)
    if faults:
        end_with(SettingsError(faults))


def _faults(settings: CommonSettings, models: Mapping[str, CommonSettings]) -> list[str]:
    """What a start would refuse of what the settings name, as far as no server has to be asked."""
    faults = faults_of(look_at_named_files(settings, models))
    take_env_file()
    checks: list[Callable[[], object]] = [lambda: refuse_unusable(os.environ)]
    if redis_url := getattr(settings, "redis_url", None):
        checks.append(lambda: finder_of(redis_url.get_secret_value()))
    if getattr(settings, "openai_token_ids", "") == "cl100k" and getattr(settings, "cl100k_file", None) is None:
        checks.append(lambda: read_ranks(None))
    for check in checks:
        try:
            check()
        except SettingsError as error:
            faults += error.faults
    return faults


def _print_tables(
    origins: Sequence[SettingOrigin], models: Mapping[str, Sequence[SettingOrigin]], remarks: Iterable[str]
) -> None:
    sys.stdout.write(_table("Set", [each for each in origins if each.source != DEFAULT]))
    for model, of_model in models.items():
        sys.stdout.write(_table(f"Of the model {model} alone", of_model))
    sys.stdout.write(_table("As by default", [each for each in origins if each.source == DEFAULT]))
    for remark in remarks:
        sys.stdout.write(f"{remark}\n")


def _of_models(
    cls: type[CommonSettings], words: Sequence[str]
) -> dict[str, tuple[CommonSettings, list[SettingOrigin]]]:
    """The settings of each model that has a table in `config.toml`, by its name, and those of them that its table has."""
    if issubclass(cls, BatcherSettings):
        load_models(cls, words)  # ends where the tables do not go together
    known = WORKERS if cls is ProxySettings else cls.model_fields.keys() & set(KEYS.values())
    said = {}
    for number, table in enumerate(load_tables()):
        own = {name: value for name, value in table.items() if name in known}
        settings = load(cls, words, own)
        origins = origins_of(settings, words, number)
        kept = [each for each in origins if each.setting.lower() in own and each.source == TABLE]
        said[table["served_model_name"]] = settings, kept
    return said


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
