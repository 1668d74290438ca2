"""Where the value of each setting came from: which source, under which name, on which line. Secrets are never in it."""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource

from autobatch_shared.settings.definitions import CommonSettings, without_credentials
from autobatch_shared.settings.files.env_file import ENCODING, ENV_FILE, read_env_file
from autobatch_shared.settings.files.model_tables import KEYS
from autobatch_shared.settings.files.toml_lines import lines_of
from autobatch_shared.settings.loading import (
    CONFIG_FILE,
    MODELS,
    UNSET,
    Flags,
    config_text,
    environment_of,
    names_of,
    spelt_out,
)

DEFAULT, ENVIRONMENT, FLAG, TABLE = "default", "environment", "flag", f"{CONFIG_FILE} [[{MODELS}]]"
HIDDEN = "***"


class SettingOrigin(NamedTuple):
    """One setting, and where its value came from.

    Attributes:
        setting: Its own name, as in the environment.
        value: What counts, as it may be shown: of a URL without user, password and query, of another secret `***`; None: unset.
        source: `default`, `config.toml`, `.env`, `environment`, the `[[models]]` of `config.toml`, or `flag`.
        given_as: The name that it has there; empty: it is not there.
        line: Where in the file; None: the source has no lines.
        is_changed: Whether it differs from its default.
    """

    setting: str
    value: str | int | None
    source: str
    given_as: str
    line: int | None
    is_changed: bool

    def __str__(self) -> str:
        return f"{self.setting}={self.value} ({self.place})"

    @property
    def place(self) -> str:
        """Where it is, for people: `config.toml line 3`, `environment as MAX_WAIT_TIME`."""
        line = "" if self.line is None else f" line {self.line}"
        is_other = self.given_as.upper() not in ("", self.setting)
        return f"{self.source}{line}{f' as {self.given_as}' if is_other else ''}"


def origins_of(settings: CommonSettings, argv: Sequence[str], table: int | None = None) -> list[SettingOrigin]:
    """Return all settings of a process in the order in which it declares them.

    Args:
        settings: What was read.
        argv: The flags that it was read from; the other sources are looked at again.
        table: Which `[[models]]` it was read from, from 0; None: from none.
    """
    cls = type(settings)
    sources = _sources(cls, argv, table)
    origins = []
    for name, field in cls.model_fields.items():
        value = getattr(settings, name)
        found = (
            (source, given_as, lines[given_as])
            for source, lines in sources.items()
            for given_as in names_of(name, field)
            if given_as in lines
        )
        source, given_as, line = next(found, (DEFAULT, "", None))
        given_as = given_as.upper() if source in (ENVIRONMENT, ENV_FILE) else given_as
        is_changed = value != field.default and bool(value or field.default)  # "" and None are both unset
        origins.append(SettingOrigin(name.upper(), shown(name, value), source, given_as, line, is_changed))
    return origins


def shown(name: str, value: object) -> str | int | None:
    """Return the value of a setting, named in lower case, as it may be shown; None where it is unset."""
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if plain is None or plain == "":
        return None
    if name.endswith("_url"):
        return _without_credentials(str(plain))
    if isinstance(value, SecretStr):
        return HIDDEN
    return plain if isinstance(plain, int) else str(plain)


def _without_credentials(urls: str) -> str:
    """Return a comma list of upstreams, or one URL of Redis, which may name several hosts between commas."""
    parts = urls.split(",") if "://" in urls.partition(",")[2] else [urls]
    return ",".join(without_credentials(url.strip()) for url in parts)


def _sources(cls: type[CommonSettings], argv: Sequence[str], table: int | None) -> dict[str, dict[str, int | None]]:
    """What each source gives: lower-case names, each with its line. The source that counts first comes first."""
    flags = Flags(cls, cli_prog_name="autobatch", cli_parse_args=spelt_out(argv), cli_parse_none_str=UNSET)()
    given = {name for name, value in environment_of(cls).env_vars.items() if value}
    env_file = DotEnvSettingsSource(cls, env_file=ENV_FILE, env_file_encoding=ENCODING).env_vars
    places = lines_of(config_text())
    config = {str(place[0]): line for place, line in places.items() if len(place) == 1}
    if "debug" in config:
        config.setdefault("log_level", config["debug"])  # another proxy's key
    of_model = {KEYS.get(str(place[2]), ""): line for place, line in places.items() if place[:2] == (MODELS, table)}
    return {
        FLAG: dict.fromkeys(flags),
        TABLE: dict(of_model),
        ENVIRONMENT: dict.fromkeys(given),
        ENV_FILE: {name: line for name, line in read_env_file().names.items() if env_file.get(name)},
        CONFIG_FILE: dict(config),
    }
