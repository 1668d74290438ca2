"""Read settings once, strictly: flag > environment > `.env` > `config.toml` > default.

Every fault is printed, not only the first, and the process ends with status 2. Values of secrets are never printed.
A name that no process has is a fault in both files and among the flags. The environment is full of other programs' names,
so there it is worth a remark at most: `settings.remarks`.

More than 250 lines, because each source has a check of its names and the words for a fault in it.
"""

import difflib
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
)

from autobatch_shared.settings.definitions import LOG_LEVELS, PROCESSES, CommonSettings, level_of
from autobatch_shared.settings.files.env_file import ENCODING, ENV_FILE, read_env_file
from autobatch_shared.settings.foreign_names import is_composes, is_opentelemetrys, refused

CONFIG_FILE = "config.toml"
MODELS = "models"  # the tables there
NONE: Mapping[str, Any] = MappingProxyType({})
#: Flags only: other programs have such variables in the environment.
SHORT_FLAGS = {"--model": "--served-model-name"}
ALIKE = 0.75  # `prot` and `port`, `max_bach_size` and `max_batch_size`

UNSET = "unset"  # as `autobatch config` has it

S = TypeVar("S", bound=CommonSettings)


class SettingsError(Exception):
    """One or more settings are wrong; `faults` has a line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Flags(CliSettingsSource[Any]):
    """The flags. `--help` shows the values of each as they are written, without pydantic's `null` for what may be left out."""

    def _metavar_format_choices(self, args: list[str], obj_qualname: str | None = None) -> str:
        return super()._metavar_format_choices([arg for arg in args if arg != self.cli_parse_none_str], obj_qualname)


def load(cls: type[S], argv: Sequence[str] | None = None, of_model: Mapping[str, Any] = NONE) -> S:
    """Return the settings of one process as `read` does, or print every fault and exit with status 2."""
    try:
        return read(cls, sys.argv[1:] if argv is None else argv, of_model)
    except SettingsError as error:
        end_with(error)


def end_with(error: SettingsError) -> NoReturn:
    """Print every fault and exit with status 2."""
    for fault in error.faults:
        sys.stderr.write(f"autobatch: {fault}\n")
    sys.exit(2)


def read(cls: type[S], argv: Sequence[str], of_model: Mapping[str, Any] = NONE, places: Mapping[str, str] = NONE) -> S:
    """Return the settings of one process from all sources, files from the working folder.

    Args:
        cls: The process's settings.
        argv: Its flags.
        of_model: Settings of one model, which count before all but the flags.
        places: Where each of these is written, for a fault in it.

    Raises:
        SettingsError: With every fault of every source.
        SystemExit: For `--help`, and for a flag without its value.
    """
    from_file, faults = _config_file(cls)
    argv = spelt_out(argv)
    flags, unknown = _known_flags(cls, argv)
    faults += unknown
    try:
        env_file = read_env_file()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([*faults, _unread(ENV_FILE, error)]) from None
    known = every_name()
    faults += env_file.faults
    faults += [
        f"{ENV_FILE}: {name.upper()}: no such setting{advice(name, known, str.upper)}"
        for name in env_file.names
        if name not in known and not is_composes(name) and not is_opentelemetrys(name)
    ]
    given = [_name_of(flag) for flag in flags if flag.startswith("--")]
    faults += [f"{' and '.join(map(_as_flag, names))} are one setting" for names in said_twice(cls, given)]
    if not env_file.is_whole:
        raise SettingsError(faults)
    command = _command_of(cls)

    # pydantic-settings takes its sources from this hook only; the class itself stays free of I/O.
    class Sourced(cls):  # type: ignore[valid-type, misc]
        @classmethod
        def settings_customise_sources(cls, settings_cls: type[BaseSettings], **_: Any) -> tuple[Any, ...]:
            return (
                Flags(settings_cls, cli_prog_name=command, cli_parse_args=flags, cli_parse_none_str=UNSET),
                InitSettingsSource(settings_cls, init_kwargs=dict(of_model)),
                environment_of(settings_cls),
                DotEnvSettingsSource(settings_cls, env_file=ENV_FILE, env_file_encoding=ENCODING),
                InitSettingsSource(settings_cls, init_kwargs=from_file),
            )

    try:
        values = Sourced()
    except ValidationError as error:
        written = {name: place for name, place in places.items() if not _is_among(given, name, cls)}
        raise SettingsError([*faults, *_describe(cls, error, written)]) from None
    if faults:
        raise SettingsError(faults)
    read_values = {name: getattr(values, name) for name in cls.model_fields}
    return cls.model_construct(_fields_set=values.model_fields_set, **read_values)


def _command_of(cls: type[CommonSettings]) -> str:
    """The command that these settings are for, as `--help` names it."""
    return " ".join(["autobatch", *(name for name, process in PROCESSES.items() if process is cls)])


def environment_of(cls: type[BaseSettings]) -> EnvSettingsSource:
    """The environment without a RUST_LOG that names no level: it is there for other programs."""
    source = EnvSettingsSource(cls)
    source.env_vars = {name: value for name, value in source.env_vars.items() if not is_others_rust_log(name, value)}
    return source


def is_others_rust_log(name: str, value: str | None) -> bool:
    """Whether a variable of the environment is a RUST_LOG such as `my_crate`, which says no level of ours."""
    return name.lower() == "rust_log" and level_of(value or "") not in LOG_LEVELS


def names_of(name: str, field: FieldInfo) -> tuple[str, ...]:
    """All lower-case names that a setting answers to, its own first."""
    alias = field.validation_alias
    return tuple(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else (name,)


def every_name() -> set[str]:
    """All lower-case names of all settings of all processes."""
    return {
        each
        for process in PROCESSES.values()
        for name, field in process.model_fields.items()
        for each in names_of(name, field)
    }


def advice(name: str, known: Collection[str], spelt: Callable[[str], str]) -> str:
    """Return what to use in place of a name that is no setting, behind the words that say so; empty: unknown.

    Args:
        name: The name that is no setting, in lower case, words joined by underscores.
        known: The names that would be understood, in the same form.
        spelt: Returns how such a name is written where this one was.
    """
    if row := refused(name):
        return f"; {row.instead}"
    alike = difflib.get_close_matches(name, sorted(known), n=1, cutoff=ALIKE)
    return f"; did you mean {spelt(alike[0])}?" if alike else ""


def said_twice(cls: type[CommonSettings], names: Collection[str]) -> list[list[str]]:
    """Return the names of each setting that one source gives under several of them, the one that counts first."""
    own = [[each for each in names_of(name, field) if each in names] for name, field in cls.model_fields.items()]
    return [each for each in own if len(each) > 1]


def spelt_out(argv: Sequence[str]) -> list[str]:
    """Return the words of a command line with each short flag in full."""
    words = []
    for word in argv:
        flag, equals, value = word.partition("=")
        words.append(SHORT_FLAGS.get(flag, flag) + equals + value)
    return words


def _name_of(flag: str) -> str:
    return flag.partition("=")[0].lstrip("-").lower().replace("-", "_")


def _as_flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _known_flags(cls: type[CommonSettings], argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the flags that this process knows, with their values, from what is wrong with the others.

    A word that stands where no flag can be is named only before the first flag: after one it may be half of a secret.
    argparse would refuse the others too, but not together with other faults, and it prints their values.
    """
    names = _flag_names(cls)
    known = {_as_flag(name) for name in names}
    kept: list[str] = []
    unknown: list[str] = []
    last = ""
    is_value = is_known = False
    for word in argv:
        is_flag = word.startswith("--") or (word.startswith("-") and not is_value)
        if is_flag or not is_value:
            flag, equals, _ = word.partition("=")
            is_known = flag in known or word == "-h"
            if not is_known:
                unknown.append(_flag_fault(flag, last, names, is_flag=is_flag, is_value=is_value))
            is_value = is_flag and not equals
            last = flag if is_flag else last
        else:
            is_value = False
        if is_known:
            kept.append(word)
    return kept, unknown


def _flag_names(cls: type[CommonSettings]) -> set[str]:
    """All names of the settings, and those that turn one off."""
    names = {"help"}
    for name, field in cls.model_fields.items():
        names.update(names_of(name, field))
        if field.annotation is bool:
            names.update(f"no_{each}" for each in names_of(name, field))
    return names


def _flag_fault(flag: str, last: str, names: set[str], *, is_flag: bool, is_value: bool) -> str:
    """What is wrong with a word that is not a known flag, behind the flag `last`, which takes it as its value or not."""
    if last and not is_flag:
        return f"{last}: takes one value"
    if is_value and _is_secret(last):
        return f"{last}: has no value; one that begins with dashes goes behind a `=`"
    return f"{flag}: no such flag{advice(_name_of(flag), names, _as_flag) if is_flag else ''}"


def config_text() -> str:
    """Return the text of `config.toml`; nothing where there is none.

    Raises:
        OSError, UnicodeDecodeError: It cannot be read.
    """
    path = Path(CONFIG_FILE)
    return path.read_text(ENCODING) if path.is_file() else ""


def read_config() -> dict[str, Any]:
    """Return what `config.toml` has; nothing where there is none.

    Raises:
        OSError, UnicodeDecodeError, tomllib.TOMLDecodeError: It cannot be read, or is not TOML.
    """
    return tomllib.loads(config_text())


def _unread(file: str, error: Exception) -> str:
    """What is wrong with a file as a whole."""
    return f"{file}: {(isinstance(error, OSError) and error.strerror) or error}"


def _config_file(cls: type[CommonSettings]) -> tuple[dict[str, Any], list[str]]:
    """The values of `config.toml` that this process knows, and the faults of the file."""
    try:
        values = read_config()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [_unread(CONFIG_FILE, error)]
    values.pop(MODELS, None)  # `settings.files.model_tables`
    if isinstance(values.get("debug"), bool) and values.pop("debug"):  # another proxy's key, in this file only
        values.setdefault("log_level", "debug")
    known = every_name()
    faults = [
        f"{CONFIG_FILE}: {key}: no such setting{advice(key.lower(), known, str.lower)}"
        for key in values
        if key not in known
    ]
    mine = {n for name, field in cls.model_fields.items() for n in names_of(name, field)}
    return {key: value for key, value in values.items() if key in mine}, faults


def _is_among(given: Collection[str], name: str, cls: type[CommonSettings]) -> bool:
    """Whether a setting was given by any of its names."""
    return any(each in given for each in names_of(name, cls.model_fields[name]))


def _describe(cls: type[CommonSettings], error: ValidationError, written: Mapping[str, str]) -> list[str]:
    """One line per fault: its place or its name as in the environment, what is wrong, and the value unless it is a secret."""
    places = {names_of(name, cls.model_fields[name])[0]: place for name, place in written.items()}
    others = {names[0]: names[1:] for names in (names_of(name, field) for name, field in cls.model_fields.items())}
    lines = []
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0]).upper()
        shown = "" if _is_secret(name) else f" (got {fault['input']!r})"
        also = ", ".join(other.upper() for other in others.get(name.lower(), ()))
        said = f"{fault['msg'].removeprefix('Value error, ')}{shown}"
        place = places.get(name.lower())
        lines.append(f"{place}: {said}" if place else f"{name}: {said}{also and f'; it is also {also}'}")
    return lines


def _is_secret(name: str) -> bool:
    """Whether a setting, by any of its names, may hold a key or a password."""
    return any(word in name.upper() for word in ("URL", "KEY", "HEADERS"))
